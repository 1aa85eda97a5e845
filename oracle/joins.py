"""What leads, deals and activities mean together, the slow, obvious way; business time by walking the days.

Written from the sentences that define the KPIs; shares no line and no constant with the product.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from fractions import Fraction
from functools import cache, cached_property

from oracle.activities import Activity
from oracle.levels import Here, Moments
from oracle.quantiles import exact_quantile, quantile_error
from oracle.records import Record
from oracle.windows import WEEKDAYS, Floor, Span, instant_of, local_of

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
Numbers = dict[tuple[str, float | None], Fraction | None]


# ---- business time --------------------------------------------------------------------------------


@cache
def _hours_of(day: date, zone: str, opens: str, closes: str) -> tuple[int, int]:
    floor = Floor(zone=zone)
    midnight = local_midnight(day)

    def instant(clock: str) -> int:
        hours, minutes = clock.split(":")
        return instant_of(midnight + timedelta(hours=int(hours), minutes=int(minutes)), floor)

    return instant(opens), instant(closes)


def local_midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day)  # noqa: DTZ001 - a naive wall time is meant


def open_hours(from_ms: int, floor: Floor) -> Iterator[tuple[int, int]]:
    """Walk the business days from the day that holds the instant, for ten years."""
    day = local_of(from_ms, floor).date() - timedelta(days=1)
    for _ in range(3660):
        weekday = WEEKDAYS[day.weekday()]
        if weekday in floor.business_days and day not in floor.holidays:
            opens, closes = floor.hours_of.get(weekday, floor.hours)
            yield _hours_of(day, floor.zone, opens, closes)
        day += timedelta(days=1)


def business_time(start_ms: int, end_ms: int, floor: Floor) -> int:
    total_ms = 0
    if start_ms >= end_ms:
        return 0
    for opens_ms, closes_ms in open_hours(start_ms, floor):
        if opens_ms >= end_ms:
            break
        if closes_ms > start_ms:
            total_ms += min(closes_ms, end_ms) - max(opens_ms, start_ms)
    return total_ms


def last_instant_in_time(start_ms: int, allowed_ms: int, floor: Floor) -> int | None:
    """Return the last instant at which no more than the allowed business time has passed."""
    left_ms = allowed_ms
    for opens_ms, closes_ms in open_hours(start_ms, floor):
        if closes_ms <= start_ms:
            continue
        here_ms = closes_ms - max(opens_ms, start_ms)
        if here_ms > left_ms:
            return max(opens_ms, start_ms) + left_ms
        left_ms -= here_ms
    return None


# ---- leads ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LeadStory:
    """What others say of one lead."""

    created_ms: int | None
    won_ms: int | None
    """When the first of its deals was won."""
    attempts_ms: tuple[int, ...]
    floor: Floor = field(repr=False)
    here: Here = None

    @cached_property
    def moments(self) -> Moments:
        return {"created": self.created_ms, "reached": self.reached_ms, "decided": self.decided_ms}

    def at(self, moment: str) -> int | None:
        """Return a moment if it counts here."""
        return self.moments[moment] if self.here is None or moment in self.here else None

    @cached_property
    def reached_ms(self) -> int | None:
        if self.created_ms is None or not self.attempts_ms:
            return None
        return max(self.created_ms, min(self.attempts_ms))

    @cached_property
    def response_ms(self) -> int:
        assert self.created_ms is not None
        assert self.reached_ms is not None
        return business_time(self.created_ms, self.reached_ms, self.floor)

    @cached_property
    def in_time(self) -> bool:
        return self.reached_ms is not None and self.response_ms <= self.floor.response_sla_minutes * 60_000

    @cached_property
    def decided_ms(self) -> int | None:
        """When it was clear whether the lead was contacted in time."""
        if self.created_ms is None or self.in_time:
            return self.reached_ms
        return last_instant_in_time(self.created_ms, self.floor.response_sla_minutes * 60_000, self.floor)


def attempts_for(activities: Iterable[Activity]) -> dict[str, tuple[int, ...]]:
    """Return when someone tried to reach each lead."""
    found: dict[str, list[int]] = {}
    for activity in activities:
        is_internal = activity.kind in ("one_on_one", "training")
        if activity.lead and activity.completed_ms is not None and not is_internal:
            found.setdefault(activity.lead, []).append(activity.completed_ms)
    return {lead: tuple(times) for lead, times in found.items()}


def _ratio(numerator: int, denominator: int) -> Fraction | None:
    return Fraction(numerator, denominator) if denominator else None


def lead_story_numbers(stories: Sequence[LeadStory], span: Span, error_name: str) -> Numbers:
    def among(moment: str) -> list[LeadStory]:
        return [each for each in stories if (at_ms := each.at(moment)) is not None and span.holds(at_ms)]

    created, reached, decided = among("created"), among("reached"), among("decided")
    won = sum(story.won_ms is not None and story.won_ms < span.end_ms for story in created)
    in_time = sum(story.in_time for story in decided)
    numbers: Numbers = {
        ("leads_created_won", None): Fraction(won),
        ("lead_close_ratio", None): _ratio(won, len(created)),
        ("leads_contacted", None): Fraction(len(reached)),
        ("lead_sla_due", None): Fraction(len(decided)),
        ("lead_sla_met", None): Fraction(in_time),
        ("lead_response_sla", None): _ratio(in_time, len(decided)),
    }
    waits = sorted(story.response_ms for story in reached)
    for quantile in (0.5, 0.9):
        exact = exact_quantile(waits, quantile) / 1000 if waits else None
        numbers["lead_response_time", quantile] = exact
        numbers[error_name, quantile] = quantile_error(waits, quantile) / 1000 if waits else None
    return numbers


# ---- deals ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DealStory:
    """What is known of one deal beside its present fields."""

    calls: int = 0
    touched_ms: tuple[int, ...] = ()
    stage_writes: tuple[tuple[int, str], ...] = ()
    """Every time and stage ever told, oldest first."""


def work_by_deal(activities: Iterable[Activity]) -> dict[str, list[Activity]]:
    found: dict[str, list[Activity]] = {}
    for activity in activities:
        if activity.completed_ms is not None:
            found.setdefault(activity.deal, []).append(activity)
    return found


def story_of_deal(record: Record, own: Sequence[Activity]) -> DealStory:
    """Return the story; `own` is what was completed for the deal."""
    writes = sorted(record.writes.get("stage", ()), key=lambda write: (write.time_ms, write.event_id))
    told = [(write.time_ms, "" if write.value is None else str(write.value)) for write in writes]
    return DealStory(
        calls=sum(activity.kind == "call" for activity in own),
        touched_ms=tuple(activity.completed_ms for activity in own if activity.completed_ms is not None),
        stage_writes=tuple(told),
    )


def is_stalled(story: DealStory, start_ms: int, as_of_ms: int, floor: Floor) -> bool:
    """Say of an open deal whether nothing was done for it for so long."""
    last_ms = max([start_ms, *(each for each in story.touched_ms if start_ms < each < as_of_ms)])
    return as_of_ms - last_ms > floor.stalled_after_days * DAY_MS


@dataclass(frozen=True)
class StageEntry:
    stage: str
    time_ms: int
    went_on_ms: int | None


def entries_of(story: DealStory, status: str, closed_ms: int | None) -> list[StageEntry]:
    """Return the first time a deal came into each stage, and when it came into a newer one or was won."""
    first: dict[str, int] = {}
    for place, (_, stage) in enumerate(story.stage_writes):
        first.setdefault(stage, place)
    entries = []
    for stage, place in first.items():
        if not stage:
            continue
        went_on = [
            story.stage_writes[at][0]
            for other, at in first.items()
            if other
            and at > place
            and not (status == "lost" and closed_ms is not None and story.stage_writes[at][0] >= closed_ms)
        ]
        if status == "won" and closed_ms is not None:
            went_on.append(closed_ms)
        entries.append(StageEntry(stage, story.stage_writes[place][0], min(went_on, default=None)))
    return entries


def stage_numbers(entries: Sequence[StageEntry], span: Span) -> Numbers:
    inside = [entry for entry in entries if span.holds(entry.time_ms)]
    went_on = sum(entry.went_on_ms is not None and entry.went_on_ms < span.end_ms for entry in inside)
    return {
        ("stage_entries", None): Fraction(len(inside)),
        ("stage_entries_advanced", None): Fraction(went_on),
        ("stage_conversion", None): _ratio(went_on, len(inside)),
    }
