"""`[[kpis]]` tables in, the floor's own KPIs beside the built-in ones out. Runs no text: a formula is parsed.

A formula is checked as soon as the settings are read, by the very catalogue that checks the built-in ones.
"""

from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from metrics.catalogue import BUILT_IN
from metrics.formula import KpiUnit
from metrics.kpi import PEOPLE, Catalogue, Kpi
from streams.settings_metrics import LevelName, WindowName


class KpiSettings(BaseModel):
    """One KPI of the floor's own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=64, description="lower-case letters, digits and _")
    sentence: str = Field(min_length=1, max_length=500, description="what it means, for people")
    formula: str = Field(
        min_length=1, description="over measures and other KPIs, such as 'calls / deals_won'"
    )
    unit: Literal["count", "money", "seconds", "ratio"] = Field(description="what the formula gives")
    levels: tuple[LevelName, ...] = Field(default=PEOPLE, min_length=1, description="levels it is shown at")
    quantiles: tuple[float, ...] = Field(
        default=(), description="0 to 1; each takes the place of q in quantile(q, …)"
    )
    windows: tuple[WindowName, ...] = Field(
        default=(), description="windows it is exported for as gauges; empty: those of each level"
    )

    def as_kpi(self) -> Kpi:
        return Kpi(
            self.name,
            self.sentence,
            self.formula,
            KpiUnit(self.unit),
            self.levels,
            quantiles=self.quantiles,
            windows=self.windows,
        )


def catalogue_with(kpis: Iterable[KpiSettings]) -> Catalogue:
    """Return the built-in KPIs and these. Raises `FormulaError`, naming the KPI and the fix."""
    return BUILT_IN.with_custom(kpi.as_kpi() for kpi in kpis)
