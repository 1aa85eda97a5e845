"""What the last reconcile found, as gauges: there once it ran, and nothing where another release kept it."""

import pytest

from streams.reconcile_feed import LastReconcile, ReconcileFeed


class Kept:
    def __init__(self, packed: bytes | None) -> None:
        self.packed = packed

    async def last(self) -> bytes | None:
        return self.packed


@pytest.mark.parametrize("packed", [None, b"{}", b"not JSON", b'{"findings": 5}'])
async def test_without_a_reconcile_that_can_be_read_nothing_is_shown(packed: bytes | None) -> None:
    feed = ReconcileFeed(Kept(packed))
    await feed.look()
    assert list(feed.gauges()) == []


async def test_the_drift_is_shown_by_kind_and_finding_with_the_times_of_run_and_export() -> None:
    last = LastReconcile(61_000, 60_000, {"deal": {"same": 9, "differs": 2}}, corrections=2, published=0)
    feed = ReconcileFeed(Kept(last.packed()))
    await feed.look()
    text = {
        (sample.name, *sample.labels.values()): sample.value
        for gauge in feed.gauges()
        for sample in gauge.family().samples
    }
    assert text == {
        ("salesfloor_reconcile_records", "differs", "deal"): 2,
        ("salesfloor_reconcile_records", "same", "deal"): 9,
        ("salesfloor_reconcile_corrections",): 2,
        ("salesfloor_reconcile_published",): 0,
        ("salesfloor_reconcile_timestamp_seconds",): 61,
        ("salesfloor_reconcile_as_of_timestamp_seconds",): 60,
    }
