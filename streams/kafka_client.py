"""Kafka settings in, the keyword arguments every aiokafka client takes out. Opens no connection."""

from ssl import SSLContext
from typing import TypedDict

from aiokafka.helpers import create_ssl_context

from streams.settings import KafkaSettings, SettingsError


class ClientOptions(TypedDict, total=False):
    bootstrap_servers: list[str]
    client_id: str
    security_protocol: str
    ssl_context: SSLContext | None
    sasl_mechanism: str
    sasl_plain_username: str | None
    sasl_plain_password: str | None


def bootstrap_servers(kafka: KafkaSettings) -> list[str]:
    return [server.strip() for server in kafka.bootstrap.split(",") if server.strip()]


def client_options(kafka: KafkaSettings, *, client_id: str = "salesfloor") -> ClientOptions:
    """Return where and how to connect: addresses, TLS and SASL as the settings say."""
    options = ClientOptions(
        bootstrap_servers=bootstrap_servers(kafka),
        client_id=client_id,
        security_protocol=kafka.security_protocol,
    )
    context = ssl_context(kafka)
    if context is not None:
        options["ssl_context"] = context
    if kafka.security_protocol.startswith("SASL_"):
        options["sasl_mechanism"] = kafka.sasl_mechanism
        options["sasl_plain_username"] = kafka.sasl_username
        options["sasl_plain_password"] = (
            kafka.sasl_password.get_secret_value() if kafka.sasl_password is not None else None
        )
    return options


def ssl_context(kafka: KafkaSettings) -> SSLContext | None:
    """Return the TLS context, None without TLS. No `ssl_ca_file`: the system's authorities are trusted."""
    if not kafka.security_protocol.endswith("SSL"):
        return None
    try:
        context: SSLContext = create_ssl_context(
            cafile=kafka.ssl_ca_file, certfile=kafka.ssl_cert_file, keyfile=kafka.ssl_key_file
        )
    except OSError as error:
        raise SettingsError(
            f"kafka: the TLS files cannot be read ({error.strerror or type(error).__name__}); check "
            "kafka.ssl_ca_file, kafka.ssl_cert_file and kafka.ssl_key_file"
        ) from None
    return context
