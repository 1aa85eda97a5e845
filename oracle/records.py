"""Every write ever made to each field of each entity, in the oracle's own words: CloudEvents in, records out.

Of the writes to a field the newest counts; nothing is merged as it comes. Shares no line with the product.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

CloudEvent = Mapping[str, object]


class Write(NamedTuple):
    time_ms: int
    event_id: str
    value: object


@dataclass
class Record:
    """One deal, lead or activity: every write ever made to each of its fields."""

    writes: dict[str, list[Write]] = field(default_factory=dict)
    first_ms: int | None = None
    last_ms: int | None = None

    def newest(self, name: str) -> Write | None:
        return max(self.writes.get(name, ()), key=_rank, default=None)

    def get(self, name: str) -> object:
        write = self.newest(name)
        return None if write is None else write.value

    def text(self, name: str) -> str:
        value = self.get(name)
        return "" if value is None else str(value)

    def instant(self, name: str) -> int | None:
        value = self.get(name)
        if isinstance(value, str):
            return milliseconds(value)
        assert value is None or isinstance(value, int)
        return value


def _rank(write: Write) -> tuple[int, str, bool, str]:
    """Order writes; of two of one event's id and time, which nobody should send, the greater text counts."""
    return write.time_ms, write.event_id, write.value is not None, str(write.value)


def milliseconds(rfc3339: str) -> int:
    moment = datetime.fromisoformat(rfc3339)
    assert moment.tzinfo is not None, rfc3339
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def meaning(kind: str, verb: str, data: Mapping[str, object], time_ms: int) -> dict[str, object]:
    """Return what an event of this type writes beside or instead of its data fields."""
    given = dict(data)
    match kind, verb:
        case (("deal" | "lead"), "created"):
            given.setdefault("created_at", time_ms)
        case "deal", ("won" | "lost"):
            given["status"] = verb
            given.setdefault("closed_at", time_ms)
        case "deal", "reopened":
            given["status"] = "open"
            given.setdefault("closed_at", None)
        case "lead", ("qualified" | "converted"):
            given[f"{verb}_at"] = time_ms
        case "account", "churned":
            given.setdefault("churned_at", time_ms)
        case "account", "reactivated":
            given.setdefault("churned_at", None)
        case (("feedback" | "spend"), ("received" | "recorded")):
            given[f"{verb}_at"] = time_ms
        case "activity", "scheduled":
            given["booked_at"] = time_ms
        case "activity", "completed":
            given.setdefault("completed_at", time_ms)
        case _, "deleted":
            given["deleted"] = True
        case _, "restored":
            given["deleted"] = False
            given["merged_into"] = None
    return given


def records_of(events: Iterable[CloudEvent]) -> dict[tuple[str, str], Record]:
    records: dict[tuple[str, str], Record] = {}
    for event in events:
        _, kind, verb = str(event["type"]).split(".")
        data = event["data"]
        assert isinstance(data, Mapping)
        time = event["time"]
        time_ms = time if isinstance(time, int) else milliseconds(str(time))
        record = records.setdefault((kind, str(data[f"{kind}_id"])), Record())
        record.first_ms = time_ms if record.first_ms is None else min(record.first_ms, time_ms)
        for name, value in meaning(kind, verb, data, time_ms).items():
            record.writes.setdefault(name, []).append(Write(time_ms, str(event["id"]), value))
    return records


def instants(record: Record) -> dict[str, object]:
    """Return what holds of an activity's plan and its completion."""
    return {name: record.get(name) for name in ("kind", "completed_at", "due_at", "scheduled_at")}
