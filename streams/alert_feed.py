"""The topic `sales.alerts` in, the alerts that fire now out. For the wall's banner; disturbs nobody.

While Kafka is away the last known alerts stand, until they are too old to be believed. Nothing that happens
here reaches the role it runs in: it logs, waits and tries again.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from metrics.wall.alerts import FiringAlert
from streams.admin import describe_topics
from streams.alert_events import FIRING, AlertEvent, read_event
from streams.clock import Clock
from streams.kafka_client import client_options, meaning_of
from streams.logs import fields
from streams.rfc3339 import to_ms
from streams.settings import Settings
from streams.topics import ALERTS

log = logging.getLogger(__name__)

RECORDS_PER_PARTITION_MAX: Final = 1000
"""So many of the newest records are read at first; an alert that fires is told again and again."""
ALERTS_MAX: Final = 1000
MISSED_NOTICES: Final = 2.5
"""An alert that was not told again for so many repeats has ended without anybody hearing of it."""
_POLL_MS: Final = 1000
_WAIT_FIRST_SECONDS: Final = 1.0
_WAIT_LAST_SECONDS: Final = 60.0

_FIX: Final = "none needed if Kafka comes; where there is none, set [alerts] banner = false"

_GRAVITY: Final = {"page": 0, "ticket": 1}


@dataclass(frozen=True, slots=True)
class _State:
    """The newest that was said of one alert."""

    event: AlertEvent
    notified_ms: int

    @property
    def fires(self) -> bool:
        return self.event.type == FIRING


class AlertStanding:
    """Events in, in any order and any number of times; the alerts that fire at an instant out."""

    def __init__(self, *, believed_ms: int, alerts_max: int = ALERTS_MAX) -> None:
        self._believed_ms = believed_ms
        self._alerts_max = alerts_max
        self._states: dict[str, _State] = {}

    def take(self, event: AlertEvent) -> None:
        fingerprint, notified_ms = event.data.fingerprint, to_ms(event.data.notified_at)
        known = self._states.get(fingerprint)
        if known is not None and known.notified_ms > notified_ms:
            return  # read before, from a later place in the topic
        self._states[fingerprint] = _State(event, notified_ms)
        if len(self._states) > self._alerts_max:
            oldest = min(self._states, key=lambda each: self._states[each].notified_ms)
            del self._states[oldest]

    def firing(self, now_ms: int) -> tuple[FiringAlert, ...]:
        """Return them the gravest first, then the oldest; forget what is too old to be believed."""
        since_ms = now_ms - self._believed_ms
        self._states = {key: state for key, state in self._states.items() if state.notified_ms >= since_ms}
        found = [_shown(state.event) for state in self._states.values() if state.fires]
        return tuple(
            sorted(found, key=lambda each: (_GRAVITY.get(each.severity, 2), each.since_ms, each.summary))
        )


def _shown(event: AlertEvent) -> FiringAlert:
    data = event.data
    return FiringAlert(
        name=data.name,
        severity=data.severity,
        summary=data.summary,
        description=data.description,
        labels=data.labels,
        since_ms=to_ms(data.starts_at),
    )


class AlertFeed:
    """Follows the topic; an `AlertSource` for the wall."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        repeat_ms = settings.alerts.door_repeat_seconds * 1000
        self._standing = AlertStanding(believed_ms=int(MISSED_NOTICES * repeat_ms))
        self._read_once = False

    def firing(self) -> Sequence[FiringAlert]:
        # Before the end of the topic was reached, an alert that has ended since would show.
        return self._standing.firing(self._clock.now_ms()) if self._read_once else ()

    async def run(self) -> None:
        """Follow the topic until cancelled; wait longer and longer for a Kafka that is not there."""
        pause, said = _WAIT_FIRST_SECONDS, ""
        while True:
            try:
                await self._follow()
                pause, said = _WAIT_FIRST_SECONDS, ""
            except Exception as error:  # noqa: BLE001 - a banner must not cost the numbers their role
                reason = meaning_of(error)
                if reason != said:
                    log.warning(fields("no alerts for the wall", reason=reason, fix=_FIX))
                    said = reason
            await asyncio.sleep(pause)
            pause = min(2 * pause, _WAIT_LAST_SECONDS)

    async def _follow(self) -> None:
        # Asking for a topic by name would create it where the broker does so by itself.
        partitions = (await describe_topics(self._settings)).get(ALERTS)
        if partitions is None:
            raise LookupError(
                "the topic does not exist yet; workers create it, or `salesfloor topics create`"
            )
        consumer = AIOKafkaConsumer(
            **client_options(self._settings.kafka, client_id="salesfloor-alerts"),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        try:
            await consumer.start()
            await _begin(consumer, [TopicPartition(ALERTS, number) for number in range(partitions)])
            while True:
                batches = await consumer.getmany(timeout_ms=_POLL_MS)
                for records in batches.values():
                    for record in records:
                        if (event := read_event(record.value)) is not None:
                            self._standing.take(event)
                self._read_once = self._read_once or not batches
        finally:
            await consumer.stop()


async def _begin(consumer: AIOKafkaConsumer, partitions: list[TopicPartition]) -> None:
    """Stand at the newest records; where a broker knows no end, at the first one."""
    consumer.assign(partitions)
    for partition, end in (await consumer.end_offsets(partitions)).items():
        consumer.seek(partition, max(0, end - RECORDS_PER_PARTITION_MAX))
