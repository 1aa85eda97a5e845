"""Names in formulas that are no measure: what calendar, roster and market give or decide. A leaf."""

from typing import Final, NamedTuple

from metrics.measures import Unit


class Given(NamedTuple):
    name: str
    unit: Unit
    sentence: str
    levels: tuple[str, ...]
    """Where it is known; a KPI made of it can be shown there only."""
    may_be_absent: bool = False


_EVERYWHERE: Final = ("floor", "team", "rep", "product", "source", "region")
_ROSTERED: Final = ("floor", "team", "rep", "region")

GIVEN: Final = {
    given.name: given
    for given in (
        Given("window_time", Unit.DURATION, "Length of the window.", _EVERYWHERE),
        Given("rostered_time", Unit.DURATION, "Time of the window, once per rep on the roster.", _ROSTERED),
        Given(
            "rep_business_days", Unit.COUNT,
            "Business days of the window, once per rep on the roster, the running day by its share that is"
            " over. Without any roster: once per rep with an activity in the window.",
            _ROSTERED,
        ),
        Given(
            "created_age", Unit.DURATION,
            "Time from their creation to the window's end, added up over the deals created in the window. Of"
            " a past instant absent where panes are wider than the events.",
            _EVERYWHERE, may_be_absent=True,
        ),
        Given(
            "accounts_at_start", Unit.COUNT,
            "Accounts that were active when the window began, for the team or region they belonged to then.",
            _EVERYWHERE,
        ),
        Given(
            "accounts_left", Unit.COUNT,
            "Of these, those that are not active any more at the window's end; for that same team or region.",
            _EVERYWHERE,
        ),
        Given(
            "market_size", Unit.MONEY,
            "Market of the period, by the share of its time that lies in the window; of several periods the"
            " shortest. Absent where a part of the window has none.",
            _EVERYWHERE, may_be_absent=True,
        ),
    )
}  # fmt: skip
