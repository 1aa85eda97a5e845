"""Log lines as `event key=value …`, quiet by default. Formats and configures; decides nothing."""

import logging
import sys

# Faust, mode and aiokafka tell their whole life at INFO, and some of it at ERROR that is no error to us.
NOISY = ("faust", "mode", "aiokafka", "kafka", "asyncio", "aiohttp.access")


def fields(event: str, **values: object) -> str:
    """Return one line: the event, then each value; text with blanks is quoted."""
    return " ".join([event, *(f"{key}={_shown(value)}" for key, value in values.items())])


def _shown(value: object) -> str:
    text = str(value)
    return repr(text) if not text or any(mark.isspace() or mark in "\"'=" for mark in text) else text


def configure_logging(level: str = "INFO") -> None:
    """Send our lines to standard error from `level` on, other libraries' from WARNING on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in ("streams", "metrics"):
        logging.getLogger(name).setLevel(level.upper())
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    # A full disk under the log must not stop the counting.
    logging.raiseExceptions = False
