"""A KPI, a level and windows in, those that become gauges out. Cuts no snapshot: answers know them all."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from metrics.kpi import Kpi

_OF_MANY: Final = ("today", "wtd", "mtd", "qtd", "30d")

# A floor has one series of a KPI and window, a level of many keys has hundreds: those are exported for
# what people and leaderboards are measured by, and answered for every window all the same.
DEFAULT_WINDOWS_OF: Final[Mapping[str, tuple[str, ...]]] = {
    "team": ("1h", "7d", "30d", "90d", "today", "wtd", "mtd", "qtd", "ytd"),
    "rep": _OF_MANY,
    "product": _OF_MANY,
    "source": _OF_MANY,
    "region": _OF_MANY,
}
DEFAULT_PREVIOUS_OF: Final[Mapping[str, tuple[str, ...]]] = {
    "rep": ("wtd", "mtd"),
    "product": ("mtd",),
    "source": ("mtd",),
    "region": ("mtd",),
}


@dataclass(frozen=True)
class GaugeWindows:
    """A level that is not named has a gauge for every window of the snapshot, and a twin for every gauge."""

    of_level: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    previous_of_level: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def of(
        self, kpi: Kpi, level: str, windows: Iterable[str | None], *, previous: bool = False
    ) -> tuple[str | None, ...]:
        """Return those of the windows that the KPI is exported for; None, what is open now, always is.

        What a KPI says itself goes before what is said of the level. A twin stands only beside its window.
        """
        wanted = kpi.windows or self.of_level.get(level)
        shown = [each for each in windows if each is None or wanted is None or each in wanted]
        if previous:
            twins = self.previous_of_level.get(level)
            shown = [each for each in shown if twins is None or each in twins]
        return tuple(shown)


BY_DEFAULT: Final = GaugeWindows(DEFAULT_WINDOWS_OF, DEFAULT_PREVIOUS_OF)
EVERY_WINDOW: Final = GaugeWindows()
