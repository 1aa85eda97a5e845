"""`[pacing]` and `[[targets]]` in, checked `Pacing` and target records out. Opens nothing.

A target of the settings is the same record that `sales.target.set` brings; an event of the same KPI, level,
key and period replaces it.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from metrics.pacing import Pacing
from metrics.reference import Target
from metrics.targets import TargetRules, shown_field, why_unusable

Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


class PacingSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    weekday_weights: dict[Weekday, float] = Field(
        default_factory=dict,
        description="share of a target's work that falls on a weekday; unset, a business day weighs 1, "
        "another 0; holidays always weigh 0",
    )
    ramp_months: int = Field(
        default=0,
        ge=0,
        le=36,
        description="months in which the days of a new rep come to weigh as much as everybody's",
    )
    commit_probability: float = Field(
        default=0.8, ge=0, le=1, description="open deals at least so probable are in forecast_commit"
    )
    best_case_probability: float = Field(
        default=0.5, ge=0, le=1, description="open deals at least so probable are in forecast_best_case"
    )
    fiscal_year_named_by: Literal["start", "end"] = Field(
        default="end", description="which calendar year names a fiscal year, as in the period '2026-Q4'"
    )

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        for day, weight in self.weekday_weights.items():
            if not 0 <= weight <= 100:
                raise ValueError(f"weekday_weights gives {day} the weight {weight}; use 0 to 100")
        if self.weekday_weights and not any(self.weekday_weights.values()) and len(self.weekday_weights) == 7:
            raise ValueError("weekday_weights is 0 on every day; give one day a weight")
        if self.best_case_probability > self.commit_probability:
            raise ValueError("best_case_probability is above commit_probability; lower it")
        return self

    def as_pacing(self) -> Pacing:
        return Pacing(
            weekday_weights={str(day): weight for day, weight in self.weekday_weights.items()},
            ramp_months=self.ramp_months,
            commit_probability=self.commit_probability,
            best_case_probability=self.best_case_probability,
            year_named_by=self.fiscal_year_named_by,
        )


class TargetSettings(BaseModel):
    """What one KPI should reach in one period."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kpi: str = Field(description="name of any KPI, see `salesfloor kpis`")
    period: str = Field(description="2026, 2026-Q4, 2026-11, 2026-W47 or 2026-11-01/2026-12-01")
    value: Decimal = Field(description="what should be reached; a ratio as 0.4, a duration in seconds")
    level: str = Field(default="floor", description="floor, team, rep or any level of the KPI")
    key: str = Field(default="", description="id of the team or rep it is for; empty for the floor")
    currency: str | None = Field(default=None, description="of the value, for KPIs that are money")

    def as_target(self) -> Target:
        return Target(self.kpi, self.level, self.key, self.period, self.value, self.currency)


def check_targets(targets: Iterable[TargetSettings], rules: TargetRules) -> None:
    """Raise ValueError naming the first target that cannot be used, the value and the fix."""
    seen: dict[str, int] = {}
    for number, settings in enumerate(targets, 1):
        target = settings.as_target()
        found = why_unusable(target, rules)
        if found is not None:
            field, why = found
            raise ValueError(f"number {number}, {field} = {shown_field(target, field)}: {why}")
        if target.id in seen:
            raise ValueError(
                f"number {number} is for the same KPI, level, key and period as number {seen[target.id]}; "
                "keep one"
            )
        seen[target.id] = number
