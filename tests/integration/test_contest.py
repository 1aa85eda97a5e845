"""A contest on a running floor: its result is frozen in Redis, for late corrections and other roles alike."""

import json
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.floor_process import Process, RunningFloor, running_floor

DEADLINE_SECONDS = 60.0
CONTESTS = json.dumps(
    [
        {
            "name": "sprint",
            "kpi": "deals_won",
            "start": "2026-01-05",
            "end": "2026-01-06",
            "settling_hours": 1,
        },
        {"name": "open", "kpi": "deals_won", "start": "2026-01-05", "end": "2026-02-01"},
    ]
)


def won(deal: str, rep: str, at: str) -> str:
    data = {"deal_id": deal, "rep_id": rep, "amount": "10.00", "currency": "USD", "closed_at": at}
    event = {
        "specversion": "1.0", "id": f"{deal}-{at}", "source": "/test", "type": "sales.deal.won",
        "time": at, "subject": deal, "data": data,
    }  # fmt: skip
    return json.dumps(event) + "\n"


def published(floor: RunningFloor, path: Path, *events: str) -> None:
    path.write_text("".join(events))
    floor.command("publish", str(path), "--wait")


def contest(address: str, name: str) -> dict[str, Any]:
    """Return the contest as the API tells it; nothing before the first snapshot."""
    try:
        with urllib.request.urlopen(f"{address}/api/contests", timeout=10) as answer:
            told = json.load(answer)["contests"]
    except OSError:
        return {}
    return dict(next(each for each in told if each["name"] == name))


def final_of(address: str) -> dict[str, Any] | None:
    found = contest(address, "sprint")
    return found if found.get("final") else None


def until(ready: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (found := ready()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return found


def keys(contest: dict[str, Any]) -> list[tuple[int, str, int]]:
    return [(entry["rank"], entry["key"], entry["value"]) for entry in contest.get("standings", ())]


@pytest.mark.timeout(240)
def test_a_late_correction_moves_the_running_contest_and_not_the_frozen_one(tmp_path: Path) -> None:
    with running_floor(SALESFLOOR_CONTESTS=CONTESTS) as floor:
        file = tmp_path / "events.jsonl"
        published(floor, file, won("D1", "ann", "2026-01-05T10:00:00Z"))
        # The clock is the newest event's: it must not pass the end before the first deal is read.
        until(lambda: keys(contest(floor.metrics, "open")) == [(1, "ann", 1)])
        published(floor, file, won("D2", "bob", "2026-01-07T10:00:00Z"))
        final = until(lambda: final_of(floor.metrics))
        assert (final["stage"], keys(final)) == ("final", [(1, "ann", 1), (2, "bob", 0)])

        published(floor, file, *(won(f"L{n}", "bob", f"2026-01-05T1{n}:00:00Z") for n in range(3)))
        until(lambda: keys(contest(floor.metrics, "open")) == [(1, "bob", 4), (2, "ann", 1)])
        assert contest(floor.metrics, "sprint") == final

        other = Process("metrics", "--port", "0", environment=floor.environment)
        try:
            address = other.wait_for(r"(http://\S+)/metrics")
            other.drain()
            assert keys(until(lambda: final_of(address))) == keys(final)
            assert keys(contest(address, "open")) == [(1, "bob", 4), (2, "ann", 1)]
        finally:
            other.stop()
