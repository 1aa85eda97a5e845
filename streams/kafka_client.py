"""Kafka settings in, what every aiokafka client is opened with out; and why brokers let nobody in.

aiokafka keeps to itself why it cannot connect. `why_not` tries once and names the setting to mend.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ssl import SSLCertVerificationError, SSLContext, SSLError
from typing import Any, Final, TypedDict

from aiokafka import AIOKafkaConsumer
from aiokafka.conn import create_conn
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    UnsupportedSaslMechanismError,
)
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


@asynccontextmanager
async def topic_reader(kafka: KafkaSettings, *, client_id: str) -> AsyncIterator[AIOKafkaConsumer]:
    """Open a consumer of no group that reads what is committed, from where it is told to and nowhere else."""
    consumer = AIOKafkaConsumer(
        **client_options(kafka, client_id=client_id),
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level="read_committed",
        fetch_max_wait_ms=kafka.fetch_wait_ms,
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


# --- why not ------------------------------------------------------------------------------------

_TRY_MS: Final = 5_000
_OTHER_NAME: Final = (62, 64)
"""What OpenSSL calls a certificate of another host, and of another address."""
_DENIED: Final = {
    TopicAuthorizationFailedError: "a topic",
    GroupAuthorizationFailedError: "its consumer group",
    ClusterAuthorizationFailedError: "the cluster",
}


async def why_not(kafka: KafkaSettings) -> SettingsError | KafkaConnectionError | None:
    """Say why no broker can be used: a `SettingsError` where one answered and refuses, a
    `KafkaConnectionError` where one only hangs up; None where none answers, or all is well."""
    for server in bootstrap_servers(kafka):
        host, _, port = server.rpartition(":")
        options: dict[str, Any] = {**client_options(kafka)}
        del options["bootstrap_servers"]
        try:
            connection = await create_conn(
                host.strip("[]"), int(port), request_timeout_ms=_TRY_MS, **options
            )
        except (SSLError, KafkaError, OSError, TimeoutError) as error:
            found = _named(error, server, kafka)
            if found is not None:
                return found
        else:
            connection.close()
            return None
    return None


def _named(
    error: Exception, server: str, kafka: KafkaSettings
) -> SettingsError | KafkaConnectionError | None:
    where = f"Kafka at {server}"
    if isinstance(error, SSLCertVerificationError):
        if error.verify_code in _OTHER_NAME:
            return SettingsError(
                f"{where} shows a certificate of another name; write a name that it bears in kafka.bootstrap"
            )
        return SettingsError(
            f"{where} shows a certificate that is not trusted ({error.verify_message}); "
            "name the authority that signed it in kafka.ssl_ca_file"
        )
    if isinstance(error, SSLError):
        return SettingsError(
            f"{where} and this side find no common TLS ({error.reason}); check kafka.security_protocol, and "
            "kafka.ssl_cert_file and kafka.ssl_key_file where brokers ask for certificates"
        )
    if isinstance(error, UnsupportedSaslMechanismError):
        return SettingsError(f"{where} does not know kafka.sasl_mechanism = {kafka.sasl_mechanism!r}")
    if isinstance(error, SaslAuthenticationFailed | IllegalSaslStateError):
        return SettingsError(
            f"{where} refuses the login; check kafka.sasl_username, kafka.sasl_password_file "
            f"(or SALESFLOOR_KAFKA__SASL_PASSWORD) and kafka.sasl_mechanism = {kafka.sasl_mechanism!r}"
        )
    if isinstance(error, KafkaError | ConnectionResetError):
        return KafkaConnectionError(
            f"{where} hangs up at once; check kafka.security_protocol = {kafka.security_protocol!r}, "
            "and kafka.ssl_cert_file where brokers ask for certificates"
        )
    return None


def meaning_of(error: BaseException) -> str:
    """Return what an error of Kafka's means to who runs this, with the fix where it is a missing right."""
    for kind, what in _DENIED.items():
        if isinstance(error, kind):
            names = error.args[0] if error.args else ""
            named = names if isinstance(names, str) else ", ".join(sorted(map(str, names)))
            return (
                f"Kafka does not let this user at {what}{f' ({named})' * bool(named)}; "
                "docs/security.md lists the rights each role needs"
            )
    return str(error) or type(error).__name__
