"""`salesfloor.toml` and `SALESFLOOR_…` variables in, one frozen, validated `Settings` out. Opens nothing else.

Order of precedence: command line, environment, file, default. Secrets come from the environment or
from a file named by a `…_file` key; their values never appear in an error.
"""

import hashlib
import json
import os
from datetime import date
from pathlib import Path
from typing import Any, Literal, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
WindowName = Literal[
    "5m", "1h", "24h", "7d", "30d", "90d", "today", "wtd", "mtd", "qtd", "ytd", "1bd", "5bd"
]
LevelName = Literal["floor", "team", "rep", "product", "source", "region", "stage"]

FOLD_VERSION = 1
"""Raise when decode, merge, contribute or the stored layout changes what a pane holds."""


class SettingsError(Exception):
    """The settings cannot be used. The message names each key, its value and the fix."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class KafkaSettings(_Section):
    bootstrap: str = "127.0.0.1:9092"
    group: str = Field("salesfloor", min_length=1)
    partitions: int = Field(4, ge=1, le=1024, description="partitions of topics that salesfloor creates")
    replication: int = Field(1, ge=1, le=9)
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    ssl_ca_file: Path | None = None
    ssl_cert_file: Path | None = None
    ssl_key_file: Path | None = None
    session_timeout_seconds: float = Field(10.0, ge=2.0, le=300.0)
    fetch_wait_ms: int = Field(100, ge=1, le=5000)


class RedisSettings(_Section):
    url: SecretStr = SecretStr("redis://127.0.0.1:6379/0")
    namespace: str = Field("salesfloor", pattern=r"^[A-Za-z0-9_.-]{1,64}$")
    require_noeviction: bool = True


class FloorSettings(_Section):
    name: str = "Sales floor"
    zone: str = "UTC"
    currency: str = "USD"
    week_start: Weekday = "monday"
    fiscal_year_start_month: int = Field(1, ge=1, le=12)
    business_days: tuple[Weekday, ...] = ("monday", "tuesday", "wednesday", "thursday", "friday")
    holidays: tuple[date, ...] = ()
    stage_probability: dict[str, float] = Field(default_factory=dict)

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, zone: str) -> str:
        if zone not in available_timezones():
            raise ValueError("is not an IANA zone; use a name such as 'Europe/Berlin'")
        return zone

    @field_validator("currency")
    @classmethod
    def _known_currency(cls, currency: str) -> str:
        from metrics.money import exponent_of

        if exponent_of(currency) is None:
            raise ValueError("is not an ISO 4217 code; use three capital letters such as 'EUR'")
        return currency

    @field_validator("business_days")
    @classmethod
    def _some_business_day(cls, days: tuple[Weekday, ...]) -> tuple[Weekday, ...]:
        if not days:
            raise ValueError("is empty; name at least one weekday")
        return days

    @field_validator("stage_probability")
    @classmethod
    def _probabilities(cls, stages: dict[str, float]) -> dict[str, float]:
        for stage, probability in stages.items():
            if not 0 <= probability <= 1:
                raise ValueError(f"gives stage {stage!r} the probability {probability}; use 0 to 1")
        return stages

    @property
    def tzinfo(self) -> ZoneInfo:
        return ZoneInfo(self.zone)


class WorkerSettings(_Section):
    host: str = "127.0.0.1"
    port: int = Field(8402, ge=0, le=65535, description="the worker's own /metrics and /-/ready; 0 picks a free port")
    commit_interval_ms: int = Field(200, ge=10, le=10_000)
    retention_days: int = Field(800, ge=1, le=36_500)
    activity_horizon_days: int = Field(35, ge=1, le=36_500)
    panes_per_slot_max: int = Field(200_000, ge=1_000, le=10_000_000)
    main_loop_timeout_seconds: float = Field(30.0, ge=1.0)

    @model_validator(mode="after")
    def _horizon_within_retention(self) -> Self:
        if self.activity_horizon_days > self.retention_days:
            raise ValueError("activity_horizon_days is longer than retention_days; lower it")
        return self


class MetricsSettings(_Section):
    host: str = "127.0.0.1"
    port: int = Field(8400, ge=0, le=65535)
    tick_ms: int = Field(1000, ge=50, le=60_000)
    levels: tuple[LevelName, ...] = ("floor", "team", "rep", "stage")
    windows: tuple[WindowName, ...] = (
        "5m", "1h", "24h", "7d", "30d", "90d", "today", "wtd", "mtd", "qtd", "ytd", "1bd", "5bd",
    )
    keys_per_level_max: int = Field(2000, ge=1, description="beyond it, keys share the label value 'other'")


class GatewaySettings(_Section):
    host: str = "127.0.0.1"
    port: int = Field(8401, ge=0, le=65535)
    token: SecretStr | None = None
    token_file: Path | None = None


class Settings(BaseSettings):
    """All settings. Environment: `SALESFLOOR_<SECTION>__<KEY>`, e.g. `SALESFLOOR_FLOOR__ZONE`;
    `SALESFLOOR_KAFKA` and `SALESFLOOR_REDIS` are short for the two addresses."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix="SALESFLOOR_", env_nested_delimiter="__"
    )

    clock: Literal["wall", "event"] = "wall"
    kafka: KafkaSettings = KafkaSettings()
    redis: RedisSettings = RedisSettings()
    floor: FloorSettings = FloorSettings()
    worker: WorkerSettings = WorkerSettings()
    metrics: MetricsSettings = MetricsSettings()
    gateway: GatewaySettings = GatewaySettings()

    @property
    def definition_version(self) -> str:
        """Name of everything that decides what a pane holds; state of another version is rebuilt."""
        parts = {
            "fold": FOLD_VERSION,
            "clock": self.clock,
            "zone": self.floor.zone,
            "currency": self.floor.currency,
            "stage_probability": self.floor.stage_probability,
            "retention_days": self.worker.retention_days,
            "activity_horizon_days": self.worker.activity_horizon_days,
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]
