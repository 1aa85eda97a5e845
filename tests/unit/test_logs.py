"""Log lines are one event with its values; a library that repeats itself is heard once in a while."""

import json
import logging
import sys

import pytest

from streams.logs import REPEAT_SECONDS, Discreet, JsonFormatter, Seldom, TextFormatter, fields, trace_of


def test_values_with_blanks_are_quoted() -> None:
    assert fields("slot owned", slot=3, cause="Connection refused", empty="") == (
        "slot owned slot=3 cause='Connection refused' empty=''"
    )


def record(name: str, message: str, level: int = logging.ERROR) -> logging.LogRecord:
    return logging.LogRecord(name, level, "", 0, message, None, None)


def test_repetition_of_a_library_is_silenced_for_a_while() -> None:
    times = iter([0.0, 0.1, 0.2, REPEAT_SECONDS])
    seldom = Seldom(now_seconds=lambda: next(times))
    messages = ["Unable connect to %s", "Unable connect to %s", "another", "Unable connect to %s"]
    assert [seldom.filter(record("aiokafka", message)) for message in messages] == [True, False, True, True]


def test_our_own_lines_are_never_silenced() -> None:
    seldom = Seldom(now_seconds=lambda: 0.0)
    assert [seldom.filter(record("streams.keeper", "slot fenced")) for _ in range(2)] == [True, True]


# --- what is said of exceptions, and how

CUSTOMER = "Zebulon"


class OursIsFree(Exception):
    __module__ = "streams.something"


def raised(error: BaseException, cause: BaseException | None = None) -> logging.LogRecord:
    try:
        try:
            if cause is not None:
                raise cause
        except type(cause or error) as inner:
            raise error from inner
        raise error
    except type(error):
        return logging.LogRecord(
            "streams.keeper", logging.ERROR, "", 0, fields("fold failed", slot=3), None, sys.exc_info()
        )


@pytest.mark.parametrize("formatter", [TextFormatter, JsonFormatter])
def test_an_exceptions_words_are_kept_back_and_its_place_is_told(
    formatter: type[TextFormatter | JsonFormatter],
) -> None:
    said, debugged = (
        formatter(words=words).format(raised(ValueError(f"no number: {CUSTOMER}"), KeyError(CUSTOMER)))
        for words in (False, True)
    )
    assert CUSTOMER not in said
    assert "KeyError" in said
    assert "ValueError" in said
    assert "test_logs.py" in said
    assert CUSTOMER in debugged


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), OursIsFree("slot 3 is split")])
def test_words_that_quote_no_record_are_told(error: Exception) -> None:
    assert str(error) in TextFormatter().format(raised(error))


def test_a_group_tells_all_its_parts_without_their_words() -> None:
    said = trace_of(ExceptionGroup("two", [ValueError(CUSTOMER), OSError(5, "input/output error")]))
    assert CUSTOMER not in said
    assert "input/output error" in said


def test_a_librarys_message_quotes_no_exception() -> None:
    crashed = record("mode", "Crashed reason=%r")
    crashed.args = (ValueError(CUSTOMER),)
    task = record("asyncio", f"Task exception was never retrieved\nfuture: <Task exception={CUSTOMER}>")
    task.exc_info = (ValueError, ValueError(CUSTOMER), None)
    for each in (crashed, task):
        assert Discreet().filter(each)
        assert CUSTOMER not in TextFormatter().format(each)


def test_a_json_line_holds_the_event_and_its_values_apart() -> None:
    line = record("streams.keeper", fields("slot lost", slot=3), logging.WARNING)
    told = json.loads(JsonFormatter().format(line))
    assert told.pop("time").endswith("+00:00")
    assert told == {
        "level": "warning", "logger": "streams.keeper", "event": "slot lost", "values": {"slot": "3"},
    }  # fmt: skip
    assert "\n" not in JsonFormatter().format(raised(ValueError("x")))


def test_a_librarys_line_is_json_too() -> None:
    line = logging.LogRecord("aiokafka", logging.ERROR, "", 0, "Unable connect to %s", ("kafka:9092",), None)
    assert json.loads(JsonFormatter().format(line))["event"] == "Unable connect to kafka:9092"
