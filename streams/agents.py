"""The Faust agent over the source topics: batches in, the keeper's fold called; no arithmetic of its own."""

from typing import Any

import faust

from streams.keeper import Keeper
from streams.topics import SOURCES


def add_fold_agent(app: faust.App, keeper: Keeper) -> None:
    """Let the app consume the source topics. Every exception's fate is decided inside `Keeper.fold`."""
    # No acknowledgements: Faust would track every offset between two batches as a gap, without end, and
    # the checkpoint's offsets are the truth anyway.
    source = app.topic(*SOURCES, acks=False, key_serializer="raw", value_serializer="raw")

    async def fold(stream: Any) -> None:
        async for event in stream.events():
            message = event.message
            keeper.counts.batches += 1
            keeper.counts.batch_records += len(message.value)
            again = keeper.fold(message.topic, message.partition, message.value)
            if again is not None:
                await keeper.reseek(again)

    app.agent(source, name="fold", concurrency=1)(fold)
