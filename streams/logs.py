"""Log lines as `event key=value …` or as JSON, quiet by default. Formats and configures; decides nothing.

An exception's own words may quote what it stumbled over, a customer's name among them. So a traceback shows
where it came from and of what kind it is; its words only if they are known to be ours, or with --debug.
"""

import json
import logging
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Final, Literal

# Faust, mode and aiokafka tell their whole life at INFO, and some of it at ERROR that is no error to us.
FAUST_LOGGER = logging.getLogger("faust.salesfloor")
"""For classes that extend Faust's: what it says of them belongs under its own name."""

REPEAT_SECONDS = 30.0
"""While a broker is away, aiokafka says so some twenty times a second."""

NOISY = ("faust", "mode", "aiokafka", "kafka", "asyncio", "aiohttp.access", "aiohttp.server")
_SPEAK_FREELY: Final = ("streams.", "metrics.", "aiokafka.", "faust.", "mode.", "msgspec", "ssl", "socket")
"""Modules whose exceptions quote no record: ours are written for people, msgspec's name the field."""
_REFUSED_BY_KAFKA: Final = "AuthorizationFailedError"

LogFormat = Literal["text", "json"]


class Line(str):
    """A log line that also knows what it was made of."""

    event: str
    values: dict[str, str]


def fields(event: str, **values: object) -> Line:
    """Return one line: the event, then each value; text with blanks is quoted."""
    line = Line(" ".join([event, *(f"{key}={_shown(value)}" for key, value in values.items())]))
    line.event, line.values = event, {key: str(value) for key, value in values.items()}
    return line


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


class Discreet(logging.Filter):
    """Keeps back what a library's message quotes of an exception: its words, and the repr of its task."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(
                said_by(each) if isinstance(each, BaseException) else each for each in record.args
            )
        if record.name == "asyncio" and record.exc_info:
            record.msg, record.args = str(record.msg).partition("\n")[0], ()
        return True


class TextFormatter(logging.Formatter):
    """`time level logger: line`, and below it the traceback of an exception without its words."""

    def __init__(self, *, words: bool = False) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self._words = words

    def formatException(self, ei: object) -> str:  # noqa: N802 - the library's name
        error = ei[1] if isinstance(ei, tuple) else None
        return "" if error is None else trace_of(error, words=self._words)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, event, its values, and the traceback of an exception."""

    def __init__(self, *, words: bool = False) -> None:
        super().__init__()
        self._words = words

    def format(self, record: logging.LogRecord) -> str:
        made = record.msg if isinstance(record.msg, Line) else None
        told: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": made.event if made is not None else record.getMessage(),
        }
        if made is not None and made.values:
            told["values"] = made.values
        if record.exc_info and record.exc_info[1] is not None:
            told["trace"] = trace_of(record.exc_info[1], words=self._words)
        return json.dumps(told, ensure_ascii=False)


def trace_of(error: BaseException, *, words: bool = False) -> str:
    """Return where an exception and its causes came from; their words only where they are harmless."""
    if not words and type(error).__name__.endswith(_REFUSED_BY_KAFKA):
        return said_by(error)  # it came from the broker; where we heard of it helps nobody
    return "\n".join(_traces(error, words=words))


def _traces(error: BaseException, *, words: bool) -> Iterator[str]:
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        yield from _traces(cause, words=words)
        yield "which led to:"
    yield "Traceback (most recent call last):"
    yield "".join(traceback.format_tb(error.__traceback__)).rstrip("\n")
    yield f"{type(error).__name__}: {error}" if words else said_by(error)
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _traces(each, words=words)


def said_by(error: BaseException) -> str:
    """Return an exception's kind, with its words where they quote nothing that was sent to us."""
    kind = type(error)
    if isinstance(error, OSError) or kind.__module__.startswith(_SPEAK_FREELY):
        return f"{kind.__name__}: {error}" if str(error) else kind.__name__
    return f"{kind.__name__} (its words may quote a record; --debug shows them)"


def configure_logging(level: str = "INFO", log_format: LogFormat = "text") -> None:
    """Send our lines to standard error from `level` on, other libraries' from WARNING on."""
    handler = logging.StreamHandler(sys.stderr)
    words = level.upper() == "DEBUG"
    handler.setFormatter(JsonFormatter(words=words) if log_format == "json" else TextFormatter(words=words))
    handler.addFilter(Seldom())
    if not words:
        handler.addFilter(Discreet())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in ("streams", "metrics"):
        logging.getLogger(name).setLevel(level.upper())
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    # A full disk under the log must not stop the counting.
    logging.raiseExceptions = False
