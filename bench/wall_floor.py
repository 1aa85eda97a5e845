"""A plan in, a made-up floor's events out to Kafka: reps and deals they won. Measures no wall."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

import msgspec
from aiokafka import AIOKafkaProducer

from streams.topics import DEALS, REFERENCE

REPS, HISTORY = 2000, 20_000
SLEEP_SECONDS_MIN = 0.002


class Plan(NamedTuple):
    """Deals `first` and on, so many, `rate` a second; `history` is of past days, after its roster."""

    bootstrap: str
    first: int
    deals: int
    rate: float
    history: bool = False
    reps: int = REPS


def event(kind: str, subject: str, at: datetime, **data: object) -> bytes:
    head = {"specversion": "1.0", "id": f"{kind}-{subject}", "source": "/bench/wall", "type": f"sales.{kind}"}
    return msgspec.json.encode({**head, "time": at.isoformat(), "data": data})


def won(number: int, at: datetime, reps: int) -> bytes:
    deal = {"deal_id": f"D-{number}", "amount": Decimal(100 + number % 900), "rep_id": f"R-{number % reps}"}
    return event("deal.won", f"D-{number}", at, **deal)


def produced(plan: Plan) -> list[float]:
    """Produce a plan in a process of its own; return when each event was handed over, in s since 1970."""
    return asyncio.run(_produce(plan))


async def _produce(plan: Plan) -> list[float]:
    sent: list[float] = []
    async with AIOKafkaProducer(bootstrap_servers=plan.bootstrap, acks="all", linger_ms=5) as producer:
        if plan.history:
            await _introduce(producer, plan.reps)
        began = time.perf_counter()
        for number in range(plan.first, plan.first + plan.deals):
            early = began + len(sent) / plan.rate - time.perf_counter()
            if early > SLEEP_SECONDS_MIN:
                await asyncio.sleep(early)
            ago = timedelta(days=1 + number % 60) if plan.history else timedelta()
            sent.append(time.time())
            value = won(number, datetime.now(UTC) - ago, plan.reps)
            await producer.send(DEALS, value, key=f"D-{number}".encode())
    return sent


async def _introduce(producer: AIOKafkaProducer, reps: int) -> None:
    for rep in range(reps):
        data = {"rep_id": f"R-{rep}", "name": f"Rep {rep}", "team_id": f"T-{rep % 40}"}
        record = event("rep.updated", f"R-{rep}", datetime.now(UTC) - timedelta(days=90), **data)
        await producer.send(REFERENCE, record, key=f"R-{rep}".encode())
