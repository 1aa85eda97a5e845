"""Signed requests that were taken in, whether one comes again out. Bounded, and forgets after the window."""

from collections import OrderedDict
from typing import Final

from streams.gateway.signing import WINDOW_MS

_KEPT_MAX: Final = 100_000


class Replays:
    """Remembers what made each taken request unique for as long as its signature would still be fresh.

    Only what was taken is remembered: a sender that was answered 503 may send the very same again.
    """

    def __init__(self, kept_max: int = _KEPT_MAX) -> None:
        self._taken: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._kept_max = kept_max

    def seen(self, source: str, once: str, now_ms: int) -> bool:
        self._forget(now_ms)
        return (source, once) in self._taken

    def remember(self, source: str, once: str, now_ms: int) -> None:
        self._taken[source, once] = now_ms
        while len(self._taken) > self._kept_max:
            self._taken.popitem(last=False)

    def _forget(self, now_ms: int) -> None:
        # A signature may be from WINDOW_MS ahead and is fresh until WINDOW_MS after it.
        while self._taken and next(iter(self._taken.values())) < now_ms - 2 * WINDOW_MS:
            self._taken.popitem(last=False)
