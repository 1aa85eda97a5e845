"""How `snapshot --explain` prints a number and its records."""

import pytest

from metrics.kpi_snapshot import JsonValue
from streams.commands.records_behind import print_answer


def answer_of(*measures: str) -> dict[str, JsonValue]:
    record: JsonValue = {
        "time": "T",
        "kind": "deal",
        "id": "D-1",
        "rep": "Ann",
        "contributions": {measures[0]: 1, measures[-1]: 25},
    }
    parts: list[JsonValue] = [{"measure": name, "of": ["value"], "value": 7} for name in measures]
    return {
        "kpi": "speed",
        "value": 3,
        "unit": "count",
        "as_of": "2026-11-21T09:30:00.000Z",
        "formula": "a / b@90d",
        "parts": parts,
        "without_a_rate": 0,
        "other_windows": [{"name": "90d", "start": "A", "end": "B"}, {"name": "ytd"}],
        "records": [record],
        "records_total": 1,
        "page": 1,
        "pages": 1,
    }


def printed(capsys: pytest.CaptureFixture[str], *measures: str) -> str:
    print_answer(answer_of(*measures))
    return capsys.readouterr().out


def test_other_windows_are_told_with_their_edges(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "won", "won@90d")
    assert "  @90d: A to B\n  @ytd: cannot be told from the panes\n" in text
    assert "  value: won@90d 7\n" in text


def test_few_measures_have_a_column_each(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "won", "lost", "won@90d").splitlines()
    assert lines[-3].split() == ["time", "kind", "id", "rep", "team", "won", "lost", "won@90d"]
    assert lines[-2].split() == ["T", "deal", "D-1", "Ann", "1", "25"]


def test_many_measures_stand_in_one_column(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "won", "lost", "created", "won@90d").splitlines()
    assert lines[-3].split() == ["time", "kind", "id", "rep", "team", "adds"]
    assert lines[-2].endswith("won 1, won@90d 25")
