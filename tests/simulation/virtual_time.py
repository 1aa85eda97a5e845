"""An event loop whose clock jumps to the next timer: hours of sleeping and waiting pass in milliseconds.

Nothing in it waits for real time or real sockets, so a run is a function of its seed.
"""

import asyncio
import selectors
from collections.abc import Coroutine, Mapping
from typing import Any


class StandsStill(Exception):
    """Every task waits for another one: the simulated world is in a deadlock."""


class _NoSockets(selectors.BaseSelector):
    """Selects nothing; each wait moves the clock instead."""

    def __init__(self) -> None:
        self.now_seconds = 0.0
        self._keys: dict[Any, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        self._keys[fileobj] = selectors.SelectorKey(fileobj, -1, events, data)
        return self._keys[fileobj]

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys.pop(fileobj)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise StandsStill
        self.now_seconds += max(timeout, 0.0)
        return []

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._keys


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._virtual = _NoSockets()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now_seconds


class LoopTime:
    """Stands where a module says `time`: its monotonic clock is the loop's."""

    @staticmethod
    def monotonic() -> float:
        return asyncio.get_running_loop().time()


def run_virtually(main: Coroutine[Any, Any, None]) -> None:
    """Run to the end, then cancel what is left."""
    loop = VirtualLoop()
    try:
        loop.run_until_complete(main)
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.close()
