"""An event in, the same event some days later out: history that ends today, for trying. Pure.

Whole local days, so that midnights stay midnights and office hours stay office hours, across clock
changes too. Touches the event time and the times and dates in its data, nothing else: the period of a
target or a market size is a name and stays.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from metrics.panes import DAY_MS
from streams.rfc3339 import rfc3339, to_ms

_TIMES: Final = ("created_at", "closed_at", "scheduled_at", "due_at", "completed_at", "churned_at")
_DATES: Final = ("expected_close_on", "from", "to", "valid_from", "active_to")
_TIME_OR_DATE: Final = "active_from"
"""A time in an account, a date in the roster."""
_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Shift:
    days: int
    zone: ZoneInfo

    def apply(self, value: bytes) -> bytes:
        """Return the event later by `days`; numbers and unknown members keep their exact spelling.

        Raises ValueError when a time in it cannot be read.
        """
        event = _decode_members(value)
        if "time" in event:
            event["time"] = self._time(event["time"])
        if "data" in event:
            data = _decode_members(event["data"])
            data |= {name: self._time(data[name]) for name in _TIMES if name in data}
            data |= {name: self._date(data[name]) for name in _DATES if name in data}
            if _TIME_OR_DATE in data:
                is_date = len(data[_TIME_OR_DATE]) == len('"2026-11-21"')
                data[_TIME_OR_DATE] = (self._date if is_date else self._time)(data[_TIME_OR_DATE])
            event["data"] = msgspec.Raw(_encode(data))
        return _encode(event)

    def _time(self, raw: msgspec.Raw) -> msgspec.Raw:
        text = msgspec.json.decode(raw)
        if text is None:
            return raw
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise ValueError(f"{text!r} has no zone")
        wall = moment.astimezone(self.zone).replace(tzinfo=None) + timedelta(days=self.days)
        return msgspec.Raw(_encode(rfc3339(to_ms(wall.replace(tzinfo=self.zone)))))

    def _date(self, raw: msgspec.Raw) -> msgspec.Raw:
        text = msgspec.json.decode(raw)
        if text is None:
            return raw
        return msgspec.Raw(_encode((date.fromisoformat(text) + timedelta(days=self.days)).isoformat()))


def shift_to(now_ms: int, *, newest_ms: int, zone: ZoneInfo) -> Shift:
    """Return the shift that brings the newest event into the last 24 hours."""
    return Shift(max(0, (now_ms - newest_ms) // DAY_MS), zone)
