"""What stands for Kafka behind the gateway's doors in unit tests; the real sender has tests on a broker."""

import asyncio
from collections.abc import Sequence

from streams.gateway.model import Outgoing
from streams.gateway.sender import KafkaAway


class RecordingSender:
    """Keeps what it is sent. Refuses the first `refusals` calls and while not `ready`; never answers while it
    `hangs`."""

    def __init__(self, refusals: int = 0) -> None:
        self.sent: list[Outgoing] = []
        self.ready = True
        self.hangs = False
        self.refusals = refusals

    async def send(self, records: Sequence[Outgoing]) -> None:
        if self.hangs:
            await asyncio.Event().wait()
        if self.refusals or not self.ready:
            self.refusals = max(0, self.refusals - 1)
            raise KafkaAway("down")
        self.sent += records
