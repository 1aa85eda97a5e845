"""What a reader asks for, as text in, an instant and checked `Filters` out. Computes nothing."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from metrics.kpi import Catalogue
from metrics.snapshot import Filters

PARAMETERS = ("at", "level", "kpi", "window")


class BadAsk(ValueError):
    """The question cannot be answered. The message names what was asked and what may be."""


def ask_of(
    query: Mapping[str, Sequence[str]], catalogue: Catalogue, *, parameters: Sequence[str] = PARAMETERS
) -> tuple[int | None, Filters]:
    """Read `at`, `level`, `kpi` and `window`; each but `at` may come several times or with commas.

    The instant is None for "now".
    """
    for name in query:
        if name not in parameters:
            raise BadAsk(f"no parameter {name!r}; there is {', '.join(parameters)}")
    at = query.get("at", ())
    if len(at) > 1:
        raise BadAsk("at is given twice; give one instant")
    filters = Filters(
        levels=_listed(query.get("level", ())),
        kpis=_listed(query.get("kpi", ())),
        windows=_listed(query.get("window", ())),
    )
    try:
        filters.check(catalogue)
    except ValueError as error:
        raise BadAsk(str(error)) from None
    return (instant_ms(at[0]) if at else None), filters

# A year off either end of what the calendar can tell, whatever the offset.
_FIRST_YEAR, _LAST_YEAR = 4, 9996


def instant_ms(text: str) -> int:
    """Read an RFC 3339 instant. A `+` that arrived as a blank, as from an unescaped address, is mended."""
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+") if "T" in text.upper() else text)
    except ValueError:
        raise BadAsk(f"at={text!r} is no instant; write it as 2026-11-21T09:30:00Z") from None
    if moment.tzinfo is None:
        raise BadAsk(f"at={text!r} names no zone; end it with Z or an offset such as +08:00")
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        raise BadAsk(f"at={text!r} lies outside the years {_FIRST_YEAR} to {_LAST_YEAR}; name another")
    return round(moment.timestamp() * 1000)


def _listed(texts: Sequence[str]) -> tuple[str, ...] | None:
    """Return each name once; None, which is everything, when nothing was named."""
    names = (part.strip() for text in texts for part in text.split(","))
    return tuple(dict.fromkeys(name for name in names if name)) or None
