"""One change of one Pipedrive record, whichever version told of it, and how Pipedrive writes times. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final
from zoneinfo import ZoneInfo

from streams.events import Reason
from streams.gateway.model import Canonical, Form, Unreadable
from streams.gateway.reading import Object, time_ms_of

UTC: Final = ZoneInfo("UTC")


class Op(Enum):
    CREATE = auto()
    CHANGE = auto()
    DELETE = auto()
    UNKNOWN = auto()


@dataclass(frozen=True, slots=True)
class Change:
    entity: str
    """Pipedrive's word: deal, lead, person, organization, activity, …"""
    entity_id: str
    op: Op
    time_ms: int
    dedup: tuple[str, ...]
    data: Object
    """The whole state; empty when the record was deleted."""
    previous: Object = field(default_factory=dict)
    """Version 2: the old values of what changed; version 1, and of a deleted record: the whole old state."""
    account: str = ""
    merged_into: str = ""
    merged_from: str = ""

    def was_other(self, name: str) -> bool:
        """Say whether this very change set a field."""
        return name in self.previous and self.previous[name] != self.data.get(name)

    def event(
        self, event_type: str, data: Mapping[str, object], *, form: Form = Form.SNAPSHOT, entity_id: str = ""
    ) -> Canonical:
        entity_id = entity_id or self.entity_id
        return Canonical(event_type, entity_id, self.time_ms, data, self.dedup, form, self.account)


def stamp_ms(text: str) -> int:
    """Read when a change was told of: seconds, milli- or microseconds since the epoch, or an ISO time."""
    if not re.fullmatch(r"\d{9,17}", text, re.ASCII):
        return utc_ms(text, "timestamp")
    if len(text) <= 11:
        return time_ms_of(f"{text}000", "timestamp", UTC)
    return time_ms_of(text if len(text) <= 14 else text[:-3], "timestamp", UTC)


def utc_ms(text: str, name: str) -> int:
    """Read a time of a record; one without a zone is UTC, whatever the zone of the floor. Bare numbers are
    no times here."""
    if re.fullmatch(r"-?\d*", text):
        raise Unreadable(Reason.BAD_TIME, f"{name} is no date or time in a known form")
    return time_ms_of(text, name, UTC)
