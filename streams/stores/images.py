"""Images read before, served as a store: what reads boards can then read them. Holds and claims nothing."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from streams.stores.base import Board, BoardChange, Claim, Commit, Mark, Outcome, SlotImage


class ImageStore:
    """A `SlotStore` that stands still. Nothing can be claimed from it or written to it."""

    def __init__(self, images: Sequence[SlotImage]) -> None:
        self._images = images

    async def read_image(self, slot: int) -> SlotImage:
        return self._images[slot]

    async def read_board(self, slot: int) -> Board:
        return self._images[slot].board

    async def read_mark(self, slot: int) -> Mark:
        return self._images[slot].board.mark

    async def claim(self, slot: int) -> Claim:
        raise TypeError(f"an image of slot {slot} cannot be claimed")

    async def commit(self, slot: int, commit: Commit) -> Outcome:
        raise TypeError(f"an image of slot {slot} cannot be written to ({len(commit.offsets)} offsets)")

    @asynccontextmanager
    async def follow(self) -> AsyncIterator[AsyncIterator[BoardChange]]:
        yield _nothing()


async def _nothing() -> AsyncIterator[BoardChange]:
    return
    yield
