"""A question "which records count?" as text in, a checked `ExplainAsk` out; and who can answer it.

The answer names customers' records: it is given to who asks through this door and written to no log.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from metrics.kpi import LEVELS, Catalogue
from metrics.kpi_snapshot import JsonValue
from metrics.snapshot import Filters
from metrics.web.query import BadAsk, instant_ms

LIMIT, LIMIT_MAX = 100, 1000
PARAMETERS: Final = ("kpi", "window", "level", "key", "at", "page", "limit")


class ExplainAsk(NamedTuple):
    kpi: str
    window: str | None
    """None for what is open now."""
    level: str = "floor"
    key: str = ""
    """The team, rep, …; "" for the floor."""
    at_ms: int | None = None
    page: int = 1
    limit: int = LIMIT


class ExplainSource(Protocol):
    async def explain(self, ask: ExplainAsk) -> dict[str, JsonValue]:
        """Return the records behind a number; raises `BadAsk` when there is no such number."""


def explain_ask_of(query: Mapping[str, Sequence[str]], catalogue: Catalogue) -> ExplainAsk:
    given: dict[str, str] = {}
    for name, values in query.items():
        if name not in PARAMETERS:
            raise BadAsk(f"no parameter {name!r}; there is {', '.join(PARAMETERS)}")
        if len(values) > 1:
            raise BadAsk(f"{name} is given twice; one number is explained at a time")
        given[name] = values[0]
    if "kpi" not in given:
        raise BadAsk("kpi is missing; name the one to explain, such as kpi=revenue")
    ask = ExplainAsk(
        kpi=given["kpi"],
        window=given.get("window") or None,
        level=given.get("level", "floor"),
        key=given.get("key", ""),
        at_ms=instant_ms(given["at"]) if "at" in given else None,
        page=_count("page", given.get("page", "1"), 1_000_000),
        limit=_count("limit", given.get("limit", str(LIMIT)), LIMIT_MAX),
    )
    return checked(ask, catalogue)


def checked(ask: ExplainAsk, catalogue: Catalogue) -> ExplainAsk:
    """Return the question as it can be answered; raise `BadAsk`, naming the fix, when it cannot."""
    windows = None if ask.window is None else (ask.window,)
    try:
        Filters(levels=(ask.level,), kpis=(ask.kpi,), windows=windows).check(catalogue)
    except ValueError as error:
        raise BadAsk(str(error)) from None
    kpi = catalogue[ask.kpi]
    assert set(kpi.levels) <= set(LEVELS)
    if ask.level not in kpi.levels:
        raise BadAsk(f"{kpi.name} is not told by {ask.level}; use level={' or '.join(kpi.levels)}")
    if ask.level != "floor" and not ask.key:
        raise BadAsk(f"key is missing; name the {ask.level}, as its gauge does")
    if catalogue.is_level(kpi):
        ask = ask._replace(window=None)
    elif ask.window is None:
        raise BadAsk("window is missing; name one, such as window=mtd")
    return ask if ask.level != "floor" else ask._replace(key="")


def _count(name: str, text: str, largest: int) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= largest:
        raise BadAsk(f"{name}={text!r}: use a whole number from 1 to {largest}")
    return int(text)
