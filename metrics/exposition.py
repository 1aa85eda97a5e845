"""Gauges and families in, the bytes of a scrape out, as Prometheus text or OpenMetrics. Decides no name.

The KPI gauges are written straight from their columns: a hundred thousand series take a tenth of the
time that sample objects and the client library's writer need.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.exposition import generate_latest as text_of
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics_of
from prometheus_client.registry import Collector, CollectorRegistry

from metrics.gauges import Gauge, GaugeBlock, Labels

CONTENT_TYPE_TEXT: Final = CONTENT_TYPE_PLAIN_0_0_4
CONTENT_TYPE_OPENMETRICS: Final = CONTENT_TYPE_LATEST
_EOF: Final = b"# EOF\n"
_LINES_MAX: Final = 200_000
"""So many lines are kept from one scrape to the next: some 20 MB."""


class LabelText:
    """Written-out label sets, kept as long as the very same sets come again; and lines, while they are few
    enough, as long as their values do: of two snapshots close after each other most are the same."""

    def __init__(self, *, lines_max: int = _LINES_MAX) -> None:
        self._kept: dict[int, tuple[Sequence[Labels], list[str]]] = {}
        self._lines: dict[tuple[str, int], tuple[Sequence[Labels], bytes, str]] = {}
        self._lines_max = lines_max
        self._held = 0

    def lines(self, name: str, block: GaugeBlock) -> str:
        """Return the lines of a gauge's block; NaN is none."""
        labels, values = block.labels, block.values.tobytes()
        kept = self._lines.get((name, id(labels)))
        if kept is not None and kept[0] is labels and kept[1] == values:
            return kept[2]
        pairs = zip(self.of(labels), block.values.tolist(), strict=True)
        text = "".join([f"{name}{label} {value!r}\n" for label, value in pairs if value == value])
        if kept is not None or self._held + len(labels) <= self._lines_max:
            self._held += 0 if kept is not None else len(labels)
            self._lines[name, id(labels)] = (labels, values, text)
        return text

    def of(self, labels: Sequence[Labels]) -> list[str]:
        # The sequence is kept beside its text, so its id cannot come to mean another one.
        kept = self._kept.get(id(labels))
        if kept is None:
            kept = self._kept[id(labels)] = (labels, [_label_text(each) for each in labels])
        return kept[1]

    def forget_all_but(self, used: Iterable[Sequence[Labels]]) -> None:
        wanted = {id(labels) for labels in used}
        if wanted.issuperset(self._kept):
            return
        self._kept = {key: kept for key, kept in self._kept.items() if key in wanted}
        self._lines = {key: kept for key, kept in self._lines.items() if key[1] in wanted}
        self._held = sum(len(labels) for labels, _, _ in self._lines.values())


def _label_text(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def kpi_lines(gauges: Sequence[Gauge], texts: LabelText, *, openmetrics: bool) -> bytes:
    """Return the gauges in the exposition format, without an end mark."""
    parts: list[str] = []
    for gauge in gauges:
        parts.append(f"# HELP {gauge.name} {_escaped_help(gauge.documentation, openmetrics=openmetrics)}\n")
        parts.append(f"# TYPE {gauge.name} gauge\n")
        if openmetrics and gauge.unit:
            parts.append(f"# UNIT {gauge.name} {gauge.unit}\n")
        parts += [texts.lines(gauge.name, block) for block in gauge.blocks]
    texts.forget_all_but(block.labels for gauge in gauges for block in gauge.blocks)
    return "".join(parts).encode()


def _escaped_help(text: str, *, openmetrics: bool) -> str:
    return _escaped(text) if openmetrics else text.replace("\\", r"\\").replace("\n", r"\n")


def family_lines(families: Iterable[Metric], *, openmetrics: bool) -> bytes:
    """Return prometheus-client families in the exposition format, without an end mark."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families(tuple(families)))
    if not openmetrics:
        return bytes(text_of(registry))
    return bytes(openmetrics_of(registry)).removesuffix(_EOF)  # type: ignore[no-untyped-call]


class _Families(Collector):
    def __init__(self, families: tuple[Metric, ...]) -> None:
        self._families = families

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterable[Metric]:
        return self._families


def scrape(kpis: bytes, own: bytes, *, openmetrics: bool) -> bytes:
    return kpis + own + (_EOF if openmetrics else b"")
