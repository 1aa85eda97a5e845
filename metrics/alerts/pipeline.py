"""An `AlertPlan` in, the rules about the pipeline itself out: is what the floor shows true right now?"""

from metrics.alerts.plan import (
    BUDGET,
    DEAD,
    FROZEN,
    GATEWAY,
    HOUR,
    INCOMPLETE,
    KAFKA,
    LAG,
    LOST,
    METRICS,
    REDIS,
    REPLAY,
    STALE,
    WAITS,
    WORKER,
    AlertPlan,
)
from metrics.alerts.rules import REPLAYING, AlertRule, Group, Said, alert_rule, duration, number

_SHARE = "{{ $value | humanizePercentage }}"


def pipeline_group(plan: AlertPlan) -> Group:
    found = {name: expr_and_text for name, expr_and_text in _rules(plan).items() if plan.runs(name)}
    rules: tuple[AlertRule, ...] = tuple(
        alert_rule(plan, name, expr, said) for name, (expr, said) in found.items()
    )
    return Group("salesfloor-pipeline", plan.pipeline_evaluation_seconds, rules)


def _rules(plan: AlertPlan) -> dict[str, tuple[str, Said]]:
    return {**_freshness(plan), **_records(plan), **_reach(plan)}


def _freshness(plan: AlertPlan) -> dict[str, tuple[str, Said]]:
    stale, frozen = plan.stale_after_seconds, plan.frozen_after_seconds
    return {
        STALE: (
            # The youngest of all metrics roles: one that lost its Redis must not call the data old.
            f"min(salesfloor_last_event_age_seconds) > {stale}\n"
            "and on () (max(salesfloor_business_open) == 1)",
            Said(
                "No event has come from the CRM although the floor is at work.",
                "The newest event is {{ $value | humanizeDuration }} old, more than "
                f"{duration(stale)}. Alerts about the business are silent until data comes again.",
                "Check the CRM's webhook deliveries, the gateway's log and the consumer lag, in this order.",
            ),
        ),
        FROZEN: (
            f"time() - max(salesfloor_as_of_timestamp_seconds) > {frozen}",
            Said(
                "The gauges are no longer computed, so every number on the floor is old.",
                "They speak of an instant {{ $value | humanizeDuration }} ago.",
                "Look at the log of the metrics role, and whether it has the memory and time that it needs.",
            ),
        ),
        REPLAY: (
            REPLAYING,
            Said(
                "History or a backlog is folded; alerts about the business are silent until it is done.",
                "The metrics role knows that not all state is there yet.",
                "Wait. If it does not end, look at the workers' lag and log.",
            ),
        ),
    }


def _records(plan: AlertPlan) -> dict[str, tuple[str, Said]]:
    rejected = "sum(max by (reason) (increase(salesfloor_events_rejected_total[1h])))"
    accepted = "sum(max by (topic) (increase(salesfloor_events_total[1h])))"
    lost = "sum(max by (topic) (salesfloor_records_lost_total{when}))"
    return {
        LAG: (
            f"sum by (topic) (salesfloor_worker_lag_records) > {plan.lag_records_min}\n"
            "and sum by (topic) (deriv(salesfloor_worker_lag_records[10m])) > 0",
            Said(
                "The workers fall behind on {{ $labels.topic }}.",
                "{{ $value | humanize }} records wait, and it becomes more: numbers get older and older.",
                "Start more workers, up to one per partition; look at commit_seconds for a slow Redis.",
            ),
        ),
        DEAD: (
            f"{rejected} / ({accepted} + {rejected}) > {number(plan.dead_letter_ratio)}\n"
            f"and {rejected} >= {plan.dead_letters_min}",
            Said(
                "Too many records cannot be used.",
                f"{_SHARE} of the last hour's records became dead letters.",
                "Read the newest records of sales.dead-letters: their headers name the reason and the field.",
            ),
        ),
        LOST: (
            f"{lost.format(when='')}\n> ({lost.format(when=' offset 1h')} or vector(0))",
            Said(
                "Records were removed by Kafka's retention before they were read.",
                "{{ $value | humanize }} records are lost in all; the windows that held them are too low.",
                "Raise the topics' retention or start more workers, then publish the missing events again.",
            ),
        ),
        INCOMPLETE: (
            f"time() - min(salesfloor_gateway_incomplete_since_timestamp_seconds > 0) > {HOUR}",
            Said(
                "The CRM told of records whose values never came.",
                "The oldest waits for {{ $value | humanizeDuration }}; what it says is in no number.",
                "See `salesfloor incomplete`; set the source's API token, or reconcile with an export.",
            ),
        ),
        BUDGET: (
            "max by (level) (salesfloor_label_values_over_budget) > 0",
            Said(
                "More {{ $labels.level }} keys than series are budgeted for.",
                '{{ $value | printf "%.0f" }} keys share the label value "other" and are not told apart.',
                "Raise [metrics] keys_per_level_max, or leave the level out of [metrics] levels.",
            ),
        ),
    }


def _reach(plan: AlertPlan) -> dict[str, tuple[str, Said]]:
    again = "Bring it back; nothing is lost while Kafka keeps the events, and reading goes on by itself."
    return {
        REDIS: (
            "min by (instance) (salesfloor_worker_redis_reachable) == 0",
            Said(
                "Worker {{ $labels.instance }} does not reach Redis.",
                "It keeps what it folded in memory and stops reading; the numbers stand still.",
                again,
            ),
        ),
        KAFKA: (
            "min by (instance) (salesfloor_worker_kafka_reachable) == 0",
            Said(
                "Worker {{ $labels.instance }} does not reach Kafka.",
                "No event is read; the numbers stand still.",
                again,
            ),
        ),
        WAITS: (
            " and ".join(
                f"min by (instance) (salesfloor_worker_{name}) == {value}"
                for name, value in (("ready", 0), ("redis_reachable", 1), ("kafka_reachable", 1))
            ),
            Said(
                "Worker {{ $labels.instance }} waits for a decision.",
                "Kafka and Redis answer, but it does not read: the numbers of its partitions stand still.",
                "Ask its /-/ready: it says why, and mostly which command to run.",
            ),
        ),
        WORKER: (
            # `absent` fires too when no worker was ever found: a vanished target leaves no `up` behind.
            _down(plan.worker_job),
            Said(
                "A worker does not answer; another takes its partitions over if there is one.",
                "Its partitions stand still until then.",
                "Look at the worker's log and restart it. Nothing is lost while Kafka keeps the events.",
            ),
        ),
        METRICS: (
            _down(plan.metrics_job),
            Said(
                "The metrics role does not answer: no numbers, and no alert about the business.",
                "Walls keep what they showed last; Prometheus sees nothing.",
                "Look at its log and restart it. It keeps nothing of its own.",
            ),
        ),
        GATEWAY: (
            _down(plan.gateway_job),
            Said(
                "The gateway does not answer: webhooks of the CRM are refused.",
                "Most CRMs send again for hours or days, then give up.",
                "Look at its log and restart it.",
            ),
        ),
    }


def _down(job: str) -> str:
    return f'up{{job="{job}"}} == 0 or absent(up{{job="{job}"}})'
