"""The definition that readers show, and this worker's: waits until they are one, and ends when they part.

Only `salesfloor rebuild` changes what is shown. So two workers of different settings can never take turns
at throwing each other's state away: one of them waits, and says what to do.
"""

import asyncio
import logging

from streams.definition import differences, shown_of
from streams.logs import fields
from streams.settings import Settings
from streams.stores.base import Shown, StoreUnavailable
from streams.stores.redis import RedisStore

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0


class Switched(Exception):
    """The state in use is no longer this worker's: its settings are those of before, or of later."""


async def until_ours(store: RedisStore, settings: Settings, slots: int, stop: asyncio.Event) -> bool:
    """Announce the slots; wait while the state in use is of other settings. False when stopped before.

    State without a single record in it is nobody's: it is taken over.
    """
    ours = shown_of(settings, slots=slots)
    said = False
    while not stop.is_set():
        version = await store.announce(ours)
        if version == ours.version:
            return True
        if await _is_empty(store, slots):
            await store.announce(ours, whatever=True)
            return True
        if not said:
            log.warning(fields("worker waits", cause=_cause(await store.shown(), settings)))
            said = True
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                await stop.wait()
        except TimeoutError:
            continue
    return False


async def while_ours(store: RedisStore, settings: Settings, slots: int) -> None:
    """Look again and again; raise `Switched` once the state in use is of other settings.

    What Redis has forgotten is announced again.
    """
    ours = shown_of(settings, slots=slots)
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        try:
            if await store.announce(ours) != ours.version:
                raise Switched(
                    "the state in use was rebuilt under other settings "
                    f"({_differences(await store.shown(), settings)}); start this worker with those"
                )
        except StoreUnavailable:
            continue  # the checkpointer says so already


async def _is_empty(store: RedisStore, slots: int) -> bool:
    return not any([(await store.read_mark(slot)).seq for slot in range(slots)])


def _cause(shown: Shown | None, settings: Settings) -> str:
    return (
        f"the state in use was folded under other settings ({_differences(shown, settings)}); run "
        "`salesfloor rebuild` with the settings of this worker: it folds everything beside that state, "
        "then switches"
    )


def _differences(shown: Shown | None, settings: Settings) -> str:
    return "unknown" if shown is None else differences(shown, settings)
