"""`salesfloor verify` beside a worker that works: clean while events come in; a spoilt number is named."""

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from metrics.measures import BY_NAME
from streams import layout
from streams.cli import cli
from streams.commands import frame
from streams.events import EntityKind
from streams.facts import DealFact
from streams.topics import DEALS
from tests.histories import DAY_MS, rfc3339
from tests.integration.cluster import SLOTS, Cluster
from tests.integration.test_worker_faults import AS_OF_MS, floor_history

pytestmark = pytest.mark.timeout(300)
AT = ("--at", rfc3339(AS_OF_MS + 1))
ASKED = (*AT, "--level", "floor", "--level", "team", "--window", "90d", "--window", "mtd", "--json")


@pytest.fixture
def here(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    for name, value in cluster.environment.items():
        monkeypatch.setenv(name, value)
    return cluster


async def verified(capsys: pytest.CaptureFixture[str], asked: Sequence[str] = ASKED) -> tuple[int, Any]:
    code = await asyncio.to_thread(frame.run, cli, ["verify", *asked])
    said = capsys.readouterr()
    return code, json.loads(said.out) if said.out.startswith("{") else said.out + said.err


def one_call_more(name: bytes, value: bytes) -> bytes | None:
    done = BY_NAME["calls_done"].number
    if layout.is_pane(name) and done in (pane := layout.unpack_pane(value)):
        return layout.pack_pane({**pane, done: pane[done] + 1})
    return None


def one_unit_more(name: bytes, value: bytes) -> bytes | None:
    """Of a deal won within 90 days in the floor's own currency, in its fact."""
    if not layout.is_fact(name) or layout.fact_owner(name)[0] is not EntityKind.DEAL:
        return None
    fact = layout.unpack_fact(EntityKind.DEAL, value)
    if not isinstance(fact, DealFact) or fact.status != "won" or fact.cell.currency != "USD":
        return None
    if fact.closed_at_ms is None or not AS_OF_MS - 80 * DAY_MS < fact.closed_at_ms <= AS_OF_MS:
        return None
    return layout.pack_fact(replace(fact, amount_minor=fact.amount_minor + 100))


async def spoil(cluster: Cluster, wrong_of: Callable[[bytes, bytes], bytes | None]) -> None:
    """Let one field of a board tell of more than there was, as a bug or a hand might."""
    store = cluster.store()
    async with Redis.from_url(cluster.redis_url) as redis:
        for slot in range(SLOTS):
            for name, value in (await store.read_board(slot)).fields.items():
                if (wrong := wrong_of(name, value)) is not None:
                    key = f"{{{cluster.name}:{slot}}}:g0:board"
                    await redis.execute_command("HSET", key, name, wrong)  # type: ignore[no-untyped-call]
                    await store.close()
                    return
    raise AssertionError("there is nothing to spoil")


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


@pytest.mark.parametrize(("kpi", "wrong_of"), [("calls", one_call_more), ("revenue", one_unit_more)])
async def test_what_is_spoilt_is_found_and_named(
    here: Cluster,
    capsys: pytest.CaptureFixture[str],
    kpi: str,
    wrong_of: Callable[[bytes, bytes], bytes | None],
) -> None:
    worker = await here.worker()
    await here.produce(floor_history(32, 400))
    await here.committed()
    await worker.stop()
    await spoil(here, wrong_of)
    asked = (*AT, "--kpi", kpi, "--level", "floor", "--window", "90d")
    code, found = await verified(capsys, (*asked, "--json"))
    assert (code, found["verdict"]) == (1, "different")
    (now,) = [each for each in found["differences"] if not each["previous"]]
    assert (now["kpi"], now["level"], now["window"]) == (kpi, "floor", "90d")
    assert now["value"] == now["recomputed"] + 1
    code, said = await verified(capsys, asked)
    assert code == 1
    assert f"snapshot --explain --kpi {kpi} --level floor --window 90d" in said


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
