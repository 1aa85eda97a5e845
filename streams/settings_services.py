"""`[kafka]` and `[redis]` in, checked: where records and state are, and how to get in. Opens nothing."""

import ipaddress
import re
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from streams.redis_address import SCHEMES, hosts_of, sentinels_of

_ADDRESS = re.compile(r"(?:\[[0-9A-Fa-f:]+\]|[A-Za-z0-9._-]+):(\d{1,5})")


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class KafkaSettings(_Section):
    bootstrap: str = Field(
        default="127.0.0.1:9092", description="host:port of one broker or, separated by commas, of several"
    )
    group: str = Field(default="salesfloor", min_length=1, description="consumer group of the workers")
    partitions: int = Field(
        default=4, ge=1, le=1024, description="partitions of topics that salesfloor creates"
    )
    replication: int = Field(default=1, ge=1, le=9, description="replicas of topics that salesfloor creates")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT", description="how to talk to the brokers"
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        default="PLAIN", description="how to log in, with a SASL protocol"
    )
    sasl_username: str | None = Field(default=None, description="user name, with a SASL protocol")
    sasl_password: SecretStr | None = Field(default=None, description="password, with a SASL protocol")
    sasl_password_file: Path | None = Field(
        default=None, description="a file whose only content is sasl_password"
    )
    ssl_ca_file: Path | None = Field(default=None, description="certificate authorities to trust, PEM")
    ssl_cert_file: Path | None = Field(default=None, description="the client's certificate, PEM")
    ssl_key_file: Path | None = Field(default=None, description="the client's private key, PEM")
    session_timeout_seconds: float = Field(
        default=10.0,
        ge=2.0,
        le=300.0,
        description="a worker silent for so long loses its partitions to another",
    )
    fetch_wait_ms: int = Field(
        default=100, ge=1, le=5000, description="longest wait of a broker for more records"
    )

    @field_validator("bootstrap")
    @classmethod
    def _addresses(cls, bootstrap: str) -> str:
        for address in (addresses := [part.strip() for part in bootstrap.split(",")]):
            match = _ADDRESS.fullmatch(address)
            if match is None or not 0 < int(match[1]) < 65536:
                raise ValueError(f"{address!r} is not an address; write host:port, such as 'localhost:9092'")
        return ",".join(addresses)

    @model_validator(mode="after")
    def _nothing_left_open(self) -> Self:
        """Refuse half a login, and secrets for a protocol that would not use them."""
        login = {"sasl_username": self.sasl_username, "sasl_password": self.sasl_password}
        sasl, tls = self.security_protocol.startswith("SASL_"), self.security_protocol.endswith("SSL")
        for name, value in login.items():
            if sasl and not value:
                raise ValueError(f"{name} is missing for security_protocol {self.security_protocol!r}")
        files = {name: getattr(self, name) for name in ("ssl_ca_file", "ssl_cert_file", "ssl_key_file")}
        for use, names, fix in ((sasl, login, "SASL_SSL"), (tls, files, "SSL or SASL_SSL")):
            unused = [name for name, value in names.items() if value]
            if unused and not use:
                raise ValueError(
                    f"{' and '.join(unused)} would not be used with security_protocol "
                    f"{self.security_protocol!r}; set it to {fix}, or take them out"
                )
        if self.ssl_key_file and not self.ssl_cert_file:
            raise ValueError("ssl_key_file is there without ssl_cert_file; name the certificate too")
        return self


class RedisSettings(_Section):
    url: SecretStr = Field(
        default=SecretStr("redis://127.0.0.1:6379/0"),
        description="redis://, rediss://, unix:// or redis+sentinel://host1:26379,host2:26379/mymaster/0; "
        "with a password only from the environment or url_file",
    )
    url_file: Path | None = Field(default=None, description="a file whose only content is url")
    namespace: str = Field(
        default="salesfloor",
        pattern=r"^[A-Za-z0-9_.-]{1,64}$",
        description="first part of every key, so that several floors can share one Redis",
    )
    require_noeviction: bool = Field(
        default=True, description="refuse a Redis that may drop keys when its memory is full"
    )

    @field_validator("url")
    @classmethod
    def _scheme(cls, url: SecretStr) -> SecretStr:
        text = url.get_secret_value()
        if _ADDRESS.fullmatch(text):
            return SecretStr(f"redis://{text}/0")
        if not text.startswith(SCHEMES):
            raise ValueError(
                "is not a Redis address; write redis://host:port/0, rediss://…, unix://… or "
                "redis+sentinel://host1:26379,host2:26379/mymaster/0"
            )
        sentinels_of(text)
        return url


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def in_the_clear(kafka: KafkaSettings, redis: RedisSettings) -> list[str]:
    """Return a warning for each password that leaves this machine where others on the way can read it."""
    warnings = []
    hosts = [address.rpartition(":")[0] for address in kafka.bootstrap.split(",")]
    if kafka.security_protocol == "SASL_PLAINTEXT" and not all(map(is_loopback, hosts)):
        warnings.append(
            "kafka.security_protocol = 'SASL_PLAINTEXT' shows the login and every record to whoever can "
            "listen on the way to Kafka; use 'SASL_SSL' outside a network you trust"
        )
    text = redis.url.get_secret_value()
    url = urlsplit(text)
    has_password = bool(url.password) or "sentinel_password=" in url.query
    if (
        url.scheme in ("redis", "redis+sentinel")
        and has_password
        and not all(map(is_loopback, hosts_of(text)))
    ):
        warnings.append(
            "redis.url shows the password and all state to whoever can listen on the way to Redis; "
            "write rediss:// (or rediss+sentinel://) outside a network you trust"
        )
    return warnings
