"""Completed activities: definitions only."""

from typing import Final

from metrics.formula import KpiUnit
from metrics.kpi import ACTIVITIES, Kpi


def _done(name: str, measure: str, what: str) -> Kpi:
    return Kpi(name, f"{what} completed in the window.", measure, KpiUnit.COUNT, ACTIVITIES)


def _count(name: str, sentence: str, formula: str) -> Kpi:
    return Kpi(name, sentence, formula, KpiUnit.COUNT, ACTIVITIES)


def _share(name: str, sentence: str, formula: str) -> Kpi:
    return Kpi(name, sentence, formula, KpiUnit.RATIO, ACTIVITIES)


ACTIVITY_KPIS: Final = (
    _done("calls", "calls_done", "Calls"),
    Kpi(
        "calls_connected", "Calls completed in the window whose outcome says that a conversation took place.",
        "calls_with_conversation", KpiUnit.COUNT, ACTIVITIES,
    ),
    Kpi(
        "talk_time", "Time spent in the calls completed in the window.", "talk_duration",
        KpiUnit.SECONDS, ACTIVITIES,
    ),
    _done("emails", "emails_done", "Emails"),
    _done("meetings", "meetings_done", "Meetings"),
    _done("demos", "demos_done", "Demos"),
    _done("proposals", "proposals_done", "Proposals"),
    _done("appointments_set", "appointments_done", "Appointments"),
    _done("one_on_ones", "one_on_ones_done", "One-on-ones"),
    _done("trainings", "trainings_done", "Trainings"),
    _done("activities", "activities_done", "Activities of every kind"),
    _count(
        "meetings_held", "Meetings completed in the window that took place: no no-show, not cancelled.",
        "meetings_took_place",
    ),
    _count(
        "conversations", "Calls that connected and meetings that took place in the window.",
        "calls_connected + meetings_held",
    ),
    _share(
        "appointment_rate", "Appointments set per conversation in the window.",
        "appointments_set / conversations",
    ),
    _count("demos_booked", "Demos put into the calendar in the window.", "demos_put_in_calendar"),
    _share(
        "conversation_to_demo", "Demos booked per conversation in the window.", "demos_booked / conversations"
    ),
    _count("demos_due", "Demos scheduled to take place in the window.", "demos_planned"),
    _count(
        "demos_held", "Of the demos due in the window, those that took place before its end.",
        "demos_planned_and_held",
    ),
    _share(
        "demo_completion", "Share held before the window's end of the demos due in it.",
        "demos_held / demos_due",
    ),
    _count("follow_ups_due", "Follow-ups whose due time falls in the window.", "follow_ups_planned"),
    _count(
        "follow_ups_on_time", "Of the follow-ups due in the window, those done by their due time.",
        "follow_ups_in_time",
    ),
    _share(
        "follow_up_on_time", "Share done by their due time of the follow-ups due in the window.",
        "follow_ups_on_time / follow_ups_due",
    ),
    Kpi(
        "calls_per_opportunity", "Calls per deal created, both in the window; not of the same deals.",
        "calls / deals_created", KpiUnit.COUNT, ACTIVITIES,
    ),
)  # fmt: skip
