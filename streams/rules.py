"""What the settings decide about the panes: one frozen value, handed to the fold. A leaf."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from metrics.calendar import WEEKDAYS, Calendar

_DAY_MS = 86_400_000


def _every_day() -> dict[str, tuple[int, int]]:
    return dict.fromkeys(WEEKDAYS, (9 * 60, 18 * 60))


@dataclass(frozen=True, slots=True)
class JoinRules:
    """Acts where facts are joined: a change needs a restart of who reads, no rebuild."""

    hours: Mapping[str, tuple[int, int]] = field(default_factory=_every_day)
    """First and last business minute of each weekday."""
    response_sla_ms: int = 3_600_000
    """Business time within which a lead should be contacted."""
    stalled_after_ms: int = 14 * _DAY_MS


@dataclass(frozen=True, slots=True)
class DueRules:
    """Which open deals a forecast counts. Acts where facts are joined, not in the fold."""

    commit_probability: float = 0.8
    best_case_probability: float = 0.5


@dataclass(frozen=True, slots=True)
class FoldRules:
    """A change to any of these but `joins` is another `definition_version`."""

    calendar: Calendar
    currency: str = "USD"
    stage_probability: dict[str, float] = field(default_factory=dict)
    """Acts where facts are joined and where numbers are shown, not in the fold."""
    retention_ms: int = 800 * _DAY_MS
    activity_horizon_ms: int = 35 * _DAY_MS
    panes_max: int = 200_000
    clock: Literal["wall", "event"] = "wall"
    due: DueRules = field(default_factory=DueRules)
    joins: JoinRules = field(default_factory=JoinRules)
