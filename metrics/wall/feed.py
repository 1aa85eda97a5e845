"""The panes in, what happened lately out: who won, booked, created what, newest first. Pure.

It needs no store of its own: while panes are exact, a row of theirs is one fact with its time and its rep.
What was corrected or taken back is gone from the rows, so it is gone from the feed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from metrics.labels import label_value
from metrics.measures import BY_NAME, NUMBERS
from metrics.money import exponent_of
from metrics.panes import Cell, PaneLog
from metrics.wall.boards import FEED_ITEMS_MAX, FeedKind
from metrics.wall.numbers import Json

FEED_SPAN_MS: Final = 86_400_000
OF_ONE_KIND_MAX: Final = 8
"""Of one kind: a floor with a lead every second still shows who won."""

MEASURE_OF: Final[Mapping[FeedKind, str]] = {
    "deal_won": "won", "deal_created": "created", "lead_created": "leads_new",
    "lead_qualified": "leads_qualified_total", "lead_converted": "leads_converted_total",
    "demo_booked": "demos_put_in_calendar", "demo_held": "demos_done",
    "meeting_held": "meetings_took_place", "proposal_sent": "proposals_done",
    "appointment_set": "appointments_done", "customer_new": "customers_new",
}  # fmt: skip
_KIND_OF: Final = {BY_NAME[measure].number: kind for kind, measure in MEASURE_OF.items()}
_AMOUNT: Final = BY_NAME["won_amount"].number
_SHOWN: Final = (*_KIND_OF, _AMOUNT)
_IS_SHOWN: Final = np.zeros(NUMBERS + 1, dtype=np.bool_)
_IS_SHOWN[list(_SHOWN)] = True
_NO_ROWS: Final = np.zeros(0, dtype=np.intp)
_ROWS_OF_A_KIND: Final = 200
"""So many of the newest rows are looked at; several may speak of one fact, and take each other back."""


@dataclass(frozen=True, slots=True)
class FeedItem:
    id: str
    at_ms: int
    kind: FeedKind
    rep: str
    rep_name: str
    amount_minor: int | None = None
    currency: str | None = None

    def wire(self) -> Json:
        found: Json = {
            "id": self.id,
            "at_ms": self.at_ms,
            "kind": self.kind,
            "rep": self.rep,
            "rep_name": self.rep_name,
            "text_key": f"feed.{self.kind}",
            "amount_minor": self.amount_minor,
            "currency": self.currency,
        }
        if self.currency is not None:
            found["currency_exponent"] = exponent_of(self.currency)
        return found


class Feed:
    """Tells feeds one after another: of a log that grew, only what is new is looked at."""

    def __init__(self) -> None:
        self._epoch: int | None = None
        self._rows = 0
        self._as_of_ms = 0
        self._held = _NO_ROWS

    def of(
        self, log: PaneLog, cells: Sequence[Cell], as_of_ms: int, names: Mapping[str, str]
    ) -> tuple[FeedItem, ...]:
        """Return what happened within the last day, newest first; of each kind as much as a feed can show."""
        rows = self._newest(log, as_of_ms)
        newest = rows[log.start_ms[rows] <= as_of_ms]
        counts: dict[tuple[int, int, int], int] = {}
        pieces = (log.start_ms[newest], log.cell[newest], log.key[newest], log.value[newest])
        for at_ms, cell, number, value in zip(*(piece.tolist() for piece in pieces), strict=True):
            place = (at_ms, cell, number)
            counts[place] = counts.get(place, 0) + value
        return tuple(_items(counts, cells, names))

    def _newest(self, log: PaneLog, as_of_ms: int) -> NDArray[np.intp]:
        """Return the newest rows of each kind until the instant, and those after it: it will come."""
        known = self._rows if self._continues(log, as_of_ms) else 0
        new = known + np.flatnonzero(_IS_SHOWN[np.minimum(log.key[known:], NUMBERS)])
        rows = np.concatenate((self._held, new)) if known else new
        rows = rows[log.start_ms[rows] > as_of_ms - FEED_SPAN_MS]
        of_kinds = [_newest_of(log.start_ms, rows[log.key[rows] == number], as_of_ms) for number in _SHOWN]
        self._epoch, self._rows, self._as_of_ms = log.epoch, len(log.value), as_of_ms
        self._held = np.concatenate(of_kinds)
        return self._held

    def _continues(self, log: PaneLog, as_of_ms: int) -> bool:
        same = log.epoch is not None and log.epoch == self._epoch
        return same and len(log.value) >= self._rows and as_of_ms >= self._as_of_ms


def _newest_of(start_ms: NDArray[np.int64], rows: NDArray[np.intp], as_of_ms: int) -> NDArray[np.intp]:
    times_ms = start_ms[rows]
    past_ms = times_ms[times_ms <= as_of_ms]
    if len(past_ms) <= _ROWS_OF_A_KIND:
        return rows
    oldest_ms = np.partition(past_ms, -_ROWS_OF_A_KIND)[-_ROWS_OF_A_KIND]
    return np.asarray(rows[times_ms >= oldest_ms])


def _items(
    counts: Mapping[tuple[int, int, int], int], cells: Sequence[Cell], names: Mapping[str, str]
) -> Iterator[FeedItem]:
    left = dict.fromkeys(_KIND_OF, FEED_ITEMS_MAX)
    seen: dict[str, int] = {}
    for (at_ms, number, key), count in sorted(counts.items(), reverse=True):
        if key == _AMOUNT or count <= 0 or not left[key]:
            continue
        left[key] -= 1
        kind, cell = _KIND_OF[key], cells[number]
        rep = label_value(cell.rep) if cell.rep else ""
        id = f"{kind}:{at_ms}:{rep}"
        seen[id] = seen.get(id, 0) + 1
        won = kind == "deal_won"
        yield FeedItem(
            id=id if seen[id] == 1 else f"{id}:{seen[id]}",
            at_ms=at_ms,
            kind=kind,
            rep=rep,
            rep_name=names.get(rep, rep),
            amount_minor=counts.get((at_ms, number, _AMOUNT), 0) if won else None,
            currency=cell.currency if won and cell.currency else None,
        )


def chosen(items: Sequence[FeedItem], top: int) -> list[FeedItem]:
    """Return the newest items, of one kind only so many unless there is room left; newest first."""
    of_kind: dict[str, int] = {}
    first: list[FeedItem] = []
    rest: list[FeedItem] = []
    for item in items:
        of_kind[item.kind] = of_kind.get(item.kind, 0) + 1
        (first if of_kind[item.kind] <= OF_ONE_KIND_MAX else rest).append(item)
    kept = [*first, *rest][:top]
    return sorted(kept, key=lambda item: item.at_ms, reverse=True)
