"""From a deal event in a file to the wall's stream: what is news is told once, everything else never."""

import json
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.floor_process import RunningFloor, running_floor

Message = tuple[str, dict[str, Any]]
DEADLINE_SECONDS = 60.0


def deal(deal_id: str, kind: str, *, ago: timedelta = timedelta(), closed_ago: timedelta | None = None,
         amount: str = "500.00", id: str = "") -> str:  # fmt: skip
    now = datetime.now(UTC)
    data: dict[str, str] = {"deal_id": deal_id, "rep_id": "ann", "team_id": "north", "amount": amount,
                            "currency": "USD"}  # fmt: skip
    if closed_ago is not None:
        data["closed_at"] = (now - closed_ago).isoformat()
    event = {
        "specversion": "1.0", "id": id or f"{deal_id}-{kind}-{now.timestamp()}", "source": "/test",
        "type": f"sales.deal.{kind}", "time": (now - ago).isoformat(), "subject": deal_id, "data": data,
    }  # fmt: skip
    return json.dumps(event) + "\n"


class Screen:
    """Reads a wall's stream in a thread until it is closed."""

    def __init__(self, address: str) -> None:
        self._answer = urllib.request.urlopen(f"{address}/wall/stream", timeout=DEADLINE_SECONDS)
        self.told: list[Message] = []
        self._more = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        event = ""
        for raw in self._answer:
            name, _, value = raw.decode().rstrip("\n").partition(": ")
            if name == "event":
                event = value
            elif name == "data":
                with self._more:
                    self.told.append((event, json.loads(value)))
                    self._more.notify_all()

    def wins(self) -> list[tuple[str, str]]:
        return [(event, data["id"]) for event, data in self.told if event.startswith("win")]

    def until_wins(self, count: int) -> list[tuple[str, str]]:
        with self._more:
            assert self._more.wait_for(lambda: len(self.wins()) >= count, DEADLINE_SECONDS), self.wins()
        return self.wins()

    def until_deals_won(self, count: int) -> None:
        """Wait until the board shows so many: what was published before has then been looked at."""

        def shown() -> bool:
            tiles = [widget for _, data in self.told for widget in data.get("widgets", ())]
            values = [tile["value"] for tile in tiles if tile.get("kpi") == "deals_won" and "value" in tile]
            return bool(values) and values[-1] == count

        with self._more:
            assert self._more.wait_for(shown, DEADLINE_SECONDS)


@contextmanager
def a_floor() -> Iterator[RunningFloor]:
    board = [{"name": "main", "widgets": [{"kind": "kpi", "kpi": "deals_won", "window": "7d"}]}]
    with running_floor(SALESFLOOR_BOARDS=json.dumps(board)) as floor:
        yield floor


@pytest.mark.timeout(240)
def test_a_won_deal_is_celebrated_once_and_history_corrections_and_reverts_never(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"

    def publish(floor: RunningFloor, *events: str) -> None:
        file.write_text("".join(events))
        floor.command("publish", str(file), "--wait")

    hours = timedelta(hours=3)
    with a_floor() as floor:
        publish(floor, deal("before", "won"), deal("D-1", "created"), deal("D-2", "created"))
        screen = Screen(floor.metrics)
        screen.until_deals_won(1)
        first = deal("D-1", "won", id="the-win")
        publish(floor, deal("late", "won", ago=hours), first)
        assert screen.until_wins(1) == [("win", "D-1")]
        win = next(data for event, data in screen.told if event == "win")
        assert (win["rep"], win["team"], win["amount_minor"], win["currency"]) == (
            "ann",
            "north",
            50000,
            "USD",
        )
        # Again, another amount, a deal that closed long ago, a win that comes after it was taken back.
        publish(
            floor,
            *(first, deal("D-1", "updated", amount="900.00"), deal("old", "won", closed_ago=hours)),
            *(deal("D-3", "reopened"), deal("D-3", "won", ago=timedelta(seconds=10)), deal("D-2", "won")),
        )
        assert screen.until_wins(2)[1] == ("win", "D-2")
        publish(floor, deal("D-2", "reopened"))
        assert screen.until_wins(3)[2] == ("win_reverted", "D-2")
        screen.until_deals_won(4)  # before, D-1, late, old
        assert screen.wins() == [("win", "D-1"), ("win", "D-2"), ("win_reverted", "D-2")]
