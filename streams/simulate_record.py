"""What happened on a made-up floor in, its records out, as Kafka gets them: some late, some twice. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from metrics.panes import DAY_MS
from streams.rfc3339 import local_offset_ms, rfc3339

SECOND_MS, MINUTE_MS, HOUR_MS = 1000, 60_000, 3_600_000
SOURCE: Final = "/salesfloor/simulation"
DUPLICATED, LATE = 0.02, 0.02
_LATE_MAX_MS = 20 * HOUR_MS


class Simulated(NamedTuple):
    """One record. `arrival_ms` is when it reaches Kafka, `time_ms` when the fact happened."""

    arrival_ms: int
    time_ms: int
    topic: str
    key: bytes
    value: bytes


@dataclass(slots=True, kw_only=True)
class Teller:
    """Writes records; ids begin with `name`. Somebody watching (`live`) keeps no office hours."""

    random: Random
    name: str
    zone: ZoneInfo
    live: bool
    records: list[Simulated] = field(default_factory=list)
    written: int = 0

    def write(self, topic: str, type: str, time_ms: int, key: str, data: Mapping[str, object]) -> None:
        self.written += 1
        event = {
            "specversion": "1.0", "id": f"{self.name}-{self.written}", "source": SOURCE, "type": type,
            "time": rfc3339(time_ms), "subject": key, "data": data,
        }  # fmt: skip
        value = msgspec.json.encode(event)
        arrival_ms = time_ms + self.random.randrange(50, 900)
        if self.random.random() < LATE:
            arrival_ms += int(_LATE_MAX_MS * self.random.random() ** 3)
        record = Simulated(arrival_ms, time_ms, topic, key.encode(), value)
        self.records.append(record)
        if self.random.random() < DUPLICATED:
            self.records.append(
                record._replace(arrival_ms=arrival_ms + self.random.randrange(100, MINUTE_MS))
            )

    def after(self, time_ms: int, mean_ms: float) -> int:
        """Return a moment some time later, at least a second, in office hours unless live."""
        scale = 0.05 if self.live else 1.0
        return self.office(time_ms + SECOND_MS + int(self.random.expovariate(1 / (mean_ms * scale))))

    def office(self, time_ms: int) -> int:
        """Move a moment outside 8 to 19 h, or on a weekend, into the next office morning."""
        if self.live:
            return time_ms
        offset_ms = local_offset_ms(time_ms, self.zone)
        day, in_day_ms = divmod(time_ms + offset_ms, DAY_MS)
        if in_day_ms >= 19 * HOUR_MS:
            day, in_day_ms = day + 1, 0
        # 1970-01-01 was a Thursday: days 2 and 3 of each week counted from it are Saturday and Sunday.
        while day % 7 in (2, 3):
            day, in_day_ms = day + 1, 0
        if in_day_ms < 8 * HOUR_MS:
            in_day_ms = 8 * HOUR_MS + int(self.random.random() * 2 * HOUR_MS)
        return max(time_ms, day * DAY_MS + in_day_ms - offset_ms)
