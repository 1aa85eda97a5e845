"""Completed activities: definitions only."""

from typing import Final

from metrics.formula import KpiUnit
from metrics.kpi import ACTIVITIES, Kpi


def _done(name: str, measure: str, what: str) -> Kpi:
    return Kpi(name, f"{what} completed in the window.", measure, KpiUnit.COUNT, ACTIVITIES)


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
)  # fmt: skip
