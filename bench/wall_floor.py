"""A plan in, a made-up floor's events out to Kafka: reps and deals they won. Measures no wall."""

import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

import msgspec
from confluent_kafka import Producer

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
    """Produce a plan in a process of its own; return when each event was handed over, in s since 1970.

    librdkafka, since what hands over 50,000 events a second shall leave the processor to who takes them.
    """
    producer = Producer(
        {
            "bootstrap.servers": plan.bootstrap,
            "acks": "all",
            "linger.ms": 20,
            "partitioner": "murmur2_random",
            "delivery.report.only.error": True,
            "on_delivery": _failed,
        }
    )
    if plan.history:
        _introduce(producer, plan.reps)
    sent: list[float] = []
    began = time.perf_counter()
    for number in range(plan.first, plan.first + plan.deals):
        early = began + len(sent) / plan.rate - time.perf_counter()
        if early > SLEEP_SECONDS_MIN:
            producer.poll(0)
            time.sleep(early)
        ago = timedelta(days=1 + number % 60) if plan.history else timedelta()
        value = won(number, datetime.now(UTC) - ago, plan.reps)
        sent.append(time.time())
        _hand_over(producer, DEALS, f"D-{number}", value)
    producer.flush()
    return sent


def _hand_over(producer: Producer, topic: str, key: str, value: bytes) -> None:
    while True:
        try:
            producer.produce(topic, value, key)
        except BufferError:  # so many wait for the broker that no more are taken
            producer.poll(SLEEP_SECONDS_MIN)
        else:
            return


def _failed(error: object, _message: object) -> None:
    if error is not None:
        raise RuntimeError(f"the broker took no event: {error}")


def _introduce(producer: Producer, reps: int) -> None:
    for rep in range(reps):
        data = {"rep_id": f"R-{rep}", "name": f"Rep {rep}", "team_id": f"T-{rep % 40}"}
        record = event("rep.updated", f"R-{rep}", datetime.now(UTC) - timedelta(days=90), **data)
        _hand_over(producer, REFERENCE, f"R-{rep}", record)
