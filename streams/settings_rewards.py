"""`[[leaderboards]]`, `[[contests]]`, `[[commission_plans]]` and `[[funnels]]` tables in, checked rules out.

Everything is checked as soon as the settings are read: names, KPIs, levels, windows, times and tiers. An
error names the table and the fix. Ranks nobody.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from itertools import groupby
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from metrics.beside import BesideRules
from metrics.calendar import Calendar
from metrics.commission import Plan, PlanVersion, Tier, tier_problem
from metrics.contest import Contest
from metrics.conversion_counts import FUNNEL_KPIS, LEAD_CONVERSION, Funnel, funnel_of
from metrics.formula import FormulaError, KpiUnit
from metrics.kpi import Catalogue, Kpi
from metrics.leaderboard import PERIOD_FORMS, Leaderboard
from metrics.rewards import RewardRules
from metrics.targets import can_be_paced
from streams.settings_metrics import WindowName

CompetingLevel = Literal["team", "rep"]
Instant = datetime | date

_NAME = Field(min_length=1, max_length=64, description="what it is called everywhere")


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LeaderboardSettings(_Table):
    name: str = _NAME
    title: str = Field(default="", max_length=200, description="what people read; the name if empty")
    kpi: str = Field(description="any KPI; `salesfloor kpis` lists them")
    window: WindowName = Field(default="mtd", description="the window that counts")
    level: CompetingLevel = Field(default="rep", description="who is ranked")
    by: Literal["value", "target", "gain"] = Field(
        default="value", description="what ranks: the number, its share of the target, or its gain"
    )
    better: Literal["higher", "lower"] = Field(default="higher", description="which numbers come first")
    top: int = Field(default=10, ge=1, le=1000, description="places that are shown")
    quantile: float | None = Field(default=None, description="of a KPI with quantiles, the one that counts")

    def as_board(self) -> Leaderboard:
        return Leaderboard(
            self.name, self.kpi, self.window, self.level, self.by, self.better, self.top, self.quantile,
            self.title or self.name,
        )  # fmt: skip


class ContestSettings(_Table):
    name: str = _NAME
    kpi: str = Field(description="any KPI that counts over time; `salesfloor kpis` lists them")
    level: CompetingLevel = Field(default="rep", description="who takes part")
    keys: tuple[str, ...] = Field(default=(), description="the teams or reps that take part; empty: all")
    start: Instant = Field(description="first instant that counts; a date begins at local midnight")
    end: Instant = Field(description="first instant that no longer counts")
    settling_hours: float = Field(
        default=24.0, ge=0, le=8760, description="corrections count for so long after the end"
    )
    prize: str = Field(default="", max_length=500, description="what there is to win")
    better: Literal["higher", "lower"] = Field(default="higher", description="which numbers come first")
    quantile: float | None = Field(default=None, description="of a KPI with quantiles, the one that counts")

    def as_contest(self, calendar: Calendar) -> Contest:
        return Contest(
            name=self.name,
            kpi=self.kpi,
            start_ms=_instant_ms(self.start, calendar),
            end_ms=_instant_ms(self.end, calendar),
            level=self.level,
            keys=self.keys,
            prize=self.prize,
            settling_ms=round(self.settling_hours * 3_600_000),
            better=self.better,
            quantile=self.quantile,
        )


class TierSettings(_Table):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    start: Decimal = Field(default=Decimal(0), ge=0, alias="from", description="amount it begins at")
    end: Decimal | None = Field(default=None, alias="to", description="amount it ends at; none: no end")
    rate: Decimal = Field(description="share of the amount in it, such as 0.05 for 5 %")


class PlanSettings(_Table):
    name: str = _NAME
    valid_from: date = Field(description="the day on which this version takes effect")
    kpi: str = Field(default="revenue", description="the money it is paid on")
    period: Literal["month", "quarter", "year"] = Field(
        default="month", description="tiers begin anew with each"
    )
    reps: tuple[str, ...] = Field(default=(), description="whose plan it is; empty: everybody's")
    tiers: tuple[TierSettings, ...] = Field(description="such as [{ from = 0, to = 10000, rate = 0.05 }]")
    visible: Literal["rep", "all"] = Field(
        default="rep", description="who may see the estimates: the rep alone, or everybody"
    )

    def as_version(self) -> PlanVersion:
        tiers = tuple(Tier(tier.start, tier.end, tier.rate) for tier in self.tiers)
        return PlanVersion(self.name, self.valid_from, self.kpi, self.period, tiers, self.reps, self.visible)


class FunnelSettings(_Table):
    name: str = Field(
        pattern=r"^[a-z][a-z0-9_]{0,63}$",
        description="value of the label funnel; lower-case letters, digits and _",
    )
    kpi: str = Field(description="a KPI that is one sum of counts divided by another")


def _instant_ms(said: Instant, calendar: Calendar) -> int:
    if isinstance(said, datetime):
        if said.tzinfo is not None:
            return round(said.timestamp() * 1000)
        return calendar.instant_ms(said.date(), said.time())
    return calendar.instant_ms(said)


# --- checks; each raises ValueError with one line that names the table and the fix


def check_tables(name: str, tables: Sequence[Any], catalogue: Catalogue, calendar: Calendar) -> None:
    """Check all tables of one name."""
    match name:
        case "leaderboards":
            check_leaderboards(tables, catalogue)
        case "contests":
            check_contests(tables, catalogue, calendar)
        case "commission_plans":
            check_plans(tables, catalogue)
        case _:
            check_funnels(tables, catalogue)


def check_leaderboards(boards: Sequence[LeaderboardSettings], catalogue: Catalogue) -> None:
    _check_names(board.name for board in boards)
    for board in boards:
        kpi = _kpi(board.name, board.kpi, board.level, board.quantile, catalogue)
        if board.by == "target" and board.window not in PERIOD_FORMS:
            raise ValueError(
                f"{board.name!r}: window = {board.window!r} belongs to no target's period; "
                f"use one of {', '.join(PERIOD_FORMS)}"
            )
        if board.by == "gain" and catalogue.is_level(kpi):
            raise ValueError(
                f"{board.name!r}: {kpi.name} tells what is now and gains nothing; use by = 'value'"
            )


def check_contests(contests: Sequence[ContestSettings], catalogue: Catalogue, calendar: Calendar) -> None:
    _check_names(contest.name for contest in contests)
    for each in contests:
        kpi = _kpi(each.name, each.kpi, each.level, each.quantile, catalogue)
        if catalogue.is_level(kpi):
            raise ValueError(
                f"{each.name!r}: {kpi.name} tells what is now; choose a KPI that counts over time"
            )
        contest = each.as_contest(calendar)
        if contest.end_ms <= contest.start_ms:
            raise ValueError(
                f"{each.name!r}: end = {each.end} is not after start = {each.start}; correct one"
            )


def check_plans(plans: Sequence[PlanSettings], catalogue: Catalogue) -> None:
    seen: set[tuple[str, date]] = set()
    for plan in plans:
        if (plan.name, plan.valid_from) in seen:
            raise ValueError(
                f"{plan.name!r}: two versions are valid from {plan.valid_from}; keep one of them"
            )
        seen.add((plan.name, plan.valid_from))
        kpi = _kpi(plan.name, plan.kpi, "rep", None, catalogue)
        if kpi.unit is not KpiUnit.MONEY or not can_be_paced(kpi, catalogue):
            raise ValueError(f"{plan.name!r}: {kpi.name} is no sum of money; use one such as revenue")
        problem = tier_problem(plan.as_version().tiers)
        if problem is not None:
            raise ValueError(f"{plan.name!r}: {problem}")


def check_funnels(funnels: Sequence[FunnelSettings], catalogue: Catalogue) -> None:
    _check_names(funnel.name for funnel in funnels)
    for funnel in funnels:
        if funnel.name in (*FUNNEL_KPIS, LEAD_CONVERSION):
            raise ValueError(f"{funnel.name!r}: every floor has this funnel; use another name")
        _as_funnel(funnel, catalogue)


def _check_names(names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"{name!r} is there twice; rename one")
        seen.add(name)


def _kpi(name: str, kpi_name: str, level: str, quantile: float | None, catalogue: Catalogue) -> Kpi:
    if kpi_name not in catalogue:
        raise ValueError(f"{name!r}: unknown KPI {kpi_name!r}; `salesfloor kpis` lists them all")
    kpi = catalogue[kpi_name]
    if level not in kpi.levels:
        raise ValueError(f"{name!r}: {kpi_name} is not known by {level}; choose another KPI or level")
    if kpi.quantiles and quantile not in kpi.quantiles:
        known = " or ".join(map(str, kpi.quantiles))
        raise ValueError(f"{name!r}: {kpi_name} has several quantiles; say quantile = {known}")
    if quantile is not None and not kpi.quantiles:
        raise ValueError(f"{name!r}: {kpi_name} has no quantiles; leave quantile out")
    return kpi


def _as_funnel(funnel: FunnelSettings, catalogue: Catalogue) -> Funnel:
    try:
        return funnel_of(funnel.name, funnel.kpi, catalogue)
    except FormulaError as error:
        raise ValueError(f"{funnel.name!r}: {error}") from None


# --- what metrics is given


def beside_rules(
    boards: Iterable[LeaderboardSettings],
    contests: Iterable[ContestSettings],
    plans: Iterable[PlanSettings],
    funnels: Iterable[FunnelSettings],
    catalogue: Catalogue,
    calendar: Calendar,
) -> BesideRules:
    versions = sorted((plan.as_version() for plan in plans), key=lambda each: (each.name, each.valid_from))
    return BesideRules(
        funnels=tuple(_as_funnel(funnel, catalogue) for funnel in funnels),
        rewards=RewardRules(
            tuple(board.as_board() for board in boards),
            tuple(contest.as_contest(calendar) for contest in contests),
            tuple(Plan(name, tuple(of_name)) for name, of_name in groupby(versions, lambda each: each.name)),
        ),
    )
