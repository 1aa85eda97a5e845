"""Milliseconds in, times as events write them (RFC 3339, UTC) out, and the way back. A leaf; pure."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND: Final = datetime.resolution * 1000
_HOUR_MS: Final = 3_600_000


def to_ms(moment: datetime) -> int:
    """Return whole milliseconds since the epoch, rounded down; the moment has a zone."""
    return (moment - EPOCH) // MILLISECOND


def rfc3339(time_ms: int) -> str:
    moment = EPOCH + time_ms * MILLISECOND
    return f"{moment.isoformat()[:19]}.{time_ms % 1000:03d}Z"


def local_offset_ms(time_ms: int, zone: ZoneInfo) -> int:
    """Return local time minus UTC at the start of the moment's hour: good enough to tell office hours by."""
    return _offset_of_hour_ms(time_ms // _HOUR_MS, zone)


@lru_cache(maxsize=10_000)
def _offset_of_hour_ms(hour: int, zone: ZoneInfo) -> int:
    offset = (EPOCH + hour * _HOUR_MS * MILLISECOND).astimezone(zone).utcoffset()
    return 0 if offset is None else offset // MILLISECOND
