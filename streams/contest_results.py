"""Due contest results in, written-down ones out: final is the same in every role and after every restart.

Runs beside the metrics role. Several roles may do so at once: the first to write is believed, also by the
others. While Redis is away the standing stays "settling".
"""

import asyncio
import json
import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Protocol

from metrics.contest import ContestStanding, result_of
from metrics.kpi_snapshot import JsonValue
from streams.logs import fields
from streams.stores.base import StoreUnavailable

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
_RETRY_SECONDS = 5.0


class Results(Protocol):
    async def keep(self, result_id: str, result: bytes) -> bytes: ...
    async def kept(self) -> dict[str, bytes]: ...


class Standings(Protocol):
    def keep(self, results: Mapping[str, Mapping[str, JsonValue]]) -> None: ...
    def to_be_kept(self) -> tuple[ContestStanding, ...]: ...


async def keep_contest_results(results: Results, standings: Standings) -> None:
    """Until cancelled: take over what is written down, then write down what becomes due."""
    while True:
        try:
            standings.keep(_read(await results.kept()))
            while True:
                await write_due(results, standings)
                await asyncio.sleep(LOOK_SECONDS)
        except StoreUnavailable as error:
            log.warning(fields("contest results wait", cause=error))
            await asyncio.sleep(_RETRY_SECONDS)


async def write_due(results: Results, standings: Standings) -> None:
    """Write down every result that is due, and take over what another role wrote first."""
    for standing in standings.to_be_kept():
        ours = json.dumps(result_of(standing), ensure_ascii=False, allow_nan=False).encode()
        kept = await results.keep(standing.contest.id, ours)
        log.info(fields("contest result kept", contest=standing.contest.name, ours=kept == ours))
        standings.keep(_read({standing.contest.id: kept}))


def _read(kept: Mapping[str, bytes]) -> dict[str, Mapping[str, JsonValue]]:
    found: dict[str, Mapping[str, JsonValue]] = {}
    for result_id, text in kept.items():
        with suppress(ValueError):
            result = json.loads(text)
            if isinstance(result, dict):
                found[result_id] = result
    return found
