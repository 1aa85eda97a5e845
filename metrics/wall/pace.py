"""A KPI and its window in, how its target stands out: the one whose running period the window is. Pure."""

from typing import Final, Literal

from metrics.kpi import Kpi
from metrics.kpi_snapshot import KpiSnapshot
from metrics.leaderboard import PERIOD_FORMS
from metrics.targets import TargetStanding
from metrics.wall.numbers import Json, Numbers

Pace = Literal["ahead", "behind", "on"]

ON_PACE_SHARE: Final = 0.02
"""So near to what is expected by now counts as on pace: less is noise of one deal more or less."""


def target_of(
    snapshot: KpiSnapshot, kpi: str, level: str, label: str, window: str | None
) -> TargetStanding | None:
    """Return the running target of this KPI and key whose period the window is the elapsed part of."""
    form = PERIOD_FORMS.get(window or "")
    if form is None:
        return None
    for standing in snapshot.targets:
        target = standing.target
        same = (target.kpi.name, target.record.level, target.label) == (kpi, level, label)
        if same and form.fullmatch(target.period.name):
            return standing
    return None


def target_part(standing: TargetStanding | None, kpi: Kpi, numbers: Numbers) -> Json:
    """Return the target's part of a widget; all None without one."""
    figures = {} if standing is None else standing.figures
    return {
        "target": numbers.wire(figures.get("quota"), kpi),
        "attainment": figures.get("quota_attainment"),
        "expected": numbers.wire(figures.get("pace_expected"), kpi),
        "pace": _pace(figures.get("pace_expected"), figures.get("pace_delta")),
    }


def _pace(expected: float | None, delta: float | None) -> Pace | None:
    if expected is None or delta is None:
        return None
    if abs(delta) <= ON_PACE_SHARE * expected:
        return "on"
    return "ahead" if delta > 0 else "behind"
