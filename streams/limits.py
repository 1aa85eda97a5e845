"""Who asks how often in, whether they may go on out: a bucket of permits for each, bounded in number.

Has no clock of its own and knows no HTTP.
"""

import ipaddress
import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

BURST_SECONDS: Final = 10.0
"""Who was quiet may ask at once for as much as so many seconds allow."""
KEPT_MAX: Final = 10_000
"""Askers remembered; the one that was quiet for longest is forgotten first, and starts with a full bucket."""


class Rate:
    """So many permits a second for each asker, with bursts. A rate of 0 is no limit."""

    def __init__(self, per_second: float, now_seconds: Callable[[], float]) -> None:
        self._per_second = per_second
        self._most = per_second * BURST_SECONDS
        self._now_seconds = now_seconds
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """Asker -> permits that were left, and when that was."""

    def take(self, asker: str, permits: float = 1.0) -> float:
        """Take permits; return 0 when there were enough, else the seconds until there are.

        More than there are may be taken, once: then the asker waits for longer.
        """
        if not self._per_second:
            return 0.0
        now = self._now_seconds()
        left, at = self._left.pop(asker, (self._most, now))
        left = min(self._most, left + (now - at) * self._per_second)
        enough = left >= min(1.0, permits)
        self._left[asker] = (left - permits if enough else left, now)
        if len(self._left) > KEPT_MAX:
            self._left.popitem(last=False)
        return 0.0 if enough else max((1.0 - left) / self._per_second, 0.001)


def asker_of(address: str | None) -> str:
    """Return who is behind an address: whoever has one of IPv6 has all that share its first half."""
    try:
        parsed = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return address or ""
    if isinstance(parsed, ipaddress.IPv6Address):
        mapped = parsed.ipv4_mapped
        return str(mapped) if mapped else str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


def whole_seconds(seconds: float) -> str:
    """Return what a Retry-After header says."""
    return str(max(1, math.ceil(seconds)))
