"""Nothing in, the dashboard of the pipeline itself out: freshness, fate of records, workers, series."""

from typing import Final

from grafana_foundation_sdk.models import dashboard as model

from grafana.generate import variables
from grafana.generate.board import Board
from grafana.generate.panels import (
    BAD_IF_ANY,
    GOOD_FROM_ONE,
    Look,
    Panel,
    Query,
    Steps,
    alerts,
    lines,
    number,
    setting,
)
from grafana.generate.queries import once, or_zero, summed
from grafana.generate.wording import AMBER, GREEN, RED

_FRESH: Final[Steps] = ((None, GREEN), (60.0, AMBER), (900.0, RED))
_TICKING: Final[Steps] = ((None, GREEN), (5.0, AMBER), (30.0, RED))
_JOBS: Final = 'job=~"salesfloor-.*"'
_PER_SECOND: Final = "short"


def age_number(width: int) -> Panel:
    look = Look("Data age", "Now minus the newest event time seen.", "s", 0, _FRESH)
    return number("data-age", width, look, Query("max(salesfloor_data_age_seconds)", "age"))


def _rate(counter: str) -> str:
    """Return events per second of what each worker counts for itself."""
    return f"rate({counter}[$__rate_interval])"


def _told(counter: str) -> str:
    """Return events per second of what every metrics role tells of all workers."""
    return once(_rate(counter))


def _state() -> tuple[Panel, ...]:
    ticking = Look("Numbers' age", "Now minus the instant all KPIs speak of.", "s", 0, _TICKING)
    missing = Look(
        "Slots missing", "Partitions whose sums are not read: totals would be too low.", steps=BAD_IF_ANY
    )
    folding = Look(
        "Rebuilding",
        "1 while state is folded anew from the topics; no alert fires then.",
        steps=((None, GREEN), (0.5, AMBER)),
    )
    ready = Look("Workers ready", "Workers that read and commit.", steps=GOOD_FROM_ONE)
    firing = Look("Alerts firing", "Of Prometheus' rules.", steps=BAD_IF_ANY)
    return (
        age_number(4),
        number("tick-age", 4, ticking, Query("time() - min(salesfloor_as_of_timestamp_seconds)")),
        number(
            "slots-missing", 4, missing, Query("max(salesfloor_slots_expected - salesfloor_slots_loaded)")
        ),
        number("rebuilding", 4, folding, Query("max(salesfloor_rebuilding)")),
        number("workers-ready", 4, ready, Query("sum(salesfloor_worker_ready)")),
        number("alerts-firing", 4, firing, Query(or_zero('count(ALERTS{alertstate="firing"})'))),
    )


def _records() -> tuple[Panel, ...]:
    arriving = Look("Events per second", "Events decoded and merged, by topic.", _PER_SECOND)
    fates = Look(
        "Fate of records, per second",
        "Each record read changes something, says nothing new, is ignored, or becomes a dead letter.",
        _PER_SECOND,
    )
    refused = Look(
        "Dead letters and ignored, per second",
        "By reason; a reason that never came up is not shown.",
        _PER_SECOND,
    )
    merged = f"sum({_told('salesfloor_events_total')})"
    unchanged = or_zero(f"sum({_told('salesfloor_events_unchanged_total')})")
    ignored = or_zero(f"sum({_told('salesfloor_events_ignored_total')})")
    by_reason = summed(_told("salesfloor_events_rejected_total"), "reason")
    by_what = summed(_told("salesfloor_events_ignored_total"), "what")
    return (
        lines(
            "events",
            8,
            arriving,
            Query(summed(_told("salesfloor_events_total"), "topic"), "{{topic}}"),
            stacked=True,
        ),
        lines(
            "fates",
            8,
            fates,
            Query(f"{merged} - ({unchanged})", "changed something"),
            Query(unchanged, "nothing new"),
            Query(ignored, "ignored"),
            Query(f"sum({_rate('salesfloor_worker_dead_letters_total')})", "dead letters"),
        ),
        lines(
            "refused",
            8,
            refused,
            Query(or_zero(by_reason, "reason"), "rejected: {{reason}}"),
            Query(or_zero(by_what, "what"), "ignored: {{what}}"),
        ),
    )


def _lost() -> tuple[Panel, ...]:
    letters = Look(
        "Dead letters, 24 h", "Records that could not be used, kept with their reason.", steps=BAD_IF_ANY
    )
    lost = Look("Records lost", "Removed by the topic's retention before they were folded.", steps=BAD_IF_ANY)
    gaps = Look("Offset gaps", "Offsets that hold no record: compaction, transaction markers.")
    rates = Look(
        "Amounts without a rate",
        "Deals and spend that no number contains for lack of a rate.",
        steps=BAD_IF_ANY,
    )
    problems = Look(
        "Reference problems", "Reference records and settings that cannot be used.", steps=BAD_IF_ANY
    )
    pooled = Look(
        "Keys sharing 'other'", "Teams, reps and stages beyond keys_per_level_max.", steps=BAD_IF_ANY
    )
    return (
        number("dead-letters", 4, letters, Query("sum(increase(salesfloor_worker_dead_letters_total[24h]))")),
        number("records-lost", 4, lost, Query(or_zero(f"sum({once('salesfloor_records_lost_total')})"))),
        number("gaps", 4, gaps, Query(or_zero(f"sum({once('salesfloor_offset_gaps_total')})"))),
        number("missing-rates", 4, rates, Query(or_zero(f"sum({once('salesfloor_missing_rates')})"))),
        number("reference-problems", 4, problems, Query("max(salesfloor_reference_problems)")),
        number("over-budget", 4, pooled, Query(f"sum({once('salesfloor_label_values_over_budget')})")),
    )


def _workers() -> tuple[Panel, ...]:
    lag = Look("Lag, records", "Records in the log that are not folded yet, by topic.")
    commit = Look(
        "Time of a commit",
        "From taking a slot's commit to Redis' answer; above 0.2 s is too long.",
        "s",
        steps=((None, GREEN), (0.2, AMBER), (1.0, RED)),
    )
    dirty = Look("Fields the next commit writes", "By slot: how much work a commit is.")
    buckets = summed(_rate("salesfloor_worker_commit_seconds_bucket"), "le")
    return (
        lines("lag", 8, lag, Query(summed("salesfloor_worker_lag_records", "topic"), "{{topic}}")),
        lines(
            "commit",
            8,
            commit,
            *(Query(f"histogram_quantile({part}, {buckets})", f"{part:.0%} within") for part in (0.5, 0.99)),
        ),
        lines("dirty", 8, dirty, Query(summed("salesfloor_worker_dirty_keys", "slot"), "slot {{slot}}")),
    )


def _progress() -> tuple[Panel, ...]:
    batch = Look(
        "Records in a batch", "Mean of the batches each worker fetched; grows with the backlog.", decimals=0
    )
    offsets = Look(
        "Records per second: folded, committed",
        "Steps of each worker's offsets, and of those that Redis holds.",
        _PER_SECOND,
    )
    owners = Look(
        "Slots by phase", "Owning is well; stopped waits for a decision, the worker's /-/ready says of what."
    )
    fetched = f"sum by (instance) ({_rate('salesfloor_worker_batch_records_total')})"
    batches = f"sum by (instance) ({_rate('salesfloor_worker_batches_total')})"
    return (
        lines("batch", 8, batch, Query(or_zero(f"{fetched} / ({batches} > 0)", "instance"), "{{instance}}")),
        lines(
            "offsets",
            8,
            offsets,
            Query("sum(deriv(salesfloor_worker_applied_offset[2m]))", "folded"),
            Query("sum(deriv(salesfloor_worker_flushed_offset[2m]))", "committed"),
            Query(f"sum({once('deriv(salesfloor_next_offset[2m])')})", "read by the metrics role"),
        ),
        lines(
            "phases",
            8,
            owners,
            Query("sum by (phase) (salesfloor_worker_slot_phase)", "{{phase}}"),
            Query("sum(salesfloor_worker_rebuilding)", "rebuilding"),
        ),
    )


def _processes() -> tuple[Panel, ...]:
    memory = Look("Memory", "Resident, of each process.", "bytes")
    processor = Look("Processor", "Cores each process keeps busy.", decimals=2)
    moves = Look(
        "Commits, claims, rebalances, per second",
        "Claims beyond those of a rebalance are slots loaded again.",
        _PER_SECOND,
    )
    held = Look("State held", "By all workers; panes are bounded by worker.panes_per_slot_max.")
    return (
        lines(
            "state",
            6,
            held,
            Query("sum(salesfloor_worker_state_entities)", "entities"),
            Query("sum(salesfloor_worker_state_panes)", "panes"),
        ),
        lines(
            "memory",
            6,
            memory,
            Query(f"process_resident_memory_bytes{{{_JOBS}}}", "{{job}} {{instance}}"),
        ),
        lines(
            "processor",
            6,
            processor,
            Query(f"rate(process_cpu_seconds_total{{{_JOBS}}}[$__rate_interval])", "{{job}} {{instance}}"),
        ),
        lines(
            "moves",
            6,
            moves,
            *(
                Query(f"sum({_rate(f'salesfloor_worker_{name}_total')})", name)
                for name in ("commits", "claims", "rebalances")
            ),
        ),
    )


def _trouble() -> tuple[Panel, ...]:
    store = Look(
        "Redis: errors and refusals, per second",
        "Unanswered calls, commits fenced by another owner, "
        "and those refused because the store lost what it had.",
        _PER_SECOND,
    )
    kafka = Look(
        "Kafka: errors, per second",
        "Of the group's coordinator, of reported offsets, "
        "re-reads, and slots loaded again after an unexpected error.",
        _PER_SECOND,
    )
    alive = Look(
        "Main loop's last tick, age",
        "A worker stuck for main_loop_timeout_seconds ends itself.",
        "s",
        steps=_TICKING,
    )

    def of_worker(**names: str) -> tuple[Query, ...]:
        return tuple(
            Query(f"sum({_rate(f'salesfloor_worker_{name}_total')})", said) for name, said in names.items()
        )

    return (
        lines(
            "redis",
            8,
            store,
            *of_worker(store_errors="errors", fenced="fenced", rolled_back="rolled back"),
            Query("sum(salesfloor_worker_paused)", "workers waiting for Redis"),
            Query("count(salesfloor_worker_redis_reachable == 0) or on() vector(0)", "workers without Redis"),
            Query("count(salesfloor_worker_kafka_reachable == 0) or on() vector(0)", "workers without Kafka"),
        ),
        lines(
            "kafka",
            8,
            kafka,
            *of_worker(
                coordinator_errors="coordinator",
                report_errors="reported offsets",
                reseeks="read again",
                faulted="slots loaded again",
            ),
        ),
        lines("loop", 8, alive, Query("salesfloor_worker_loop_tick_age_seconds", "{{instance}}")),
    )


def _gateway() -> tuple[Panel, ...]:
    fates = Look("Webhooks: parts of deliveries, per second", "By what became of them.", _PER_SECOND)
    answers = Look(
        "Webhooks: answers, per second", "By HTTP status; 4xx is the sender's to fix.", _PER_SECOND
    )
    slow = Look(
        "Webhooks: time to answer", "From a request's arrival to its answer; 0 before the first.", "s"
    )
    by_fate = summed(_rate("salesfloor_gateway_events_total"), "fate")
    by_status = summed(_rate("salesfloor_gateway_deliveries_total"), "status")
    buckets = summed(_rate("salesfloor_gateway_answer_seconds_bucket"), "le")
    return (
        lines("gateway-events", 8, fates, Query(or_zero(by_fate, "fate"), "{{fate}}")),
        lines("gateway-answers", 8, answers, Query(or_zero(by_status, "status"), "{{status}}")),
        lines("gateway-time", 8, slow, Query(or_zero(f"histogram_quantile(0.99, {buckets})"), "99% within")),
    )


def _behind() -> tuple[Panel, ...]:
    silent = Look(
        "Webhooks: how long ago",
        "The last one taken, by source: how long is long is the CRM's way. The oldest record still known "
        "by its id only: 0 when there is none.",
        "s",
    )
    waiting = Look(
        "Webhooks: waiting",
        "Records to be read back by their id, still known by it only, and in a source's topics.",
    )
    read = Look(
        "Webhooks: read back by id, per second",
        "Fetched, failed (tried again) and given up.",
        _PER_SECOND,
    )
    since = "time() - max by (source) (salesfloor_gateway_last_accepted_timestamp_seconds)"
    oldest = "time() - min(salesfloor_gateway_incomplete_since_timestamp_seconds > 0)"
    queue = summed("salesfloor_gateway_fetch_queue_records", "source")
    behind = summed("salesfloor_gateway_topic_records_behind", "source")
    fates = {"fetched_records": "fetched", "fetch_failures": "failed", "fetch_given_up_records": "given up"}
    return (
        lines(
            "gateway-silent",
            8,
            silent,
            Query(or_zero(since, "source"), "{{source}}"),
            Query(or_zero(oldest), "known by its id only"),
        ),
        lines(
            "gateway-waiting",
            8,
            waiting,
            Query(or_zero(queue, "source"), "to read back: {{source}}"),
            Query("max(salesfloor_gateway_incomplete_records)", "known by their id only"),
            Query(or_zero(behind, "source"), "in topics: {{source}}"),
        ),
        lines(
            "gateway-fetched",
            8,
            read,
            *(
                Query(or_zero(f"sum({_rate(f'salesfloor_gateway_{name}_total')})"), said)
                for name, said in fates.items()
            ),
        ),
    )


def _scrapes() -> tuple[Panel, ...]:
    up = Look("Doors that answer", "1 while Prometheus can scrape it.", decimals=0)
    series = Look(
        "Series per scrape", "What Prometheus keeps; levels, windows and keys are set in [metrics]."
    )
    screens = Look("Screens of the wall", "Pages that are connected; [wall] screens_max bounds them.")
    time = Look("Time of a scrape", "How long an answer takes.", "s")
    step = setting("custom.lineInterpolation", "stepAfter")
    return (
        lines("up", 6, up, Query(f"up{{{_JOBS}}}", "{{job}} {{instance}}", (step,))),
        lines("series", 6, series, Query(f"scrape_samples_scraped{{{_JOBS}}}", "{{job}} {{instance}}")),
        lines("screens", 6, screens, Query("sum(salesfloor_wall_screens)", "screens")),
        lines("scrape-time", 6, time, Query(f"scrape_duration_seconds{{{_JOBS}}}", "{{job}} {{instance}}")),
    )


def health() -> model.Dashboard:
    board = Board(
        "health",
        "salesfloor health",
        "The pipeline itself: can its numbers be believed, and does it keep up?",
        since="now-1h",
        refresh="10s",
    )
    board.variables((variables.source(),))
    board.line(4, *_state())
    board.heading("Records").line(8, *_records()).line(4, *_lost())
    board.heading("Workers").line(8, *_workers()).line(8, *_trouble())
    board.line(8, *_progress()).line(8, *_processes())
    board.heading("Gateway").line(8, *_gateway()).line(8, *_behind())
    board.heading("Doors and alerts").line(8, *_scrapes())
    board.line(8, alerts("alerts", 24, "Alerts", "Firing and pending alerts of Prometheus and Grafana."))
    return board.build()
