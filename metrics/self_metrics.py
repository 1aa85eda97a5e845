"""Counters and states of the pipeline itself in, metric families out. A closed set of names."""

from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Final, NamedTuple

from prometheus_client import ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric

from metrics.kpi_snapshot import KpiSnapshot
from metrics.labels import label_value
from metrics.panes import FeedState


class _Counter(NamedTuple):
    name: str
    label: str
    documentation: str


# Group of `FeedState.counters` -> the counter it is shown as.
COUNTERS: Final[dict[str, _Counter]] = {
    "accepted": _Counter("salesfloor_events", "topic", "Events decoded and merged, duplicates included."),
    "unchanged": _Counter("salesfloor_events_unchanged", "topic", "Events that said nothing new."),
    "rejected": _Counter("salesfloor_events_rejected", "reason", "Records that became dead letters."),
    "ignored": _Counter("salesfloor_events_ignored", "what", "Well-formed input that no number knows."),
    "lost": _Counter("salesfloor_records_lost", "topic", "Records gone from the log before they were read."),
    "gaps": _Counter("salesfloor_offset_gaps", "topic", "Offsets that hold no record."),
}


_PROCESS: Final = ProcessCollector(registry=None)


def build_info() -> Metric:
    return InfoMetricFamily("salesfloor_build", "Version of salesfloor.", value={"version": own_version()})


def process_families() -> Iterator[Metric]:
    """Yield which release this process is, its memory, processor time and open files."""
    yield build_info()
    yield from _PROCESS.collect()


@cache  # looked up in the file system: a tenth of a scrape's time
def own_version() -> str:
    try:
        return version("salesfloor")
    except PackageNotFoundError:
        return "unknown"


def feed_families(state: FeedState) -> Iterator[Metric]:
    """Yield the counters that were committed together with the panes, and how complete the panes are."""
    for group, counter in COUNTERS.items():
        family = CounterMetricFamily(counter.name, counter.documentation, labels=[counter.label])
        # The sum over some of the slots is not the total, and a counter that falls reads as a restart.
        for name, count in sorted(state.counters.get(group, {}).items()) if state.ready else ():
            family.add_metric([label_value(name)], count)
        yield family
    offsets = GaugeMetricFamily(
        "salesfloor_next_offset", "Next offset to fold, as committed.", labels=["topic", "partition"]
    )
    for topic, partitions in sorted(state.offsets.items()):
        for partition, offset in sorted(partitions.items()):
            offsets.add_metric([topic, str(partition)], offset)
    yield offsets
    yield _gauge("rebuilding", "1 while state is folded anew from the topics.", state.rebuilding)
    yield _gauge("slots_expected", "Slots there are: partitions of the source topics.", state.slots_expected)
    yield _gauge("slots_loaded", "Slots whose panes are read.", state.slots_loaded)


def snapshot_families(snapshot: KpiSnapshot) -> Iterator[Metric]:
    """Yield what stands beside the KPIs: a frozen number must look frozen."""
    yield _gauge("as_of_timestamp_seconds", "The instant all KPIs speak of.", snapshot.as_of_ms / 1000)
    if snapshot.data_age_seconds is not None:
        yield _gauge("data_age_seconds", "Now minus the newest event time seen.", snapshot.data_age_seconds)
    missing = GaugeMetricFamily(
        "salesfloor_missing_rates",
        "Deals won, lost or open, and postings of spend, whose amount no number contains for lack of a rate.",
        labels=["currency"],
    )
    for currency, rows in sorted(snapshot.missing_rates.items()):
        missing.add_metric([label_value(currency)], rows)
    yield missing
    yield _gauge(
        "reference_problems",
        "Reference records and settings that cannot be used; the snapshot says which and why.",
        len(snapshot.reference_problems),
    )
    over = GaugeMetricFamily(
        "salesfloor_label_values_over_budget",
        "Keys that share the label value 'other' because the level has more than keys_per_level_max.",
        labels=["level"],
    )
    for level, keys in sorted(snapshot.keys.items()):
        over.add_metric([level], keys.over_budget)
    yield over


def _gauge(name: str, documentation: str, value: float) -> Metric:
    return GaugeMetricFamily(f"salesfloor_{name}", documentation, value=float(value))
