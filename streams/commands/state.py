"""The state in Redis as it is now, and the settings it was folded under. Reads only."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import click

from streams.board import BoardFollower
from streams.commands.frame import Failed
from streams.definition import differences, settings_under
from streams.following import following
from streams.metrics_role import open_store
from streams.settings import Settings
from streams.settings_rules import fold_rules
from streams.stores.redis import RedisStore
from streams.switching import generation_of


@dataclass(frozen=True, slots=True)
class Stored:
    follower: BoardFollower
    """Loaded; it does not follow."""
    under: Settings
    store: RedisStore
    """On the generation that is shown."""
    slots: int


@asynccontextmanager
async def stored(settings: Settings) -> AsyncIterator[Stored]:
    """Load every board; the store is open while the context is."""
    meta = open_store(settings)
    try:
        shown = await meta.shown()
        if shown is None:
            raise Failed(
                "Redis holds no salesfloor state yet; start `salesfloor worker` or `salesfloor run`, or name "
                "another Redis with --redis"
            )
        generation = await generation_of(shown, meta)
    finally:
        await meta.close()
    under = settings_under(shown, settings)
    if under is None:
        raise Failed(
            f"the state in Redis cannot be read here: {differences(shown, settings)}; use the release that "
            "the workers run"
        )
    if under is not settings:
        differing = differences(shown, settings)
        click.echo(f"Note: the state in Redis is of other settings, used here: {differing}", err=True)
    store = meta.of_generation(generation, version=shown.version)
    try:
        follower = following(
            store,
            fold_rules(under),
            slots=shown.slots,
            definition_version=shown.version,
            roster_only=under.metrics.roster_only,
        )
        await follower.load()
        state = follower.state()
        if not state.ready:
            raise Failed(
                f"{state.slots_loaded} of {state.slots_expected} partitions have state; start workers for "
                "the others"
            )
        yield Stored(follower, under, store, shown.slots)
    finally:
        await store.close()
