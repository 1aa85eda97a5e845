"""What the last `publish --reconcile` found, from one process to another: its report in, gauges out.

The command keeps it in Redis; the metrics role looks there now and then. Compares and corrects nothing.
"""

import asyncio
import logging
from collections.abc import Iterator, Mapping
from typing import Final, Protocol

import msgspec
import numpy as np

from metrics.gauges import Gauge, GaugeBlock, Labels
from metrics.labels import label_value
from streams.logs import fields
from streams.stores.base import StoreUnavailable

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 5.0


class LastReconcile(msgspec.Struct, frozen=True):
    """One run of the command. Times in ms."""

    ran_at_ms: int
    as_of_ms: int
    """When the export was made."""
    findings: Mapping[str, Mapping[str, int]]
    """Kind of record -> finding -> how many records."""
    corrections: int
    """How many events would end the drift."""
    published: int
    """How many of them were published: none by a dry run."""

    def packed(self) -> bytes:
        return msgspec.json.encode(self)


class Kept(Protocol):
    async def last(self) -> bytes | None: ...


class ReconcileFeed:
    """`run` it beside whoever shows `gauges`."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept
        self.last: LastReconcile | None = None

    async def run(self) -> None:
        """Look for what is newest until cancelled; while Redis is away the last one stays."""
        while True:
            try:
                await self.look()
            except StoreUnavailable as error:
                log.debug(fields("last reconcile is not read", cause=error))
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        packed = await self._kept.last()
        try:
            self.last = None if packed is None else msgspec.json.decode(packed, type=LastReconcile)
        except msgspec.MsgspecError:
            self.last = None  # another release may keep something else

    def gauges(self) -> Iterator[Gauge]:
        """Yield nothing before the first reconcile."""
        last = self.last
        if last is None:
            return
        counts: dict[Labels, int] = {
            (("finding", label_value(finding)), ("kind", label_value(kind))): count
            for kind, found in sorted(last.findings.items())
            for finding, count in sorted(found.items())
        }
        yield Gauge(
            "salesfloor_reconcile_records",
            "Records by what the last reconcile found of them.",
            "",
            (GaugeBlock(list(counts), np.array(list(counts.values()), dtype=np.float64)),),
        )
        for name, sentence, unit, value in (
            ("corrections", "Events that would end the drift it found.", "", last.corrections),
            ("published", "Corrections that it published.", "", last.published),
            ("timestamp_seconds", "When the last reconcile ran.", "seconds", last.ran_at_ms / 1000),
            ("as_of_timestamp_seconds", "When its export was made.", "seconds", last.as_of_ms / 1000),
        ):
            block = GaugeBlock(((),), np.array([float(value)]))
            yield Gauge(f"salesfloor_reconcile_{name}", sentence, unit, (block,))
