"""Log lines are one event with its values; a library that repeats itself is heard once in a while."""

import logging

from streams.logs import REPEAT_SECONDS, Seldom, fields


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
