"""Activities the slow, obvious way: one record in, what it says out; a list of them and a span, its numbers.

Written from the sentences that define the KPIs; shares no line with the product.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cached_property

from oracle.levels import Here, Moments
from oracle.records import Record
from oracle.windows import Span

KPI_OF_ACTIVITY: Mapping[str, str] = {
    "call": "calls",
    "email": "emails",
    "meeting": "meetings",
    "demo": "demos",
    "proposal": "proposals",
    "appointment": "appointments_set",
    "one_on_one": "one_on_ones",
    "training": "trainings",
}


@dataclass(frozen=True)
class Activity:
    rep: str
    team: str
    kind: str
    outcome: str
    duration: Fraction
    completed_ms: int | None
    booked_ms: int | None
    planned_ms: int | None
    due_ms: int | None
    deal: str = ""
    lead: str = ""
    region: str = ""
    source: str = ""
    product: str = ""

    here: Here = None

    @cached_property
    def moments(self) -> Moments:
        return {
            "completed": self.completed_ms,
            "booked": self.booked_ms,
            "planned": self.planned_ms,
            "due": self.due_ms,
        }

    def at(self, moment: str) -> int | None:
        """Return a moment if it counts here."""
        return self.moments[moment] if self.here is None or moment in self.here else None

    @property
    def took_place(self) -> bool:
        return self.completed_ms is not None and self.outcome not in ("no_show", "cancelled", "canceled")

    def took_place_by(self, end_ms: int) -> bool:
        return self.took_place and self.completed_ms is not None and self.completed_ms < end_ms

    @property
    def was_in_time(self) -> bool:
        return self.completed_ms is not None and self.due_ms is not None and self.completed_ms <= self.due_ms


def activity_of(record: Record) -> Activity:
    duration = record.get("duration_seconds")
    return Activity(
        rep=record.text("rep_id"),
        team=record.text("team_id"),
        kind=record.text("kind"),
        outcome=record.text("outcome"),
        duration=Fraction(0) if duration is None else Fraction(Decimal(str(duration))),
        completed_ms=record.instant("completed_at"),
        booked_ms=record.instant("booked_at"),
        planned_ms=record.instant("scheduled_at"),
        due_ms=record.instant("due_at"),
        deal=record.text("deal_id"),
        lead=record.text("lead_id"),
        region=record.text("region"),
    )


def _ratio(numerator: int, denominator: int) -> Fraction | None:
    return Fraction(numerator, denominator) if denominator else None


def activity_numbers(
    activities: Sequence[Activity], span: Span
) -> dict[tuple[str, float | None], Fraction | None]:
    def among(kind: str, time_ms: int | None) -> bool:
        return activity.kind == kind and time_ms is not None and span.holds(time_ms)

    numbers: dict[tuple[str, float | None], Fraction | None] = {}
    done = [each for each in activities if (at_ms := each.at("completed")) is not None and span.holds(at_ms)]
    for kind, kpi in KPI_OF_ACTIVITY.items():
        numbers[kpi, None] = Fraction(sum(activity.kind == kind for activity in done))
    calls = [activity for activity in done if activity.kind == "call"]
    connected = sum(call.outcome == "connected" for call in calls)
    met = sum(activity.kind == "meeting" and activity.took_place for activity in done)
    booked = due = held = follow_ups = in_time = 0
    for activity in activities:
        booked += among("demo", activity.at("booked"))
        due += among("demo", activity.at("planned"))
        held += among("demo", activity.at("planned")) and activity.took_place_by(span.end_ms)
        follow_ups += among("follow_up", activity.at("due"))
        in_time += among("follow_up", activity.at("due")) and activity.was_in_time
    appointments = sum(activity.kind == "appointment" for activity in done)
    return numbers | {
        ("calls_connected", None): Fraction(connected),
        ("talk_time", None): sum((call.duration for call in calls), Fraction(0)),
        ("activities", None): Fraction(len(done)),
        ("meetings_held", None): Fraction(met),
        ("conversations", None): Fraction(connected + met),
        ("appointment_rate", None): _ratio(appointments, connected + met),
        ("demos_booked", None): Fraction(booked),
        ("conversation_to_demo", None): _ratio(booked, connected + met),
        ("demos_due", None): Fraction(due),
        ("demos_held", None): Fraction(held),
        ("demo_completion", None): _ratio(held, due),
        ("follow_ups_due", None): Fraction(follow_ups),
        ("follow_ups_on_time", None): Fraction(in_time),
        ("follow_up_on_time", None): _ratio(in_time, follow_ups),
    }
