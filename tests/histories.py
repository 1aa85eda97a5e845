"""Made-up event histories, as hard as real ones: a seed or Hypothesis in, lists of CloudEvent dicts out.

Among them corrections, nulls, duplicates, late and equal times, deletions, restores, merges, re-opens,
owner moves and odd amounts. Times are drawn around the edges of windows and of clock-change days.
Knows nothing of how events are folded.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import NamedTuple

from hypothesis import strategies as st

from oracle.windows import WINDOWS, Floor, window_pair

Event = dict[str, object]

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000

VERBS: dict[str, tuple[str, ...]] = {
    "deal": ("created", "updated", "won", "lost", "reopened", "deleted", "restored", "merged"),
    "lead": ("created", "updated", "qualified", "converted", "disqualified", "deleted", "restored", "merged"),
    "activity": ("scheduled", "completed", "updated", "deleted"),
    "account": ("updated", "updated", "updated", "churned", "reactivated", "merged", "deleted"),
    "feedback": ("received", "received", "received", "deleted"),
    "spend": ("recorded", "recorded", "recorded", "deleted"),
}
OTHER = {"deal": "lead_id", "lead": "deal_id"}
"""A deal names its lead, a lead its deal."""
TOPICS = {
    "deal": "sales.deals",
    "lead": "sales.leads",
    "activity": "sales.activities",
    "account": "sales.accounts",
    "feedback": "sales.feedback",
    "spend": "sales.spend",
}
WEIGHTS = {"deal": 8, "lead": 2, "activity": 3, "account": 2, "feedback": 3, "spend": 1}
REPS = ("R1", "R2", "R3", None)
TEAMS = ("North", "South", None)
STAGES = ("new", "proposal", "closing", None)
# Whole, half a cent (rounds to even), as number and as text, nothing, zero, and the largest allowed.
LARGEST_AMOUNT = "90071992547409.92"
AMOUNTS: tuple[object, ...] = ("100", "12500.50", 99.95, 7, "0.005", "0.015", 0, "0.00", None, LARGEST_AMOUNT)
CURRENCIES = ("USD", "USD", "EUR", None)
KINDS = (
    *("call", "call", "email", "meeting", "demo", "proposal"),
    *("appointment", "follow_up", "one_on_one", "training", None),
)
PRODUCTS: tuple[object, ...] = (
    *(["CRM"], ["ERP", "ERP"], ["CRM", "ERP"], ["Support", "CRM", "Support"]),
    *([], None),
)
SOURCES, REGIONS = ("web", "fair", None), ("EU", "Asia", None)
COSTS = ("60", "12000.505", 0, None)
_SCORES: tuple[tuple[str, tuple[float, ...], str | None], ...] = (
    ("csat", (1, 3.5, 4, 5), None),
    ("nps", (0, 6, 7, 8, 9, 10), None),
    ("enps", (0, 6, 7, 8, 9, 10), None),
    ("nps", (1, 6, 9), "1-10"),
    ("pulse", (1, 6, 9), "1-10"),
    ("pulse", (1, 2, 5), None),
    ("pulse", (3,), "0-10"),
)
ANSWERS: tuple[Event, ...] = tuple(
    {"kind": kind, "score": score, "scale": scale} for kind, scores, scale in _SCORES for score in scores
)
OUTCOMES = ("connected", "no_answer", "held", "no_show", "cancelled", None)


def rfc3339(time_ms: int) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=time_ms)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def cloud_event(kind: str, verb: str, number: int, time_ms: int, data: Event, *, event_id: str) -> Event:
    return {
        "specversion": "1.0",
        "id": event_id,
        "source": "/tests",
        "type": f"sales.{kind}.{verb}",
        "time": rfc3339(time_ms),
        "data": {f"{kind}_id": entity_id(kind, number), **data},
    }


def entity_id(kind: str, number: int) -> str:
    return f"{kind[0].upper()}-{number}"


class Delivery(NamedTuple):
    """An event as a record of its topic: what a producer keyed by entity id would have written."""

    topic: str
    slot: int
    value: bytes


def delivery(event: Event, *, slots: int) -> Delivery:
    kind = str(event["type"]).split(".")[1]
    data = event["data"]
    assert isinstance(data, dict)
    number = int(str(data[f"{kind}_id"]).split("-")[1])
    return Delivery(TOPICS[kind], number % slots, json.dumps(event).encode())


def edge_times(as_of_ms: int, floor: Floor) -> list[int]:
    """Return every window's edges and the milliseconds beside them: where errors by one would show."""
    edges = {as_of_ms, as_of_ms + HOUR_MS}
    for name in WINDOWS:
        pair = window_pair(name, as_of_ms, floor)
        edges |= {pair.now.start_ms, pair.previous.start_ms, pair.previous.end_ms}
    return sorted({edge + step for edge in edges for step in (-1, 0, 1)})


# ---- seeded: many histories, fast -----------------------------------------------------------------


class Generator:
    """Draws histories from a seed. `times` are the instants events like to fall on."""

    def __init__(self, seed: int, *, times: Sequence[int], entities: int = 4) -> None:
        self.random = Random(seed)
        self.times = times
        self.entities = entities
        self._events = 0

    def history(self, length: int) -> list[Event]:
        """Return events in some order of arrival, with duplicates among them."""
        events = [self.event() for _ in range(length)]
        copies = self.random.choices(events, k=length // 5)
        arrived = events + copies
        self.random.shuffle(arrived)
        return arrived

    def event(self) -> Event:
        random = self.random
        kind = random.choices(tuple(WEIGHTS), weights=tuple(WEIGHTS.values()))[0]
        verb = random.choice(VERBS[kind])
        number = random.randrange(self.entities * (4 if kind == "feedback" else 1))
        data = self._data(kind)
        if verb == "merged":
            # Accounts go into one that may have purchases of its own; never back, so never in a circle.
            step = random.randint(1, 3) if kind == "account" else self.entities
            data["merged_into"] = entity_id(kind, number + step)
        return cloud_event(kind, verb, number, self.time(), data, event_id=self._event_id())

    def time(self) -> int:
        random = self.random
        time_ms = random.choice(self.times)
        if random.random() < 0.25:
            time_ms -= random.choice((random.randrange(HOUR_MS), random.randrange(90 * DAY_MS)))
        return time_ms

    def _event_id(self) -> str:
        # Not in order of making, so that ties between equal times fall either way; unique by its end.
        self._events += 1
        return f"{self.random.choice('abc')}{self._events}"

    def _data(self, kind: str) -> Event:
        data: Event = {}
        self._maybe(data, "rep_id", REPS)
        self._maybe(data, "team_id", TEAMS)
        self._maybe(data, "region", REGIONS)
        if kind in ("deal", "lead", "spend"):
            self._maybe(data, "source", SOURCES)
        if kind == "deal":
            self._maybe(data, "amount", AMOUNTS)
            self._maybe(data, "currency", CURRENCIES, chance=0.2)
            self._maybe(data, "stage", STAGES)
            self._maybe(data, "probability", (0, 0.25, 0.333333, 1, None), chance=0.2)
            self._maybe(data, "status", ("open", "won", "lost", None), chance=0.15)
            self._maybe_time(data, "closed_at", chance=0.15)
            self._maybe(data, "account_id", self._ids("account_id"), chance=0.6)
            self._maybe(data, "products", PRODUCTS)
            self._maybe(data, "cost", COSTS)
            if self.random.random() < 0.2:
                data["expected_close_on"] = rfc3339(self.time())[:10]
        if kind in ("deal", "lead"):
            self._maybe_time(data, "created_at", chance=0.15)
            self._maybe(data, OTHER[kind], self._ids(OTHER[kind]))
        if kind == "activity":
            self._maybe(data, "lead_id", self._ids("lead_id"), chance=0.5)
            self._maybe(data, "deal_id", self._ids("deal_id"), chance=0.5)
            self._maybe(data, "kind", KINDS, chance=0.7)
            self._maybe(data, "outcome", OUTCOMES, chance=0.7)
            self._maybe(data, "duration_seconds", (0, 61, 12.5, None))
            self._maybe_time(data, "completed_at", chance=0.15)
            self._maybe_time(data, "scheduled_at", chance=0.4)
            self._maybe_time(data, "due_at", chance=0.4)
        if kind == "account":
            self._maybe(data, "products", PRODUCTS)
            self._maybe_time(data, "active_from", chance=0.3)
            self._maybe_time(data, "churned_at", chance=0.3)
        if kind == "feedback":
            data |= self.random.choice(ANSWERS)
        if kind == "spend":
            self._maybe(data, "amount", AMOUNTS, chance=0.8)
            self._maybe(data, "currency", CURRENCIES, chance=0.2)
            if self.random.random() < 0.6:
                time_ms = self.time()
                days = self.random.choice((1, 2, 7, 31, 365))
                data |= {"from": rfc3339(time_ms)[:10], "to": rfc3339(time_ms + days * DAY_MS)[:10]}
        return data

    def _ids(self, field: str) -> Sequence[object]:
        return (*(entity_id(field.removesuffix("_id"), number) for number in range(self.entities)), None)

    def _maybe(self, data: Event, name: str, values: Sequence[object], *, chance: float = 0.4) -> None:
        if self.random.random() < chance:
            data[name] = self.random.choice(values)

    def _maybe_time(self, data: Event, name: str, *, chance: float) -> None:
        if self.random.random() < chance:
            data[name] = None if self.random.random() < 0.3 else rfc3339(self.time())


# ---- Hypothesis: fewer histories, shrunk to the smallest that fails -------------------------------


def _data_of(kind: str, times: st.SearchStrategy[str]) -> st.SearchStrategy[Event]:
    optional: dict[str, st.SearchStrategy[object]] = {
        "rep_id": st.sampled_from(REPS),
        "team_id": st.sampled_from(TEAMS),
        "region": st.sampled_from(REGIONS),
    }
    if kind in ("deal", "lead", "spend"):
        optional["source"] = st.sampled_from(SOURCES)
    if kind == "deal":
        optional |= {
            "amount": st.sampled_from(AMOUNTS),
            "currency": st.sampled_from(CURRENCIES),
            "stage": st.sampled_from(STAGES),
            "probability": st.sampled_from((0, 0.25, 1, None)),
            "status": st.sampled_from(("open", "won", "lost", None)),
            "closed_at": st.none() | times,
        }
        optional |= {
            "account_id": st.sampled_from(("A-0", "A-1", "A-2", None)),
            "products": st.sampled_from(PRODUCTS),
            "cost": st.sampled_from(COSTS),
        }
    if kind == "account":
        optional |= {
            "active_from": st.none() | times,
            "churned_at": st.none() | times,
            "products": st.sampled_from(PRODUCTS),
        }
    if kind == "spend":
        optional |= {"amount": st.sampled_from(AMOUNTS), "currency": st.sampled_from(CURRENCIES)}
    if kind == "feedback":
        whose = st.fixed_dictionaries({}, optional=optional)
        return st.builds(lambda own, answer: own | answer, whose, st.sampled_from(ANSWERS))
    if kind in ("deal", "lead"):
        optional["created_at"] = st.none() | times
        optional[OTHER[kind]] = st.sampled_from(
            (f"{OTHER[kind][0].upper()}-0", f"{OTHER[kind][0].upper()}-1")
        )
    if kind == "activity":
        optional |= {
            "kind": st.sampled_from(KINDS),
            "outcome": st.sampled_from(OUTCOMES),
            "lead_id": st.sampled_from(("L-0", "L-1", None)),
            "deal_id": st.sampled_from(("D-0", "D-1", None)),
            "duration_seconds": st.sampled_from((0, 12.5, None)),
            "completed_at": st.none() | times,
            "scheduled_at": st.none() | times,
            "due_at": st.none() | times,
        }
    return st.fixed_dictionaries({}, optional=optional)


def _event_of(kind: str, times: st.SearchStrategy[int]) -> st.SearchStrategy[Event]:
    def build(verb: str, number: int, time_ms: int, data: Event) -> Event:
        merged: Event = {"merged_into": entity_id(kind, number + 2)} if verb == "merged" else {}
        return cloud_event(kind, verb, number, time_ms, data | merged, event_id="")

    return st.builds(
        build, st.sampled_from(VERBS[kind]), st.integers(0, 1), times, _data_of(kind, times.map(rfc3339))
    )


def histories(
    times: Sequence[int], *, min_size: int = 1, max_size: int = 12, kinds: Sequence[str] = tuple(VERBS)
) -> st.SearchStrategy[list[Event]]:
    """Lists of events with distinct ids; their order in the list is one order of arrival."""
    moments = st.sampled_from(times)
    one = st.one_of([_event_of(kind, moments) for kind in kinds])

    def with_ids(drawn: tuple[list[Event], Random]) -> list[Event]:
        events, random = drawn
        numbers = random.sample(range(len(events)), len(events))
        return [event | {"id": f"e{number:02}"} for event, number in zip(events, numbers, strict=True)]

    lists = st.lists(one, min_size=min_size, max_size=max_size)
    return st.tuples(lists, st.randoms(use_true_random=False)).map(with_ids)
