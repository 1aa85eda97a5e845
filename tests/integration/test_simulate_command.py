"""`salesfloor simulate` writes a made-up floor to a Kafka of one's own, and never among real records."""

from pathlib import Path

from streams.commands.frame import FAILED
from streams.embedded import embedded_kafka
from streams.publish import Publisher
from streams.settings import KafkaSettings, Settings
from tests.integration.test_cli import salesfloor
from tests.integration.test_publish import line


async def test_a_made_up_floor_is_written_to_a_kafka_of_ones_own_and_goes_on_after_a_restart(
    tmp_path: Path,
) -> None:
    async with embedded_kafka() as broker:
        kafka = ("--kafka", broker.kafka)
        for _ in range(2):
            async with salesfloor("simulate", "--rate=0.02", *kafka, cwd=tmp_path) as running:
                written = await running.until(r"([\d,]+) events written; it goes on live")
                assert int(written[1].replace(",", "")) > 100
                assert await running.end() == 0


async def test_made_up_events_never_go_among_real_ones(tmp_path: Path) -> None:
    async with embedded_kafka() as broker:
        async with Publisher(Settings(kafka=KafkaSettings(bootstrap=broker.kafka))) as publisher:
            await publisher.send_record("sales.deals", b"D-1", line(1))
        async with salesfloor("simulate", "--kafka", broker.kafka, cwd=tmp_path) as refused:
            await refused.until(r"topic sales\.deals holds records that are not made up")
            assert await refused.process.wait() == FAILED
