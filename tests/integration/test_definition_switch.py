"""Another zone without a gap: the old numbers stand until the new ones are whole, and never a mixture."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiohttp import ClientError, ClientSession
from click.testing import CliRunner

from streams.cli import cli
from streams.metrics_role import run_metrics
from streams.rebuild import rebuild
from streams.settings import Settings
from tests.histories import Event, Generator
from tests.integration.cluster import Cluster, until
from tests.integration.test_worker_faults import AS_OF_MS

pytestmark = pytest.mark.timeout(300)

OLD_ZONE, NEW_ZONE = "UTC", "Asia/Kolkata"


class Answer(NamedTuple):
    version: str
    today_start: str
    values: str


def days_of_history(seed: int, length: int) -> list[Event]:
    return Generator(seed, times=[AS_OF_MS - 3_700_000 * n for n in range(80)], entities=60).history(length)


def settings_in(cluster: Cluster, zone: str) -> Settings:
    settings = cluster.settings
    floor = settings.floor.model_copy(update={"zone": zone})
    metrics = settings.metrics.model_copy(update={"port": 0, "tick_ms": 50})
    return settings.model_copy(update={"floor": floor, "metrics": metrics, "clock": "event"})


@asynccontextmanager
async def metrics_role(settings: Settings) -> AsyncIterator[str]:
    """Run the role in this process; gives the address of its door."""
    stop, address = asyncio.Event(), asyncio.get_running_loop().create_future()
    role = asyncio.create_task(run_metrics(settings, stop=stop, on_listening=address.set_result))
    await asyncio.wait({role, address}, return_when=asyncio.FIRST_COMPLETED)
    try:
        yield await address if address.done() else ""
    finally:
        stop.set()
        await role


async def answer_of(session: ClientSession, address: str) -> Answer | None:
    async with session.get(f"{address}/api/snapshot?level=floor&level=team&window=today&window=mtd") as got:
        if got.status != 200:
            return None
        told: dict[str, Any] = await got.json()
    assert told["not_ready"] == ""
    assert told["left_out"] == []
    return Answer(told["definition_version"], told["windows"]["today"]["start"], repr(told["values"]))


async def until_all_saw(seen: dict[str, list[Answer | None]], after: Answer | None) -> None:
    """On a busy machine the last look may have been before the switch."""

    async def all_saw() -> bool:
        return all(answers and answers[-1] == after for answers in seen.values())

    await until(all_saw)


def settings_file(cluster: Cluster, directory: Path) -> Path:
    path = directory / "salesfloor.toml"
    path.write_text(
        f'clock = "event"\n[floor]\nzone = "{NEW_ZONE}"\n[worker]\nactivity_horizon_days = 800\n'
        f'[redis]\nurl = "{cluster.redis_url}"\nnamespace = "{cluster.name}"\n'
    )
    return path


def invoke(arguments: list[str]) -> str:
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def assert_one_switch(seen: Iterable[list[Answer | None]], before: Answer, after: Answer) -> None:
    assert before.values != after.values
    for answers in seen:
        assert set(answers) == {before, after}, "a mixture, or nothing at all"
        assert answers == sorted(answers, key=lambda each: each == after), "back to the old numbers"


async def assert_explained_alike(session: ClientSession, address: str, settings: Path, shown: Answer) -> None:
    """The records behind a number are the same at the door and on the command line, and fit what is shown."""
    async with session.get(f"{address}/api/explain?kpi=win_rate&window=mtd&limit=3") as got:
        explained: dict[str, Any] = await got.json()
    assert explained["definition_version"] == shown.version
    assert "'kpi': 'win_rate', 'level': 'floor', 'key': {}, 'window': 'mtd'" in shown.values
    assert f"'value': {explained['value']!r}" in shown.values
    assert [part["no_longer_listed"] for part in explained["parts"]] == [0, 0]
    assert len(explained["records"]) == 3
    flags = ["--config", str(settings), "--kpi", "win_rate", "--window", "mtd"]
    told = await asyncio.to_thread(invoke, ["snapshot", "--explain", "--json", "--limit", "3", *flags])
    assert json.loads(told) == explained
    printed = await asyncio.to_thread(invoke, ["snapshot", "--explain", *flags])
    assert "numerator/denominator: won" in printed
    assert explained["records"][0]["id"] in printed


async def test_a_changed_zone_is_switched_to_at_once_and_never_mixed(
    cluster: Cluster, tmp_path: Path
) -> None:
    old, new = settings_in(cluster, OLD_ZONE), settings_in(cluster, NEW_ZONE)
    events = days_of_history(31, 2_000)
    await cluster.produce(events)
    old_worker = await cluster.worker(SALESFLOOR_CLOCK="event", SALESFLOOR_FLOOR__ZONE=OLD_ZONE)
    await cluster.committed()
    new_worker = await cluster.worker(ready=False, SALESFLOOR_CLOCK="event", SALESFLOOR_FLOOR__ZONE=NEW_ZONE)
    seen: dict[str, list[Answer | None]] = {}

    async def look(session: ClientSession, address: str) -> None:
        answers = seen[address] = []
        while True:
            answers.append(await answer_of(session, address))
            await asyncio.sleep(0.02)

    async with ClientSession() as session, metrics_role(old) as first, metrics_role(new) as second:

        async def both_say(version: str) -> bool:
            with suppress(ClientError):
                found = [await answer_of(session, address) for address in (first, second)]
                return all(each is not None and each.version == version for each in found)
            return False

        await until(lambda: both_say(old.definition_version))
        before = await answer_of(session, second)
        looking = [asyncio.create_task(look(session, address)) for address in (first, second)]
        assert "worker waits" in new_worker.log.read_text()
        assert "salesfloor rebuild" in new_worker.log.read_text()
        await rebuild(new)
        await until(lambda: both_say(new.definition_version))
        assert await asyncio.wait_for(old_worker.process.wait(), 30) == 1
        assert "floor.zone" in old_worker.log.read_text()
        await new_worker.ready()
        after = await answer_of(session, first)
        await until_all_saw(seen, after)
        for task in looking:
            task.cancel()
        ended = await asyncio.gather(*looking, return_exceptions=True)
        assert {type(each) for each in ended} == {asyncio.CancelledError}, ended
        assert before is not None
        assert after is not None
        assert (before.version, before.today_start[11:19]) == (old.definition_version, "00:00:00")
        assert (after.version, after.today_start[11:19]) == (new.definition_version, "18:30:00")
        assert_one_switch(seen.values(), before, after)

        await assert_explained_alike(session, first, settings_file(cluster, tmp_path), after)

        await cluster.produce(days_of_history(32, 300))
        await cluster.committed()
        assert await new_worker.metric("salesfloor_worker_commits_total") > 0
        late = await cluster.worker(ready=False, SALESFLOOR_CLOCK="event", SALESFLOOR_FLOOR__ZONE=OLD_ZONE)

        async def waits() -> bool:
            return "worker waits" in late.log.read_text()

        await until(waits)
        assert await both_say(new.definition_version)


async def test_settings_may_change_freely_while_nothing_was_counted(cluster: Cluster) -> None:
    worker = await cluster.worker()
    await worker.stop()
    await cluster.worker(SALESFLOOR_FLOOR__ZONE=NEW_ZONE)
    await cluster.produce(days_of_history(33, 200))
    await cluster.committed()
