"""`verify`: the numbers of the state in Redis held against the same numbers made again from the topics.

One cut: the boards' own offsets say up to which record each partition is read. Changes nothing.
Ends with 0 where all is the same, with 1 where numbers differ, with 2 where it cannot be told.
"""

import asyncio
import json
import shlex
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from fractions import Fraction
from typing import Final

import click
from aiokafka.errors import KafkaError
from rich.console import Console
from rich.table import Table

from metrics.calendar import rfc3339
from metrics.kpi_snapshot import JsonValue, KpiSnapshot
from metrics.snapshot import Filters, PaneImage, Snapshotter
from oracle.books import books_of
from oracle.commissions import Tier, Version
from oracle.formulas import Own, own_answers, windows_in
from oracle.log import Log, Rules
from oracle.numbers import answers
from oracle.reference import Reference, reference_of
from oracle.targets import Custom, Goal, first_days, goals_of
from oracle.windows import Floor, Span, instant_of
from streams.clock import SystemClock
from streams.commands.frame import Failed
from streams.commands.numbers import Question, asked_of
from streams.commands.state import stored
from streams.settings import FloorSettings, Settings, beside_rules_of, catalogue_of, snapshot_config_of
from streams.stores.base import StoreUnavailable
from streams.verify import Comparison, Difference, both, compare, scope_of
from streams.verify_beside import Expected, Told, told_beside
from streams.verify_commissions import compare_commissions
from streams.verify_counts import compare_counts
from streams.verify_log import LogTooShort, Partition, ReadReport, read_log
from streams.verify_standings import compare_standings

DIFFERENT: Final = 1
_DAY_MS: Final = 86_400_000
_SHOWN_PER_GROUP: Final = 3
_GROUPS_SHOWN: Final = 20


class CannotTell(Failed):
    exit_code = 2


@dataclass(frozen=True)
class Verdict:
    snapshot: KpiSnapshot
    read: ReadReport
    log: Log
    comparison: Comparison

    @property
    def word(self) -> str:
        if self.comparison.differences:
            return "cannot tell" if self.read.removed else "different"
        return "same" if self.comparison.compared else "cannot tell"

    @property
    def exit_code(self) -> int:
        return {"same": 0, "different": DIFFERENT}.get(self.word, CannotTell.exit_code)


def verify(settings: Settings, question: Question, *, records_max: int, as_json: bool) -> None:
    at_ms, filters = asked_of(settings, question)
    shows = sys.stderr.isatty() and not as_json
    try:
        verdict = asyncio.run(_verify(settings, at_ms, filters, records_max, shows=shows))
    except (Failed, LogTooShort, StoreUnavailable, KafkaError) as error:
        text = error.message if isinstance(error, Failed) else str(error) or type(error).__name__
        raise CannotTell(f"cannot tell: {text}") from None
    if as_json:
        click.echo(json.dumps(told(verdict), ensure_ascii=False))
    else:
        _print(verdict)
    raise click.exceptions.Exit(verdict.exit_code)


async def _verify(
    settings: Settings, at_ms: int | None, filters: Filters, records_max: int, *, shows: bool
) -> Verdict:
    async with stored(settings) as state:
        image, under = PaneImage.of(state.follower), state.under
    if image.state.rebuilding:
        raise Failed("the state is being rebuilt; ask again when it is whole")
    now_ms = SystemClock().now_ms()
    if at_ms is None:
        newest_ms = image.state.newest_event_ms
        # The end of a window is not in it: to judge the newest event too, look one millisecond later.
        at_ms = now_ms if under.clock == "wall" or newest_ms is None else newest_ms + 1
    config = replace(snapshot_config_of(under), keys_per_level_max=sys.maxsize, strangers_max=sys.maxsize)
    snapshot = Snapshotter(config).take_kpis(image, at_ms, filters=filters, strict=True, now_ms=now_ms)
    beside = told_beside(image, at_ms, config, beside_rules_of(under), filters)
    log = Log(rules_of(under, now_ms))
    read = await read_log(
        under, log, cut_of(image), records_max=records_max, progress=_progress if shows else _silent
    )
    if shows:
        click.echo("\rrecomputing …" + " " * 40, err=True)
    return Verdict(snapshot, read, log, judged(snapshot, log, under, read.whole_since_ms, beside))


def judged(
    snapshot: KpiSnapshot,
    log: Log,
    settings: Settings,
    whole_since_ms: int | None = None,
    beside: Told | None = None,
) -> Comparison:
    """Hold a snapshot, and what is told beside it, against what the log's records give; a record that may
    count or not may do either."""
    scope = scope_of(snapshot, whole_since_ms)

    def compared(*, with_doubtful: bool) -> Comparison:
        floor = floor_of(settings.floor)
        records = log.references(with_doubtful=with_doubtful)
        known = reference_of(records, floor, settings.pacing.fiscal_year_named_by)
        books = books_of(
            log.events(with_doubtful=with_doubtful), floor, known, roster_only=settings.metrics.roster_only
        )
        levels = tuple(dict.fromkeys(series.level for series in snapshot.series))
        windows = tuple(window.name for window in snapshot.windows)
        own = own_kpis(settings)
        at_too = tuple(sorted(windows_in(own) - set(windows)))
        found = answers(books, snapshot.as_of_ms, floor, windows=(*windows, *at_too), levels=levels)
        of_own, only_now = own_answers(own, found, windows)
        comparison = compare(snapshot, found | of_own, replace(scope, only_now=frozenset(only_now)))
        if beside is not None:
            goals = goals_of(goals_in(settings), records)
            expected = Expected(
                books,
                floor,
                custom_of(settings, known),
                goals,
                {
                    each.name: Span(*(instant_in(at, floor) for at in (each.start, each.end)))
                    for each in settings.contests
                },
                plans_in(settings),
                {kpi.name: kpi.formula for kpi in catalogue_of(settings)},
                whole_since_ms,
            )
            compare_standings(beside, expected, comparison)
            compare_commissions(beside, expected, comparison)
            compare_counts(beside, expected, comparison)
        return comparison

    first = compared(with_doubtful=True)
    if not first.differences or not log.doubtful:
        return first
    return both(first, compared(with_doubtful=False))


def cut_of(image: PaneImage) -> dict[Partition, int]:
    return {
        (topic, partition): offset
        for topic, offsets in image.state.offsets.items()
        for partition, offset in offsets.items()
    }


def rules_of(settings: Settings, now_ms: int) -> Rules:
    return Rules(
        now_ms=now_ms,
        retention_ms=settings.worker.retention_days * _DAY_MS,
        activity_horizon_ms=settings.worker.activity_horizon_days * _DAY_MS,
        event_clock=settings.clock == "event",
    )


def instant_in(said: date, floor: Floor) -> int:
    """Return the instant of a day's local midnight, or of a time, which is local unless it says its zone."""
    if not isinstance(said, datetime):
        return instant_of(datetime.combine(said, time()), floor)
    return instant_of(said, floor) if said.tzinfo is None else round(said.timestamp() * 1000)


def goals_in(settings: Settings) -> list[Goal]:
    return [
        Goal(each.kpi, each.level, each.key, each.period, Fraction(each.value), each.currency or "")
        for each in settings.targets
    ]


def own_kpis(settings: Settings) -> tuple[Own, ...]:
    return tuple(Own(kpi.name, kpi.formula, kpi.levels, kpi.quantiles) for kpi in settings.kpis)


def plans_in(settings: Settings) -> list[Version]:
    return [
        Version(
            plan.name,
            plan.valid_from,
            plan.kpi,
            plan.period,
            [
                Tier(
                    Fraction(tier.start),
                    None if tier.end is None else Fraction(tier.end),
                    Fraction(tier.rate),
                )
                for tier in plan.tiers
            ],
            plan.reps,
        )
        for plan in settings.commission_plans
    ]


def custom_of(settings: Settings, known: Reference) -> Custom:
    pacing = settings.pacing
    return Custom(
        weekday_weights={str(day): str(weight) for day, weight in pacing.weekday_weights.items()},
        ramp_months=pacing.ramp_months,
        commit=Fraction(str(pacing.commit_probability)),
        best_case=Fraction(str(pacing.best_case_probability)),
        year_named_by=pacing.fiscal_year_named_by,
        began=first_days(known),
        own=own_kpis(settings),
    )


def floor_of(floor: FloorSettings) -> Floor:
    """Return the settings in the oracle's words."""
    return Floor(
        zone=floor.zone,
        currency=floor.currency,
        week_start=floor.week_start,
        fiscal_year_start_month=floor.fiscal_year_start_month,
        business_days=tuple(floor.business_days),
        holidays=tuple(floor.holidays),
        stage_probability=dict(floor.stage_probability),
        hours=floor.business_hours,
        hours_of={str(day): hours for day, hours in floor.business_hours_of.items()},
        response_sla_minutes=floor.lead_response_sla_minutes,
        stalled_after_days=floor.stalled_after_days,
    )


# ---- shown ----------------------------------------------------------------------------------------


def _progress(report: ReadReport) -> None:
    click.echo(f"\r{report.records:,} of {report.total:,} records read", err=True, nl=False)


def _silent(_report: ReadReport) -> None:
    """Show nothing."""


def told(verdict: Verdict) -> dict[str, JsonValue]:
    comparison, read = verdict.comparison, verdict.read
    return {
        "verdict": verdict.word,
        "as_of": rfc3339(verdict.snapshot.as_of_ms),
        "definition_version": verdict.snapshot.state.definition_version,
        "compared": comparison.compared,
        "not_compared": dict(comparison.not_told),
        "records": {"read": read.records, "removed": read.removed, **verdict.log.counts},
        "whole_since": None if read.whole_since_ms is None else rfc3339(read.whole_since_ms),
        "differences": [each.to_json_obj() for each in comparison.differences],
    }


def _print(verdict: Verdict) -> None:
    console, comparison, read = Console(), verdict.comparison, verdict.read
    for group, differences in list(_grouped(comparison.differences).items())[:_GROUPS_SHOWN]:
        console.print(_table(group, differences))
        if len(differences) > _SHOWN_PER_GROUP:
            console.print(f"  and {len(differences) - _SHOWN_PER_GROUP:,} more", highlight=False)
        if any(series.kpi.name == differences[0].place.kpi for series in verdict.snapshot.series):
            command = _asking(differences[0], verdict)
            console.print(
                f"  the records behind it: {command}", highlight=False, soft_wrap=True, markup=False
            )
    counts = ", ".join(f"{count:,} {fate}" for fate, count in sorted(verdict.log.counts.items()))
    console.print(f"{read.records:,} records read: {counts or 'none'}", highlight=False)
    if read.removed:
        since = "" if read.whole_since_ms is None else f"; whole since {rfc3339(read.whole_since_ms)}"
        console.print(f"{read.removed:,} records are gone by retention{since}", style="bold", highlight=False)
    for why, count in comparison.not_told.items():
        console.print(f"{count:,} numbers not compared: {why}", highlight=False, markup=False)
    as_of = rfc3339(verdict.snapshot.as_of_ms)
    verb = f"{len(comparison.differences):,} of {comparison.compared:,} numbers differ"
    said = {"same": f"all {comparison.compared:,} numbers are the same", "different": verb}
    found = said.get(verdict.word, f"cannot tell: {verb if comparison.differences else 'nothing to compare'}")
    console.print(f"{found}, as of {as_of}", style="bold", highlight=False)


def _grouped(differences: Sequence[Difference]) -> Mapping[tuple[str, str], list[Difference]]:
    """Group by KPI and level, most differences first."""
    size = Counter((each.place.kpi, each.place.level) for each in differences)
    found: dict[tuple[str, str], list[Difference]] = {group: [] for group, _ in size.most_common()}
    for each in differences:
        found[each.place.kpi, each.place.level].append(each)
    return found


def _table(group: tuple[str, str], differences: Sequence[Difference]) -> Table:
    kpi, level = group
    table = Table(title=f"{kpi} by {level}", title_justify="left", title_style="bold")
    for name in ("key", "window"):
        table.add_column(name, overflow="fold")
    for name in ("in Redis", "recomputed"):
        table.add_column(name, justify="right")
    for each in differences[:_SHOWN_PER_GROUP]:
        place = each.place
        window = f"{place.window}{' before' * place.previous}" if place.window else "now"
        named = window if place.quantile is None else f"{window} p{place.quantile * 100:g}"
        table.add_row(place.key or "all", named, *(_shown(each.told), _shown(each.recomputed)))
    return table


def _shown(value: float | None) -> str:
    return "—" if value is None else f"{value:,.10g}"


def _asking(difference: Difference, verdict: Verdict) -> str:
    """Return the command that lists the records of which the state in Redis makes the number."""
    place = difference.place
    asked = {
        "--kpi": place.kpi,
        "--level": place.level,
        "--key": place.key,
        "--window": place.window,
        "--at": rfc3339(verdict.snapshot.as_of_ms),
    }
    options = " ".join(f"{name} {shlex.quote(value)}" for name, value in asked.items() if value)
    return f"salesfloor snapshot --explain {options}"
