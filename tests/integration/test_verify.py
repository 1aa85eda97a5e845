"""`salesfloor verify` beside a worker that works: clean while events come in; a spoilt number is named."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
from redis.asyncio import Redis

from metrics.measures import BY_NAME
from streams import layout
from streams.cli import cli
from streams.commands import frame
from streams.topics import DEALS
from tests.histories import rfc3339
from tests.integration.cluster import SLOTS, Cluster
from tests.integration.test_worker_faults import AS_OF_MS, floor_history

pytestmark = pytest.mark.timeout(300)
AT = ("--at", rfc3339(AS_OF_MS + 1))
ASKED = (*AT, "--level", "floor", "--level", "team", "--window", "90d", "--window", "mtd", "--json")
OF_CALLS = (*AT, "--kpi", "calls", "--level", "floor", "--window", "90d")


@pytest.fixture
def here(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    for name, value in cluster.environment.items():
        monkeypatch.setenv(name, value)
    return cluster


async def verified(capsys: pytest.CaptureFixture[str], asked: Sequence[str] = ASKED) -> tuple[int, Any]:
    code = await asyncio.to_thread(frame.run, cli, ["verify", *asked])
    said = capsys.readouterr()
    return code, json.loads(said.out) if said.out.startswith("{") else said.out + said.err


async def spoil_a_call(cluster: Cluster) -> None:
    """Let one pane tell of one call more, as a bug or a hand might."""
    done = BY_NAME["calls_done"].number
    store = cluster.store()
    async with Redis.from_url(cluster.redis_url) as redis:
        for slot in range(SLOTS):
            for name, value in (await store.read_board(slot)).fields.items():
                if layout.is_pane(name) and done in (pane := layout.unpack_pane(value)):
                    wrong = layout.pack_pane({**pane, done: pane[done] + 1})
                    key = f"{{{cluster.name}:{slot}}}:g0:board"
                    await redis.execute_command("HSET", key, name, wrong)  # type: ignore[no-untyped-call]
                    await store.close()
                    return
    raise AssertionError("nobody called anybody")


async def test_a_running_floor_is_the_same_also_while_events_come_in(
    here: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    events = floor_history(31, 1_200)
    await here.worker()
    await here.produce(events[:600])
    await here.produce_raw(DEALS, 0, b"no event at all")
    await here.committed()
    feeding = asyncio.create_task(here.produce(events[600:], pause_seconds=0.02))
    code, found = await verified(capsys)
    assert (code, found["verdict"], found["differences"]) == (0, "same", [])
    assert found["compared"] > 300
    assert found["records"]["read"] >= 601
    assert found["records"]["refused"] == 1
    await feeding
    await here.committed()
    code, found = await verified(capsys)
    assert (code, found["records"]["read"]) == (0, len(events) + 1)


async def test_a_spoilt_pane_is_found_and_named(here: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    worker = await here.worker()
    await here.produce(floor_history(32, 400))
    await here.committed()
    await worker.stop()
    await spoil_a_call(here)
    code, found = await verified(capsys, (*OF_CALLS, "--json"))
    assert (code, found["verdict"]) == (1, "different")
    (now,) = [each for each in found["differences"] if not each["previous"]]
    assert (now["kpi"], now["level"], now["key"], now["window"]) == ("calls", "floor", {}, "90d")
    assert now["value"] == now["recomputed"] + 1
    code, said = await verified(capsys, OF_CALLS)
    assert code == 1
    assert "snapshot --explain --kpi calls --level floor --window 90d" in said


async def test_where_nothing_can_be_told_the_exit_code_says_so(
    here: Cluster, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, said = await verified(capsys)
    assert code == 2
    assert "holds no salesfloor state yet" in said
    worker = await here.worker()
    await here.produce(floor_history(33, 50))
    await here.committed()
    await worker.stop()
    code, said = await verified(capsys, (*ASKED, "--max-records", "10"))
    assert (code, "--max-records 10" in said) == (2, True)
