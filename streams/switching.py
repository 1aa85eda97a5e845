"""The definition that readers show, and this worker's: waits until they are one, and ends when they part.
And which generation of the state readers read.

Only `salesfloor rebuild` changes what is shown. So two workers of different settings can never take turns
at throwing each other's state away: one of them waits, and says what to do.
"""

import asyncio
import logging
from collections.abc import Callable

from streams.definition import differences, shown_of
from streams.logs import fields
from streams.settings import Settings
from streams.stores.base import (
    STORE_FORMAT,
    ForeignFormat,
    ForeignState,
    Shown,
    StateStore,
    StoreUnavailable,
)

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0


class Switched(Exception):
    """The state in use is no longer this worker's: its release or settings are of before, or of later."""


async def until_ours(
    store: StateStore,
    settings: Settings,
    slots: int,
    stop: asyncio.Event,
    tell: Callable[[str], None] = lambda _cause: None,
) -> bool:
    """Announce the slots; wait while the state in use is not ours. False when stopped before.

    `tell` is told why it waits, and "" when it does no more.

    State without a single record in it is nobody's: it is taken over. State that another release arranged
    is left alone, for what looks empty here need not be.
    """
    ours = shown_of(settings, slots=slots)
    said = ""
    while not stop.is_set():
        try:
            cause = await _refused(store, ours, settings)
        except ForeignFormat as error:
            cause = str(error)
        tell(cause or "")
        if cause is None:
            return True
        if cause != said:
            log.warning(fields("worker waits", cause=cause))
            said = cause
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                await stop.wait()
        except TimeoutError:
            continue
    return False


async def _refused(store: StateStore, ours: Shown, settings: Settings) -> str | None:
    """Announce ourselves; return why the state in use is not for us, None when it is."""
    shown = await store.shown()
    if shown is not None and shown.slots not in (0, ours.slots) and not await _is_empty(store, shown.slots):
        return partitions_changed(ours.slots, shown.slots)
    if await store.announce(ours) == ours.version:
        return None
    if await _is_empty(store, ours.slots):
        await store.announce(ours, whatever=True)
        return None
    return why_not_ours(await store.shown(), settings)


def partitions_changed(now: int, before: int) -> str:
    """Say what to do when the topics have other partitions than the state was folded from."""
    if now < before:
        return (
            f"the topics have {now} partitions, the state in use was folded from {before}: they were made "
            "anew; run `salesfloor rebuild` to count what they hold now"
        )
    return (
        f"the topics have {now} partitions, the state in use was folded from {before}: what is written now "
        "about a deal may lie in another partition than what was written before, and would count twice; run "
        "`salesfloor topics spread`, which brings each key's records together again"
    )


async def while_ours(store: StateStore, settings: Settings, slots: int) -> None:
    """Look again and again; raise `Switched` once the state in use is of other settings.

    What Redis has forgotten is announced again.
    """
    ours = shown_of(settings, slots=slots)
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        try:
            if await store.announce(ours) != ours.version:
                raise Switched(
                    "the state in use was rebuilt by another release or under other settings "
                    f"({_differences(await store.shown(), settings)}); start this worker with those"
                )
        except ForeignFormat as error:
            raise Switched(str(error)) from error
        except StoreUnavailable:
            continue  # the checkpointer says so already


async def named(error: ForeignState, store: StateStore, settings: Settings) -> str:
    """Say why a slot's state was refused: in which settings it differs, if those are shown already."""
    try:
        shown = await store.shown()
    except (ForeignFormat, StoreUnavailable):
        return str(error)
    return why_not_ours(shown, settings) if shown is not None and differences(shown, settings) else str(error)


async def generation_of(shown: Shown, store: StateStore) -> int | None:
    """Return the generation to read; None: of each slot the one that its owner writes.

    While a rebuild switches to other settings, what owners write is a mixture, and the generation that is
    shown stays the one to read. Where all that is written is of the version shown, it is right slot by slot,
    whichever generation it is: after a rebuild under the same settings that was not finished, or whose last
    step the store has forgotten, what is shown would else stand still for ever.
    """
    active = await store.active_generations(shown.slots)
    if shown.generation is None or set(active) <= {shown.generation}:
        return shown.generation
    written = store.of_generation(None, version=shown.version)
    try:
        versions = {await written.version_of(slot) for slot in range(shown.slots)}
    finally:
        await written.close()
    return None if versions == {shown.version} else shown.generation


async def _is_empty(store: StateStore, slots: int) -> bool:
    return not any([(await store.read_mark(slot)).seq for slot in range(slots)])


def why_not_ours(shown: Shown | None, settings: Settings) -> str:
    """Say in what the state in use differs from this release and settings, and what to do about it."""
    if shown is not None and shown.format != STORE_FORMAT:
        return str(ForeignFormat(shown.format))
    return (
        f"the state in use is not of this release and settings ({_differences(shown, settings)}); start the "
        "workers with those, or run `salesfloor rebuild` with this release and these settings: it folds "
        "everything beside that state, then switches"
    )


def _differences(shown: Shown | None, settings: Settings) -> str:
    return "unknown" if shown is None else differences(shown, settings)
