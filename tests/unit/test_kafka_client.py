"""Half a login is refused, and what Kafka refuses is said in words that name the setting or the right."""

import asyncio
import re
from pathlib import Path

import pytest
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    UnsupportedSaslMechanismError,
)
from pydantic import SecretStr, ValidationError

from streams.kafka_client import _named, meaning_of, ssl_context, why_not
from streams.settings import KafkaSettings, SettingsError

LOGIN = {"sasl_username": "floor", "sasl_password": SecretStr("right")}


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"security_protocol": "SASL_SSL", "sasl_username": "floor"}, "sasl_password is missing"),
        ({"security_protocol": "SASL_SSL", "sasl_password": "right"}, "sasl_username is missing"),
        (LOGIN, "would not be used with security_protocol 'PLAINTEXT'"),
        ({**LOGIN, "security_protocol": "SSL"}, "set it to SASL_SSL"),
        ({"ssl_ca_file": "ca.pem"}, "ssl_ca_file would not be used"),
        ({"security_protocol": "SSL", "ssl_key_file": "a.key"}, "without ssl_cert_file"),
    ],
)
def test_half_a_login_and_secrets_that_would_not_be_used_are_refused(
    told: dict[str, object], said: str
) -> None:
    with pytest.raises(ValidationError, match=said) as refused:
        KafkaSettings.model_validate(told)
    assert "right" not in str(refused.value.errors(include_input=False))


def test_tls_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    kafka = KafkaSettings(security_protocol="SSL", ssl_ca_file=tmp_path / "none.pem")
    with pytest.raises(SettingsError, match=r"kafka\.ssl_ca_file"):
        ssl_context(kafka)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (TopicAuthorizationFailedError("sales.deals"), r"at a topic \(sales\.deals\)"),
        (TopicAuthorizationFailedError({"sales.leads", "sales.deals"}), r"\(sales\.deals, sales\.leads\)"),
        (TopicAuthorizationFailedError(), "at a topic; docs/security.md"),
        (GroupAuthorizationFailedError("salesfloor"), r"its consumer group \(salesfloor\)"),
    ],
)
def test_a_missing_right_is_told_with_what_it_is_of(error: Exception, said: str) -> None:
    assert re.search(said, meaning_of(error))


def test_what_answers_and_refuses_is_a_setting_to_mend_and_what_hangs_up_may_come_back() -> None:
    kafka = KafkaSettings.model_validate({"security_protocol": "SASL_SSL", **LOGIN})
    refused = _named(SaslAuthenticationFailed("no"), "a:1", kafka)
    unknown = _named(UnsupportedSaslMechanismError("no"), "a:1", kafka)
    hung_up = _named(KafkaConnectionError("closed"), "a:1", kafka)
    assert isinstance(refused, SettingsError)
    assert "kafka.sasl_password_file" in str(refused)
    assert "kafka.sasl_mechanism = 'PLAIN'" in str(unknown)
    assert isinstance(hung_up, KafkaConnectionError)
    assert _named(ConnectionRefusedError(), "a:1", kafka) is None


async def test_a_broker_that_is_away_refuses_nobody() -> None:
    server = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    assert await why_not(KafkaSettings(bootstrap=f"127.0.0.1:{port}")) is None


async def test_a_broker_that_hangs_up_is_told_with_the_protocol_that_was_tried() -> None:
    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        found = await why_not(KafkaSettings(bootstrap=f"127.0.0.1:{port}"))
    assert isinstance(found, KafkaConnectionError)
    assert "kafka.security_protocol = 'PLAINTEXT'" in str(found)
