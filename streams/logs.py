"""Log lines as `event key=value …`, quiet by default. Formats and configures; decides nothing."""

import logging
import sys
import time
from collections.abc import Callable

# Faust, mode and aiokafka tell their whole life at INFO, and some of it at ERROR that is no error to us.
FAUST_LOGGER = logging.getLogger("faust.salesfloor")
"""For classes that extend Faust's: what it says of them belongs under its own name."""

REPEAT_SECONDS = 30.0
"""While a broker is away, aiokafka says so some twenty times a second."""

NOISY = ("faust", "mode", "aiokafka", "kafka", "asyncio", "aiohttp.access")


def fields(event: str, **values: object) -> str:
    """Return one line: the event, then each value; text with blanks is quoted."""
    return " ".join([event, *(f"{key}={_shown(value)}" for key, value in values.items())])


def _shown(value: object) -> str:
    text = str(value)
    return repr(text) if not text or any(mark.isspace() or mark in "\"'=" for mark in text) else text


class Seldom(logging.Filter):
    """Lets a library's message through once in a while, not each time it is repeated."""

    def __init__(self, now_seconds: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._now_seconds = now_seconds
        self._said_at: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith(NOISY) or record.levelno >= logging.CRITICAL:
            return True
        said, now = (record.name, str(record.msg)), self._now_seconds()
        if now - self._said_at.get(said, -REPEAT_SECONDS) < REPEAT_SECONDS:
            return False
        self._said_at[said] = now
        return True


def configure_logging(level: str = "INFO") -> None:
    """Send our lines to standard error from `level` on, other libraries' from WARNING on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handler.addFilter(Seldom())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in ("streams", "metrics"):
        logging.getLogger(name).setLevel(level.upper())
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    # A full disk under the log must not stop the counting.
    logging.raiseExceptions = False
