"""A floor that missed some of what happened, put right by a full export: its numbers are the export's."""

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from click.testing import CliRunner

from streams.cli import cli
from streams.clock import SystemClock
from streams.events import EntityKind
from streams.gateway.incomplete import record_of
from streams.gateway.incomplete_list import read_incomplete
from streams.gateway.model import Thin
from streams.producer import connect
from streams.publish import publish_file
from streams.reconcile import Finding
from streams.reconcile_feed import ReconcileFeed
from streams.reconcile_run import Reconcile, ReconcileReport, reconcile
from streams.rfc3339 import rfc3339
from streams.settings import Settings
from streams.stores.reconciled import ReconciledStore
from tests.integration.cluster import Cluster
from tests.integration.test_worker_faults import expected

pytestmark = pytest.mark.timeout(180)

HOUR_MS = 3_600_000
MAP = """
[tables.deals]
file = "deals.csv"
[[events]]
type = "sales.deal.updated"
id = "id"
time = "updated"
[events.fields]
status = "status"
amount = "amount"
currency = { value = "USD" }
created_at = "created"
closed_at = "closed"
rep_id = "rep"
"""
Deal = dict[str, str]


def event(number: int, time_ms: int, kind: str = "updated", **data: Any) -> dict[str, Any]:
    told = {"specversion": "1.0", "id": f"{number}-{time_ms}-{kind}", "source": "/t"}
    whole = {"deal_id": f"D-{number:03}", **data}
    return {**told, "type": f"sales.deal.{kind}", "time": rfc3339(time_ms), "data": whole}


def made(random: Random, now_ms: int, number: int) -> Deal:
    created_ms = now_ms - random.randrange(48, 96) * HOUR_MS
    status = random.choice(("open", "won", "lost"))
    return {
        "id": f"D-{number:03}",
        "status": status,
        "amount": f"{random.randrange(1, 900)}.{random.randrange(100):02}",
        "created": rfc3339(created_ms),
        "closed": "" if status == "open" else rfc3339(created_ms + 24 * HOUR_MS),
        "rep": random.choice(("ann", "bo")),
        "updated": rfc3339(now_ms - random.randrange(2, 20) * HOUR_MS),
    }


def event_of(deal: Deal, **wrong: str) -> dict[str, Any]:
    told = {**deal, **wrong}
    fields = {"status": told["status"], "amount": told["amount"], "currency": "USD", "rep_id": told["rep"]}
    times = {"created_at": told["created"], "closed_at": told["closed"] or None}
    return {
        "specversion": "1.0",
        "id": f"e-{told['id']}",
        "source": "/t",
        "type": "sales.deal.updated",
        "time": told["updated"],
        "data": {"deal_id": told["id"], **fields, **times},
    }


def write_lines(path: Path, events: list[dict[str, Any]]) -> str:
    path.write_text("".join(f"{json.dumps(one)}\n" for one in events), encoding="utf-8")
    return str(path)


def write_export(folder: Path, deals: list[Deal]) -> str:
    (folder / "map.toml").write_text(MAP)
    rows = [",".join(deals[0]), *(",".join(deal.values()) for deal in deals)]
    (folder / "deals.csv").write_text("\n".join(rows), encoding="utf-8")
    return str(folder / "deals.csv")


async def tell_incomplete(settings: Settings, *thins: Thin) -> None:
    producer = (await connect(settings.kafka, client_id="test")).producer
    try:
        for thin in thins:
            told = record_of("crm", thin)
            await producer.send_and_wait(told.topic, told.value, key=told.key)
    finally:
        await producer.stop()


async def numbers(cluster: Cluster) -> dict[str, Any]:
    totals = await cluster.totals()
    return {name: totals[name] for name in ("won", "lost", "created", "won_amount")}


async def test_floor_with_drift_has_the_numbers_of_the_export_afterwards(
    cluster: Cluster, tmp_path: Path
) -> None:
    random, now_ms = Random(5), SystemClock().now_ms()
    deals = [made(random, now_ms, number) for number in range(120)]
    as_of_ms = now_ms - HOUR_MS
    live = [event_of(deal) for deal in deals[:80]]
    live += [event_of(deal, amount="1.00") for deal in deals[80:95]]
    live += [event_of(deal, status="lost", closed=deal["created"]) for deal in deals[95:105]]
    # 15 deals were never heard of; five that are in no export any more; one was won after it was made.
    extra = [event_of(made(random, now_ms, number)) for number in range(900, 905)]
    later = event(0, as_of_ms + 60_000, "won", amount="5000.00", currency="USD")
    settings = cluster.settings
    await cluster.worker()
    await publish_file(
        write_lines(tmp_path / "live.jsonl", [*live, *extra, later]), settings=settings, wait=True
    )
    deal_told = EntityKind.DEAL
    await tell_incomplete(
        settings,
        Thin("deal", "D-110", "create", as_of_ms - 5, deal_told),
        Thin("deal", "", "reconcile", as_of_ms - 5, deal_told),
        Thin("deal", "D-000", "update", as_of_ms + 60_000, deal_told),
        Thin("deal", "D-777", "update", as_of_ms - 5, deal_told),
        Thin("lead", "", "reconcile", as_of_ms - 5, EntityKind.LEAD),
    )
    export = write_export(tmp_path, deals)

    def asked(**more: Any) -> Reconcile:
        return Reconcile(file=export, map=str(tmp_path / "map.toml"), as_of_ms=as_of_ms, **more)

    before = await numbers(cluster)
    dry = await reconcile(asked(dry_run=True, delete_missing=True), settings)
    assert (dry.published, await numbers(cluster)) == (0, before)
    assert len(await read_incomplete(settings)) == 5

    report = await reconcile(asked(wait=True), settings)
    assert counted(report) == {"same": 79, "differs": 25, "missing": 15, "extra": 5, "later": 1}
    right = expected([*(event_of(deal) for deal in deals), *extra, later])
    assert await numbers(cluster) == {name: right[name] for name in before}
    assert {key.id or key.object for key in await read_incomplete(settings)} == {"D-000", "D-777", "lead"}
    assert (len(report.completed), report.still_incomplete) == (2, 3)

    report = await reconcile(asked(wait=True, delete_missing=True), settings)
    assert counted(report) == {"same": 119, "extra": 5, "later": 1}
    right = expected([*(event_of(deal) for deal in deals), later])
    assert await numbers(cluster) == {name: right[name] for name in before}
    assert counted(await reconcile(asked(), settings)) == {"same": 119, "later": 1}


def counted(report: ReconcileReport) -> dict[str, int]:
    return {str(one): report.counts.of(one) for one in Finding if report.counts.of(one)}


async def shown(settings: Settings) -> dict[tuple[str, ...], float]:
    """Return what the metrics role shows of the last reconcile, but for when it ran."""
    store = ReconciledStore(settings.redis.url.get_secret_value(), namespace=settings.redis.namespace)
    feed = ReconcileFeed(store)
    await feed.look()
    await store.close()
    found: dict[tuple[str, ...], float] = {}
    for gauge in feed.gauges():
        for block in gauge.blocks:
            for labels, value in zip(block.labels, block.values.tolist(), strict=True):
                named = dict(labels)
                who = (named["kind"], named["finding"]) if named else ()
                found[gauge.name.removeprefix("salesfloor_reconcile_"), *who] = value
    assert found.pop(("timestamp_seconds",)) > 0
    return found


async def test_commands_show_the_drift_and_the_list(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio

    for name, value in cluster.environment.items():
        monkeypatch.setenv(name, value)
    random, now_ms = Random(6), SystemClock().now_ms()
    deals = [made(random, now_ms, number) for number in range(3)]
    await cluster.worker()
    settings = cluster.settings
    live = write_lines(tmp_path / "live.jsonl", [event_of(deals[0]), event_of(deals[1], amount="1.00")])
    await publish_file(live, settings=settings, wait=True)
    await tell_incomplete(settings, Thin("deal", "D-9", "create", now_ms, EntityKind.DEAL))

    async def run(*arguments: str) -> str:
        result = await asyncio.to_thread(CliRunner().invoke, cli, arguments)
        assert result.exit_code == 0, result.output
        return result.output

    export, drift = write_export(tmp_path, deals), tmp_path / "drift.jsonl"
    given = (export, "--map", str(tmp_path / "map.toml"), "--reconcile", "--as-of", rfc3339(now_ms))
    said = await run("publish", *given, "--drift", str(drift), "--wait")
    assert "2 corrections published, all folded and committed" in said
    found = {one["id"]: one for one in map(json.loads, drift.read_text().splitlines())}
    assert found.keys() == {"D-001", "D-002"}
    assert found["D-001"]["fields"] == {"amount": {"live": "1.00", "export": deals[1]["amount"]}}
    assert await shown(settings) == {
        ("records", "deal", "same"): 1, ("records", "deal", "differs"): 1, ("records", "deal", "missing"): 1,
        ("corrections",): 2, ("published",): 2, ("as_of_timestamp_seconds",): now_ms / 1000,
    }  # fmt: skip
    told = json.loads(await run("publish", *given, "--json"))
    assert (told["findings"], told["published"]) == ({"deal": {"same": 3}}, 0)

    assert "D-9" in await run("incomplete")
    await run("incomplete", "done", "--object", "deal", "--id", "D-9")
    assert json.loads(await run("incomplete", "--json")) == {"incomplete": []}
