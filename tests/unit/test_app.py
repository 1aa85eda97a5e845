"""The Faust app is built with the settings its reliability rests on, and with the credentials given."""

from typing import Any

from pydantic import SecretStr

from streams.app import create_app, credentials
from streams.settings import FloorSettings, KafkaSettings, Settings, WorkerSettings
from streams.settings_rules import fold_rules
from streams.stores.memory import MemoryStore
from streams.topics import SOURCES

DAY_MS = 86_400_000


async def test_app_reads_no_offsets_of_kafka_and_keeps_nothing_here() -> None:
    kafka = KafkaSettings(bootstrap="a:1,b:2", group="floor", session_timeout_seconds=3.0)
    app = create_app(Settings(kafka=kafka), MemoryStore(version="1"))
    conf = app.conf
    assert [str(url) for url in conf.broker] == ["salesfloor://a:1", "salesfloor://b:2"]
    assert conf.id == "floor"
    assert conf.consumer_auto_offset_reset == "none"
    assert (conf.broker_session_timeout, conf.broker_rebalance_timeout) == (3.0, 3.0)
    assert 3 * conf.broker_heartbeat_interval < conf.broker_session_timeout
    assert conf.broker_request_timeout > conf.broker_session_timeout
    assert not conf.web_enabled
    assert conf.topic_disable_leader
    assert not conf.stream_wait_empty


async def test_one_agent_reads_all_source_topics_without_acknowledging() -> None:
    app = create_app(Settings(), MemoryStore(version="1"))
    [agent] = app.agents.values()
    assert tuple(agent.get_topic_names()) == SOURCES
    assert agent.concurrency == 1
    assert not agent.channel.acks


def test_fold_rules_follow_the_settings() -> None:
    settings = Settings(
        clock="event",
        floor=FloorSettings(zone="Asia/Kolkata", currency="EUR", stage_probability={"new": 0.1}),
        worker=WorkerSettings(retention_days=90, activity_horizon_days=10, panes_per_slot_max=5_000),
    )
    rules = fold_rules(settings)
    assert (rules.clock, rules.currency, rules.stage_probability) == ("event", "EUR", {"new": 0.1})
    assert (rules.retention_ms, rules.activity_horizon_ms) == (90 * DAY_MS, 10 * DAY_MS)
    assert rules.panes_max == 5_000
    assert rules.calendar.day_start_ms(DAY_MS) == DAY_MS - (5 * 60 + 30) * 60_000


def test_credentials_pass_through_to_faust() -> None:
    assert credentials(KafkaSettings()) is None
    sasl: Any = credentials(
        KafkaSettings(
            security_protocol="SASL_PLAINTEXT",
            sasl_mechanism="SCRAM-SHA-512",
            sasl_username="floor",
            sasl_password=SecretStr("secret"),
        )
    )
    assert (sasl.protocol.value, sasl.mechanism.value) == ("SASL_PLAINTEXT", "SCRAM-SHA-512")
    assert (sasl.username, sasl.password) == ("floor", "secret")
    assert "secret" not in repr(sasl)
    tls: Any = credentials(
        KafkaSettings(
            security_protocol="SASL_SSL",
            sasl_username="floor",
            sasl_password=SecretStr("secret"),
        )
    )
    assert tls.protocol.value == "SASL_SSL"
    assert tls.ssl_context.check_hostname
    plain_tls: Any = credentials(KafkaSettings(security_protocol="SSL"))
    assert plain_tls.protocol.value == "SSL"
