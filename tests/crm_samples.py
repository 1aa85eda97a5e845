"""Payloads of tests/crm in, what a vendor's module makes of them, compared with what is expected, out.

The expectations speak of neutral fields; `_FIELDS` says what each is in the contract. Events are compared
as the workers decode them.
"""

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import UNSET

from streams.events import EntityKind, Event
from streams.gateway.json_rows import fitted
from streams.gateway.model import AsIs, Canonical, Delivery, Outcome, Skipped, Source, Thin, Unusable, Vendor
from streams.gateway.placing import cloud_event
from streams.gateway.reading import parse_json
from streams.gateway.sources import shipped_map
from streams.gateway.vendors import VENDORS
from streams.publish_input import load_map
from streams.routing import Routed, route

FOLDER = Path(__file__).parent / "crm"
RECEIVED_MS = 1_800_000_000_000
"""When a sample arrives; senders that name no time are believed to mean this one."""
Item = dict[str, Any]

_KINDS = {
    "deals": EntityKind.DEAL,
    "leads": EntityKind.LEAD,
    "activities": EntityKind.ACTIVITY,
    "customers": EntityKind.ACCOUNT,
    "feedback": EntityKind.FEEDBACK,
    "targets": EntityKind.REFERENCE,
}
_FIELDS = {
    "stage": "stage",
    "status": "status",
    "amount": "amount",
    "currency": "currency",
    "pipeline": "pipeline",
    "probability": "probability",
    "owner_id": "rep_id",
    "account_id": "account_id",
    "contact_id": "lead_id",
    "deal_id": "deal_id",
    "lead_source": "source",
    "close_date": "expected_close_on",
    "created_at": "created_at_ms",
    "won_at": "closed_at_ms",
    "kind": "kind",
    "outcome": "outcome",
    "duration_seconds": "duration_seconds",
    "score": "score",
}
NOT_IN_THE_CONTRACT = {
    "name", "company", "phone", "first_name", "last_name", "lifecycle_stage", "direction", "talk_seconds",
    "done", "due_date", "survey", "scale_field", "respondent", "comment",
}  # fmt: skip
"""Names of people and firms and the like: the numbers do without, so they are not kept."""


_SAME_WORDS = {
    "answered": ("connected",),
    "completed": ("connected",),
    "connected": ("connected",),
    "missed": ("no_answer",),
}
"""Outcomes of calls that the contract calls otherwise."""


def media_type(file: str) -> str:
    endings = {".xml": "text/xml", ".form": "application/x-www-form-urlencoded"}
    return endings.get(Path(file).suffix, "application/json")


@dataclass(frozen=True)
class Folder:
    """One kind of source with its payloads."""

    path: Path
    told: Item = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def vendor(self) -> Vendor:
        return VENDORS[self.told["source"]["kind"]]

    def source(self, file: str = "", **more: Any) -> Source:
        """Return the source as the settings would make it, with what `sources` says for one file on top."""
        vendor = self.vendor
        told = {**self.told["source"], **self.told.get("sources", {}).get(file, {}), **more}
        for name in ("stage_status", "activity_kinds", "lead_steps", "options"):
            told[name] = {**getattr(vendor, name), **told.get(name, {})}
        if "map" in told:
            told["mapping"] = load_map(str(self.path / told.pop("map")))
        elif vendor.ships_map:
            told["mapping"] = shipped_map(vendor.kind)
        zone = ZoneInfo(told.pop("zone", "UTC"))
        signatures = tuple(told.pop("signatures", vendor.signatures[:1]))
        source = Source(**{"name": self.name, **told}, zone=zone, signatures=signatures)
        return source if source.mapping is None else replace(source, mapping=fitted(source.mapping, source))

    def read(self, item: Item, *, received_ms: int = RECEIVED_MS) -> list[Outcome]:
        """Return what the vendor's module makes of a sample."""
        file = item["file"]
        body = (self.path / file).read_bytes()
        source = self.source(file)
        if (name := self.told.get("records", {}).get(file)) is not None:
            assert self.vendor.record is not None
            return list(self.vendor.record(name, parse_json(body.decode()), source))
        delivery = Delivery("POST", "", {}, media_type(file), body, received_ms)
        return list(self.vendor.normalise(delivery, source))


def folders() -> list[Folder]:
    return [
        Folder(path.parent, json.loads(path.read_text(encoding="utf-8")))
        for path in sorted(FOLDER.glob("*/source.json"))
    ]


def samples() -> list[tuple[Folder, Item]]:
    return [
        (folder, item)
        for folder in folders()
        for item in json.loads((folder.path / "expected.json").read_text(encoding="utf-8"))["samples"]
    ]


def vectors() -> list[tuple[Folder, Item]]:
    return [
        (folder, item)
        for folder in folders()
        if (folder.path / "vectors.json").exists()
        for item in json.loads((folder.path / "vectors.json").read_text(encoding="utf-8"))["vectors"]
    ]


# --- comparing -------------------------------------------------------------------------------------


def decoded(event: Canonical | AsIs, source: Source) -> Event:
    """Return the event as a worker reads it."""
    routed = route(event.value if isinstance(event, AsIs) else cloud_event(event, source))
    assert isinstance(routed, Routed), routed
    return routed.event


class Found:
    """The outcomes of one sample; expectations take theirs away, and nothing may be left."""

    def __init__(self, outcomes: list[Outcome], source: Source) -> None:
        assert not any(isinstance(outcome, Unusable) for outcome in outcomes), outcomes
        self.source = source
        self.thin = [outcome for outcome in outcomes if isinstance(outcome, Thin)]
        self.skipped = [outcome for outcome in outcomes if isinstance(outcome, Skipped)]
        self.events = [
            decoded(outcome, source) for outcome in outcomes if isinstance(outcome, Canonical | AsIs)
        ]
        self.taken: dict[str, Event] = {}
        self._entities: set[str] = set()

    def take(self, want: Item) -> None:
        form = want["form"]
        self._entities.add(want["entity_id"] or "")
        if form == "ignore":
            self.skipped.pop(0)
        elif form in ("thin", "reconcile"):
            self._take_thin(want)
        elif form == "merge":
            for loser in want["losers"]:
                merged = self._take_event({**want, "entity_id": loser, "set": {}})
                assert merged.changes.merged_into == want["entity_id"]  # type: ignore[union-attr]
        elif form == "duplicate":
            again = next(event for event in self.events if event.entity_id == want["entity_id"])
            self.events.remove(again)
            assert again.event_id in self.taken, "a duplicate has another id"
        else:
            event = self._take_event(want)
            assert (form == "delete") is (getattr(event.changes, "deleted", UNSET) is True)

    def all_taken(self) -> None:
        assert self.thin == []
        assert self.skipped == []
        left = {event.entity_id for event in self.events if event.kind is not EntityKind.REFERENCE}
        assert left <= self._entities

    def _take_thin(self, want: Item) -> None:
        thin = self.thin.pop(0)
        op = want.get("op", "reconcile")
        assert (thin.entity_id, thin.kind, thin.op) == (want["entity_id"] or "", _KINDS[want["topic"]], op)
        assert thin.time_ms == ms(want["occurred_at"])
        assert [name.lower() for name in thin.changed] == want.get("changed", [])
        if (kind := want.get("set", {}).get("kind")) is not None:
            assert thin.object == kind
        if thin.mark is not None:
            event = decoded(thin.mark, self.source)
            assert (event.entity_id, event.time_ms) == (thin.entity_id, thin.time_ms)
            assert f"{event.kind}" == _KINDS[want["topic"]]

    def _take_event(self, want: Item) -> Event:
        wrong: list[str] = []
        for event in self.events:
            if event.event_id in self.taken or event.kind is not _KINDS[want["topic"]]:
                continue
            found = differences(want, event)
            if not found:
                self.events.remove(event)
                self.taken[event.event_id] = event
                return event
            wrong += found
        raise AssertionError(f"no event as expected: {want}; {wrong}; {self.events}")


def ms(text: str) -> int:
    moment = datetime.fromisoformat(text)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


def differences(want: Item, event: Event) -> list[str]:
    """Return what of an expectation an event does not say."""
    if event.kind is EntityKind.REFERENCE:
        return _target_differences(want, event)
    found = [] if event.entity_id == want["entity_id"] else [f"id {event.entity_id}"]
    changes = event.changes
    times = {
        event.time_ms,
        *(getattr(changes, name, UNSET) for name in ("completed_at_ms", "scheduled_at_ms")),
    }
    if "occurred_at" in want and ms(want["occurred_at"]) not in times:
        found.append(f"time {times}")
    for name, value in want.get("set", {}).items():
        if name in NOT_IN_THE_CONTRACT or (
            event.kind is EntityKind.LEAD and name in ("amount", "currency", "status", "contact_id")
        ):
            continue
        if event.kind is EntityKind.ACCOUNT and name in ("account_id", "created_at"):
            continue
        had: object = getattr(changes, _FIELDS.get(name, ""), UNSET)
        if name == "converted":
            had = isinstance(getattr(changes, "converted_at_ms", None), int)
        if not same(value, had) and had not in _SAME_WORDS.get(str(value).lower(), ()):
            found.append(f"{name}: {had!r}, not {value!r}")
    return found


def disagreements(want: Item, state: object) -> list[str]:
    """Return the fields in which a merged state is not what is expected."""
    fields = {name: value for name, value in want.items() if name in _FIELDS}
    return [name for name, value in fields.items() if not same(value, getattr(state, _FIELDS[name]))]


def same(value: object, had: object) -> bool:
    if isinstance(had, Decimal | float):
        return Decimal(str(value)) == Decimal(str(had))
    if isinstance(had, date):
        return value == had.isoformat()
    if isinstance(had, int) and isinstance(value, str):
        return ms(value) == had
    return value == had


def _target_differences(want: Item, event: Event) -> list[str]:
    target: Any = event.changes.record  # type: ignore[union-attr]
    said = want["set"]
    period = f"{said['period_start']}/{said['period_end']}"
    right = (target.period, target.value, event.time_ms)
    expected = (period, Decimal(said["amount"]), ms(want["occurred_at"]))
    return [] if right == expected else [f"{right}, not {expected}"]
