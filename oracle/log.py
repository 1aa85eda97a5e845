"""Raw records in, one after another as the topics hold them; out, the events that count, kept whole.

Applies the rules by which a record counts or does not, and nothing else. Of the moment at which a worker
read a record it knows only that it lies between the record's arrival and now: where that leaves a rule open,
the record is doubtful, and `events` gives it or not as one asks. Shares no line with the product.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time

from oracle.reading import KIND_OF_TOPIC, REFERENCE, Refusal, Told, read, reference_id
from oracle.records import Record, Write, instants, meaning

DAY_MS = 86_400_000
FUTURE_MS = DAY_MS
PLANNED_AHEAD_MS = 400 * DAY_MS
FACT_TIMES = {
    "deal": ("created_at", "closed_at"),
    "lead": ("created_at",),
    "activity": ("completed_at",),
    "account": ("active_from", "churned_at"),
}


@dataclass(frozen=True)
class Rules:
    """What decides whether a record counts."""

    now_ms: int
    retention_ms: int
    activity_horizon_ms: int
    event_clock: bool = False


@dataclass
class Activities:
    """The activities of one partition that can still change, and how newer ones made old ones final."""

    newest_ms: int | None = None
    live: dict[str, Record] = field(default_factory=dict)
    lives: Counter[str] = field(default_factory=Counter)


class Log:
    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.counts: Counter[str] = Counter()
        self._events: list[tuple[Told, bool]] = []
        self._newest_ms: dict[tuple[str, int], int] = {}
        self._activities: dict[int, Activities] = {}

    @property
    def doubtful(self) -> int:
        return self.counts["doubtful"]

    def take(
        self,
        topic: str,
        partition: int,
        arrived_ms: int,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> None:
        """Take the next record of a partition."""
        try:
            event = read(topic, value, headers)
        except Refusal:
            self.counts["refused"] += 1
            return
        if event is None:
            self.counts["of unknown type"] += 1
            return
        kind = KIND_OF_TOPIC[topic]
        counts = self._counts(kind, topic, partition, event, min(arrived_ms, self.rules.now_ms))
        if counts is not False and kind == "activity" and not self._may_change(partition, event):
            counts = False
        if counts is False:
            self.counts["refused"] += 1
            return
        time_ms = _time_of(event)
        self._newest_ms[topic, partition] = max(time_ms, self._newest_ms.get((topic, partition), time_ms))
        self.counts["doubtful" if counts is None else "counted"] += 1
        self._events.append((event, counts is None))

    def _counts(self, kind: str, topic: str, partition: int, event: Told, arrived_ms: int) -> bool | None:
        """Say whether the record's times are ones that count; None where it depends on when it was read."""
        data, time_ms = _data_of(event), _time_of(event)
        times = [
            time_ms,
            *(each for name in FACT_TIMES.get(kind, ()) if isinstance(each := data.get(name), int)),
        ]
        if max(times) > self.rules.now_ms + FUTURE_MS:
            return False
        doubtful = max(times) > arrived_ms + FUTURE_MS
        if kind == "reference":
            return None if doubtful else True
        if self.rules.event_clock:
            newest_ms = self._newest_ms.get((topic, partition))
            too_old = newest_ms is not None and time_ms < newest_ms - self.rules.retention_ms
            return False if too_old else None if doubtful else True
        if time_ms < arrived_ms - self.rules.retention_ms:
            return False
        return None if doubtful or time_ms < self.rules.now_ms - self.rules.retention_ms else True

    # ---- activities become final

    def _may_change(self, partition: int, event: Told) -> bool:
        """Hold an activity against the newest one of its partition; give a new life to one that is final."""
        own = self._activities.setdefault(partition, Activities())
        data, time_ms = _data_of(event), _time_of(event)
        name, verb = str(data["activity_id"]), str(event["type"]).rpartition(".")[2]
        written = meaning("activity", verb, data, time_ms)
        newest_ms = self._newest_ms.get(("sales.activities", partition))
        if newest_ms is not None:
            horizon_ms = newest_ms - self.rules.activity_horizon_ms
            record = own.live.get(name)
            if record is None or _is_final(record, horizon_ms):
                if min((time_ms, *_moments(written))) < horizon_ms:
                    return False
                if record is not None:
                    del own.live[name]
                    own.lives[name] += 1
        record = own.live.setdefault(name, Record())
        record.last_ms = max(time_ms, record.last_ms or time_ms)
        for field_name, value in written.items():
            record.writes.setdefault(field_name, []).append(Write(time_ms, str(event["id"]), value))
        if own.lives[name]:
            event["data"] = {**data, "activity_id": f"{name}\0{own.lives[name]}"}
        return True

    # ---- what counts

    def events(self, *, with_doubtful: bool = True) -> Iterator[Told]:
        """Return what counts, but for reference records and for what nothing was heard of for too long."""
        kept = [
            event
            for event, doubtful in self._events
            if (with_doubtful or not doubtful) and not _is_reference(event)
        ]
        forgotten = self._forgotten(kept)
        return (event for event in kept if _entity_of(event) not in forgotten)

    def _forgotten(self, events: Sequence[Told]) -> set[tuple[str, str]]:
        """Return the entities of which nothing is newer than what is kept."""
        oldest_ms = self._oldest_ms()
        if oldest_ms is None:
            return set()
        newest: dict[tuple[str, str], int] = {}
        for event in events:
            entity = _entity_of(event)
            own = [_time_of(event)]
            if entity[0] != "account":
                own += _all_moments(_data_of(event))
            newest[entity] = max(*own, newest.get(entity, own[0]))
        return {entity for entity, ms in newest.items() if ms < oldest_ms and entity[0] != "activity"}

    def _oldest_ms(self) -> int | None:
        if not self.rules.event_clock:
            return self.rules.now_ms - self.rules.retention_ms
        facts = [ms for (topic, _), ms in self._newest_ms.items() if topic != "sales.reference"]
        return max(facts) - self.rules.retention_ms if facts else None

    def references(self, *, with_doubtful: bool = True) -> list[dict[str, object]]:
        """Return the newest reference record of each id, with its `form`."""
        newest: dict[str, tuple[tuple[int, str, str], dict[str, object]]] = {}
        for event, doubtful in self._events:
            if not _is_reference(event) or (doubtful and not with_doubtful):
                continue
            form, data = str(event["type"]).removeprefix("sales."), _data_of(event)
            rank = _time_of(event), str(event["id"]), str(data)
            name = reference_id(form, data)
            if name not in newest or newest[name][0] < rank:
                newest[name] = rank, {"form": form, **data}
        return [record for _, record in newest.values()]


def _is_reference(event: Told) -> bool:
    return str(event["type"]).removeprefix("sales.") in REFERENCE


def _time_of(event: Told) -> int:
    time_ms = event["time"]
    assert isinstance(time_ms, int)
    return time_ms


def _data_of(event: Told) -> dict[str, object]:
    data = event["data"]
    assert isinstance(data, dict)
    return data


def _entity_of(event: Told) -> tuple[str, str]:
    kind = str(event["type"]).split(".")[1]
    return kind, str(_data_of(event)[f"{kind}_id"])


def _all_moments(data: dict[str, object]) -> Iterator[int]:
    yield from (each for each in data.values() if isinstance(each, int))
    for name in ("expected_close_on", "from", "to"):
        if data.get(name) is not None:
            day = datetime.combine(date.fromisoformat(str(data[name])), time.max)
            yield int((day - datetime(1970, 1, 1)).total_seconds() * 1000) + DAY_MS  # noqa: DTZ001 - about


def _moments(activity: dict[str, object]) -> Iterator[int]:
    """Return when it may be counted."""
    planned = {"follow_up": "due_at", "demo": "scheduled_at"}.get(str(activity.get("kind")), "")
    for value in (activity.get("completed_at"), activity.get(planned)):
        if isinstance(value, int):
            yield value


def _is_final(record: Record, horizon_ms: int) -> bool:
    assert record.last_ms is not None
    latest_ms = max((record.last_ms, *_moments(instants(record))))
    return min(latest_ms, record.last_ms + PLANNED_AHEAD_MS) < horizon_ms
