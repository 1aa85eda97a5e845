"""What a reader asks for, as text in, a checked `Ask` out. Knows names and times, computes nothing."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from metrics.kpi import LEVELS
from metrics.windows import WINDOW_NAMES

PARAMETERS = ("at", "level", "kpi", "window")


class BadAsk(ValueError):
    """The question cannot be answered. The message names what was asked and what may be."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Empty means "all that there is"; `at_ms` None means now."""

    at_ms: int | None = None
    levels: tuple[str, ...] = ()
    kpis: tuple[str, ...] = ()
    windows: tuple[str, ...] = ()


def ask_of(
    at: str | None,
    levels: Sequence[str],
    kpis: Sequence[str],
    windows: Sequence[str],
    *,
    known_kpis: Iterable[str],
) -> Ask:
    return Ask(
        at_ms=None if at is None else instant_ms(at),
        levels=_known("level", levels, LEVELS),
        kpis=_known("kpi", kpis, tuple(known_kpis)),
        windows=_known("window", windows, WINDOW_NAMES),
    )


def ask_from_query(query: Mapping[str, Sequence[str]], *, known_kpis: Iterable[str]) -> Ask:
    """Read `?at=&level=&kpi=&window=`; each but `at` may be given several times or with commas."""
    for name in query:
        if name not in PARAMETERS:
            raise BadAsk(f"no parameter {name!r}; there is {', '.join(PARAMETERS)}")
    at = query.get("at", ())
    if len(at) > 1:
        raise BadAsk("at is given twice; give one instant")
    lists = [
        [part.strip() for text in query.get(name, ()) for part in text.split(",") if part.strip()]
        for name in PARAMETERS[1:]
    ]
    return ask_of(at[0] if at else None, *lists, known_kpis=known_kpis)


def instant_ms(text: str) -> int:
    """Read an RFC 3339 instant. A `+` that arrived as a blank, as from an unescaped address, is mended."""
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+") if "T" in text.upper() else text)
    except ValueError:
        raise BadAsk(f"at={text!r} is no instant; write it as 2026-11-21T09:30:00Z") from None
    if moment.tzinfo is None:
        raise BadAsk(f"at={text!r} names no zone; end it with Z or an offset such as +08:00")
    return round(moment.timestamp() * 1000)


def _known(what: str, asked: Sequence[str], known: tuple[str, ...]) -> tuple[str, ...]:
    for name in asked:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there is {', '.join(known)}"
            raise BadAsk(f"no {what} {name!r}; {hint}")
    return tuple(dict.fromkeys(asked))
