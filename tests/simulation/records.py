"""Records of all seven topics from a seed: good ones, and every kind of bad or odd one by its name."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from random import Random
from typing import NamedTuple

from aiokafka.structs import TopicPartition

from streams.topics import REFERENCE, SOURCES
from tests.histories import DAY_MS, Event, Generator, delivery, rfc3339

BROKEN = {"no json", "empty", "wrong topic", "no number", "future", "too old"}
"""These become dead letters. An unknown type is counted and passed over; the others are good."""
_ODD = ("no json", "empty", "wrong topic", "unknown type", "unknown field", "no number", "future", "too old")


class Made(NamedTuple):
    place: TopicPartition
    value: bytes
    event: Event | None
    """What the oracle is told of it; None when no number may know it."""
    kind: str


class Records:
    def __init__(self, seed: int, *, now_ms: int, slots: int, hits: Counter[str]) -> None:
        self._random = Random(seed)
        self._now_ms = now_ms
        self._slots = slots
        self._hits = hits
        self._told: list[Event] = []
        self._references = 0
        times = [now_ms - self._random.randrange(5 * DAY_MS) for _ in range(12)]
        self._generator = Generator(seed, times=times, entities=6)
        self.rates: dict[str, tuple[int, str]] = {}
        """What reference records should say in the end: day -> (time, rate)."""

    def make(self) -> Made:
        dice = self._random.random()
        if dice < 0.12:
            made = self._odd(self._random.choice(_ODD))
        elif dice < 0.22:
            made = self._reference()
        elif dice < 0.37 and self._told:
            # Near the end of what was told: a producer's retry. Far from it: a connector that starts over.
            late = self._random.random() < 0.5
            event = self._random.choice(self._told if late else self._told[-3:])
            made = self._of(event, "late duplicate" if late else "duplicate")
        elif dice < 0.39:
            made = self._leap_second()
        else:
            event = self._generator.event()
            self._told.append(event)
            made = self._of(event, "plain")
        self._hits[made.kind] += 1
        return made

    def _of(self, event: Event, kind: str) -> Made:
        topic, slot, value = delivery(event, slots=self._slots)
        return Made(TopicPartition(topic, slot), value, event, kind)

    def _odd(self, kind: str) -> Made:
        event = self._generator.event()
        topic, slot, value = delivery(event, slots=self._slots)
        place = TopicPartition(topic, slot)
        data = event["data"]
        assert isinstance(data, dict)
        match kind:
            case "no json":
                value = value[: self._random.randrange(1, len(value))]
            case "empty":
                value = b""
            case "wrong topic":
                others = [each for each in SOURCES if each != topic]
                place = TopicPartition(self._random.choice(others), slot)
            case "unknown type":
                value = json.dumps({**event, "type": "sales.deal.sneezed"}).encode()
            case "unknown field":
                self._told.append(event)
                value = json.dumps({**event, "data": {**data, "shoe_size": 44}}).encode()
                return Made(place, value, event, kind)
            case "no number":
                deal = {**event, "type": "sales.deal.won", "data": {"deal_id": "D-1", "amount": "NaN"}}
                place, value = TopicPartition("sales.deals", slot), json.dumps(deal).encode()
            case "future":
                value = json.dumps({**event, "time": rfc3339(self._now_ms + 3000 * DAY_MS)}).encode()
            case "too old":
                value = json.dumps({**event, "time": rfc3339(self._now_ms - 3000 * DAY_MS)}).encode()
        return Made(place, value, None, kind)

    def _leap_second(self) -> Made:
        """A time that datetime cannot hold; it counts as the last millisecond before it."""
        event = self._generator.event()
        minute = self._now_ms - self._now_ms % 60_000 - self._random.randrange(60, 3000) * 60_000
        event["time"] = rfc3339(minute - 1)
        self._told.append(event)
        topic, slot, _ = delivery(event, slots=self._slots)
        leap = datetime.fromtimestamp(minute // 1000 - 1, UTC).strftime("%Y-%m-%dT%H:%M:60Z")
        value = json.dumps({**event, "time": leap}).encode()
        return Made(TopicPartition(topic, slot), value, event, "leap second")

    def _reference(self) -> Made:
        """Rates of a currency that no deal is in: what the store holds of them is compared, no KPI."""
        self._references += 1
        day = datetime.fromtimestamp(self._now_ms // 1000, UTC).date() - timedelta(
            days=self._random.randrange(3)
        )
        # Never the same time twice, so that the newest is one; not in order of making.
        time_ms = self._now_ms - self._random.randrange(400) * DAY_MS - self._references
        rate = f"{self._random.randrange(1, 1000)}"
        if time_ms > self.rates.get(f"{day}", (0, ""))[0]:
            self.rates[f"{day}"] = time_ms, rate
        event: Event = {
            "specversion": "1.0", "id": f"r{self._references}", "source": "/tests", "type": "sales.rate.set",
            "time": rfc3339(time_ms), "data": {"currency": "CHF", "valid_from": f"{day}", "rate": rate},
        }  # fmt: skip
        place = TopicPartition(REFERENCE, day.day % self._slots)
        return Made(place, json.dumps(event).encode(), None, "reference")
