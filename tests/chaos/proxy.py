"""A TCP proxy between a client and a server that can be slow, silent or cut. Never looks into the bytes."""

import asyncio
from contextlib import suppress

CHUNK = 1 << 16


class Proxy:
    """Listens on `port`; what it does to connections is set at any time and holds at once."""

    def __init__(self, port: int, target: int) -> None:
        self.port, self.target = port, target
        self.latency_seconds = 0.0
        """Each chunk waits so long, in each direction."""
        self.connections = 0
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._refusing = False
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    def cut(self) -> None:
        """Reset every connection, and every new one at once, as a dead host's router does."""
        self._refusing = True
        self._break_all()

    def hang(self) -> None:
        """Pass nothing on and close nothing: the half-open connection of a network that drops packets."""
        self._flowing.clear()

    def heal(self) -> None:
        """Forget delays and cuts. What waited while silent is passed on now, as TCP's resending would."""
        self._refusing = False
        self.latency_seconds = 0.0
        self._flowing.set()

    def forget_waiting(self) -> None:
        """Reset what is open, so that nothing held back while silent arrives later."""
        self._break_all()

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        self._break_all()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _break_all(self) -> None:
        for writer in self._open:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self._refusing:
            writer.transport.abort()
            return
        try:
            await self._flowing.wait()
            there, back = await asyncio.open_connection("127.0.0.1", self.target)
        except (OSError, asyncio.CancelledError):
            writer.transport.abort()
            return
        self._open |= {writer, back}
        passing = {
            asyncio.create_task(self._pass(reader, back)),
            asyncio.create_task(self._pass(there, writer)),
        }
        self._tasks |= passing
        await asyncio.wait(passing)
        self._tasks -= passing
        self._open -= {writer, back}
        for each in (writer, back):
            each.transport.abort()

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while chunk := await source.read(CHUNK):
                if self.latency_seconds:
                    await asyncio.sleep(self.latency_seconds)
                await self._flowing.wait()
                sink.write(chunk)
                await sink.drain()
            if sink.can_write_eof():
                sink.write_eof()
