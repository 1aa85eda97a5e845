"""The judge of the chaos runs sees each kind of error: otherwise its "exact" would be worth nothing."""

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.structs import TopicPartition

from streams.settings import load_settings
from streams.settings_rules import fold_rules
from streams.table import SlotTable
from streams.topics import DEALS
from tests.chaos.judge import Judge, Verdict
from tests.chaos.load import Load
from tests.folding import Checkpoint, LogRecord

NOW_MS = 1_750_000_000_000
PLACE = TopicPartition(DEALS, 0)


@pytest.fixture
def settings() -> Any:
    return load_settings(overrides={"worker": {"activity_horizon_days": 800}})


@pytest.fixture
def records() -> list[LogRecord]:
    load = Load("", 1, slots=1, until_ms=NOW_MS, rate=1.0)
    values = [value for topic, _, value, _ in (load._next() for _ in range(2_000)) if topic == DEALS]
    return [LogRecord(DEALS, 0, offset, value) for offset, value in enumerate(values)]


@pytest.fixture
def table(settings: Any) -> SlotTable:
    return SlotTable(0, fold_rules(settings), Checkpoint().claim())


def verdict_on(table: SlotTable, settings: Any, records: list[LogRecord]) -> Verdict:
    judge = Judge(SimpleNamespace(settings=settings), as_of_ms=NOW_MS)  # type: ignore[arg-type]
    judge._take(PLACE, records)
    commit, verdict = table.take_commit(), Verdict()
    assert commit is not None
    judge._compare_slot(0, commit.offsets, commit.board_set, verdict)
    return verdict


def test_an_undisturbed_fold_is_exact(settings: Any, table: SlotTable, records: list[LogRecord]) -> None:
    for start in range(0, len(records), 7):
        table.fold(DEALS, records[start : start + 7], now_ms=NOW_MS)
    assert verdict_on(table, settings, records) == Verdict(
        rejected=sum(b"broken" in r.value for r in records if r.value)
    )


def test_a_record_that_was_left_out_is_lost(
    settings: Any, table: SlotTable, records: list[LogRecord]
) -> None:
    table.fold(DEALS, [each for each in records if each.offset != 50], now_ms=NOW_MS)
    verdict = verdict_on(table, settings, records)
    assert (verdict.lost, verdict.doubled) == (1, 0)
    assert verdict.wrong


def test_a_record_that_was_folded_twice_is_doubled(
    settings: Any, table: SlotTable, records: list[LogRecord]
) -> None:
    table.fold(DEALS, records, now_ms=NOW_MS)
    table.next_offset[DEALS] = 50
    table.fold(DEALS, records[50:51], now_ms=NOW_MS)
    table.next_offset[DEALS] = len(records)
    verdict = verdict_on(table, settings, records)
    assert (verdict.lost, verdict.doubled) == (0, 1)
    assert verdict.wrong


def test_one_lost_and_one_doubled_do_not_hide_each_other(
    settings: Any, table: SlotTable, records: list[LogRecord]
) -> None:
    table.fold(DEALS, [each for each in records if each.offset != 50], now_ms=NOW_MS)
    table.next_offset[DEALS] = 60
    table.fold(DEALS, records[60:61], now_ms=NOW_MS)
    table.next_offset[DEALS] = len(records)
    assert verdict_on(table, settings, records).wrong


def test_a_slot_that_stands_elsewhere_than_the_topics_is_wrong(
    settings: Any, table: SlotTable, records: list[LogRecord]
) -> None:
    table.fold(DEALS, records[:-1], now_ms=NOW_MS)
    verdict = verdict_on(table, settings, records)
    assert any("stands at" in line for line in verdict.wrong)
