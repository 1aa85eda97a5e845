"""An aiohttp application in, the address it answers on out. Knows nothing of what it serves."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

# Long enough for an answer under way, short enough that nobody waits for the end of a command.
_SHUTDOWN_SECONDS = 1.0


class CannotListen(Exception):
    """The door cannot be opened. The message names the setting and the option to change."""


@asynccontextmanager
async def serving(app: web.Application, host: str, port: int, *, role: str) -> AsyncIterator[str]:
    """Serve until the context ends; yields "http://host:port" with the port really taken."""
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=_SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            raise CannotListen(
                f"{role} cannot listen on {host}:{port} ({error.strerror}); "
                f"choose another with --{role}-port (0 picks a free one) or [{role}] port"
            ) from None
        yield f"http://{_in_url(host)}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def _in_url(host: str) -> str:
    """Return how a browser on this machine reaches what listens there."""
    if host in ("0.0.0.0", "::", ""):  # noqa: S104 - compared with, not bound to
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
