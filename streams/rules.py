"""What the settings decide about the panes: one frozen value, handed to the fold. A leaf."""

from dataclasses import dataclass, field
from typing import Literal

from metrics.calendar import Calendar

_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class FoldRules:
    """A change to any of these is another `definition_version`."""

    calendar: Calendar
    currency: str = "USD"
    stage_probability: dict[str, float] = field(default_factory=dict)
    retention_ms: int = 800 * _DAY_MS
    activity_horizon_ms: int = 35 * _DAY_MS
    panes_max: int = 200_000
    clock: Literal["wall", "event"] = "wall"
