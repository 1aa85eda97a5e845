"""`salesfloor.toml` and `SALESFLOOR_…` variables in, one frozen `Settings` out. Opens nothing else.

Order of precedence: command line, environment, file, default. Secrets come from the environment or
from a file named by a `…_file` key; their values never appear in an error. `Settings(…)` itself reads
neither file nor environment: only `load_settings` does.
"""

import hashlib
import json
import os
from datetime import date
from pathlib import Path
from typing import Any, Literal, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from metrics.beside import BesideRules
from metrics.business_hours import minute_of
from metrics.calendar import Calendar
from metrics.formula import FormulaError
from metrics.kpi import Catalogue
from metrics.money import exponent_of
from metrics.snapshot import SnapshotConfig
from metrics.targets import TargetRules
from streams import settings_sources
from streams.settings_access import AccessSettings, anchor_token_files, check_access
from streams.settings_alerts import AlertSettings
from streams.settings_gateway import GatewaySettings, SourceSettings, anchor_files, check_names
from streams.settings_kpis import KpiSettings, catalogue_with
from streams.settings_metrics import MetricsSettings, check_among
from streams.settings_rewards import (
    ContestSettings,
    FunnelSettings,
    LeaderboardSettings,
    PlanSettings,
    beside_rules,
    check_tables,
)
from streams.settings_services import KafkaSettings, RedisSettings
from streams.settings_sources import SettingsError, Tree
from streams.settings_targets import PacingSettings, TargetSettings, check_targets
from streams.settings_wall import BoardSettings, WallSettings
from streams.wall_boards import around_of, boards_of

__all__ = [
    "GatewaySettings",
    "KafkaSettings",
    "RedisSettings",
    "Settings",
    "SettingsError",
    "beside_rules_of",
    "calendar_of",
    "catalogue_of",
    "load_settings",
    "snapshot_config_of",
]

Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]

FOLD_VERSION = 6
"""Raise when decode, merge, contribute or the stored layout changes what a pane holds."""

DEFAULT_FILE = "salesfloor.toml"
CONFIG_VARIABLE = "SALESFLOOR_CONFIG"
SHORT_FORMS: dict[str, tuple[str, ...]] = {"KAFKA": ("kafka", "bootstrap"), "REDIS": ("redis", "url")}
"""Variables that every command reads, without the section and key in their names."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FloorSettings(_Section):
    name: str = Field(default="Sales floor", description="shown on the status page")
    zone: str = Field(default="UTC", description="IANA time zone in which days, weeks and months begin")
    currency: str = Field(default="USD", description="ISO 4217 code of the currency that money is shown in")
    week_start: Weekday = Field(default="monday", description="first day of the week")
    fiscal_year_start_month: int = Field(
        default=1, ge=1, le=12, description="month in which the year and its quarters begin"
    )
    business_days: tuple[Weekday, ...] = Field(
        default=("monday", "tuesday", "wednesday", "thursday", "friday"),
        description="days that count as business days",
    )
    holidays: tuple[date, ...] = Field(
        default=(), description="days that are not business days, as YYYY-MM-DD"
    )
    business_hours: tuple[str, str] = Field(
        default=("09:00", "18:00"),
        description="when a business day begins and ends, as HH:MM; business time runs in between",
    )
    business_hours_of: dict[Weekday, tuple[str, str]] = Field(
        default_factory=dict, description="hours of single weekdays that differ"
    )
    lead_response_sla_minutes: int = Field(
        default=60, ge=1, le=60_000, description="business minutes within which a lead should be contacted"
    )
    stalled_after_days: int = Field(
        default=14, ge=1, le=3650, description="an open deal without any activity for so long is stalled"
    )
    stage_probability: dict[str, float] = Field(
        default_factory=dict,
        description="probability of open deals by stage, where neither the deal nor a stage record says one",
    )

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, zone: str) -> str:
        if zone not in available_timezones():
            raise ValueError("is not an IANA zone; use a name such as 'Europe/Berlin'")
        return zone

    @field_validator("currency")
    @classmethod
    def _known_currency(cls, currency: str) -> str:
        if exponent_of(currency) is None:
            raise ValueError("is not an ISO 4217 code; use three capital letters such as 'EUR'")
        return currency

    @field_validator("business_days")
    @classmethod
    def _some_business_day(cls, days: tuple[Weekday, ...]) -> tuple[Weekday, ...]:
        if not days:
            raise ValueError("is empty; name at least one weekday")
        return days

    @field_validator("business_hours")
    @classmethod
    def _hours(cls, hours: tuple[str, str]) -> tuple[str, str]:
        opens, closes = (minute_of(text) for text in hours)
        if opens >= closes:
            raise ValueError(f"ends at {hours[1]}, not after it begins at {hours[0]}; swap them")
        return hours

    @field_validator("business_hours_of")
    @classmethod
    def _hours_of(cls, hours_of: dict[Weekday, tuple[str, str]]) -> dict[Weekday, tuple[str, str]]:
        for weekday, hours in hours_of.items():
            opens, closes = (minute_of(text) for text in hours)
            if opens >= closes:
                raise ValueError(f"lets {weekday} end at {hours[1]}, not after it begins at {hours[0]}")
        return hours_of

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
    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(
        default=8402,
        ge=0,
        le=65535,
        description="the worker's own /metrics and /-/ready; 0 picks a free port",
    )
    commit_interval_ms: int = Field(
        default=100, ge=10, le=10_000, description="state reaches Redis this often"
    )
    retention_days: int = Field(
        default=800, ge=1, le=36_500, description="events older than this are refused as too_old"
    )
    activity_horizon_days: int = Field(
        default=35,
        ge=1,
        le=36_500,
        description="activities older than this are forgotten one by one; their sums stay",
    )
    panes_per_slot_max: int = Field(
        default=200_000, ge=1_000, le=10_000_000, description="beyond it, old panes merge into wider ones"
    )
    main_loop_timeout_seconds: float = Field(
        default=30.0, ge=1.0, description="a worker stuck for so long ends itself, so that another takes over"
    )

    @model_validator(mode="after")
    def _horizon_within_retention(self) -> Self:
        if self.activity_horizon_days > self.retention_days:
            raise ValueError("activity_horizon_days is longer than retention_days; lower it")
        return self


class Settings(_Section):
    """All settings. Environment: `SALESFLOOR_<SECTION>__<KEY>`, e.g. `SALESFLOOR_FLOOR__ZONE`;
    `SALESFLOOR_KAFKA` and `SALESFLOOR_REDIS` are short for the two addresses."""

    clock: Literal["wall", "event"] = Field(
        default="wall",
        description='what "now" is: the wall clock, or the newest event time (history and replays)',
    )
    log_format: Literal["text", "json"] = Field(
        default="text", description="log lines as text for people, or one JSON object each for programs"
    )
    kafka: KafkaSettings = KafkaSettings()
    redis: RedisSettings = RedisSettings()
    floor: FloorSettings = FloorSettings()
    worker: WorkerSettings = WorkerSettings()
    metrics: MetricsSettings = MetricsSettings()
    gateway: GatewaySettings = GatewaySettings()
    sources: tuple[SourceSettings, ...] = Field(
        default=(), description="senders of webhooks, each with a door of its own, POST /hooks/<name>"
    )
    access: tuple[AccessSettings, ...] = Field(
        default=(), description="tokens for the doors of the metrics role; without any they are open"
    )
    alerts: AlertSettings = AlertSettings()
    pacing: PacingSettings = PacingSettings()
    kpis: tuple[KpiSettings, ...] = Field(default=(), description="KPIs of the floor's own")
    targets: tuple[TargetSettings, ...] = Field(
        default=(), description="targets, unless a sales.target.set event says otherwise"
    )
    leaderboards: tuple[LeaderboardSettings, ...] = Field(
        default=(), description="rankings; the first is on the status page"
    )
    contests: tuple[ContestSettings, ...] = Field(
        default=(), description="rankings with a beginning, an end and a prize"
    )
    commission_plans: tuple[PlanSettings, ...] = Field(
        default=(), description="what sales earn; several of one name are its versions"
    )
    funnels: tuple[FunnelSettings, ...] = Field(
        default=(), description="ratios watched for a fall, beside those that every floor has"
    )
    wall: WallSettings = WallSettings()
    boards: tuple[BoardSettings, ...] = Field(
        default=(), description="pages of the wall; where none is set, every floor has good ones"
    )

    @field_validator("access")
    @classmethod
    def _told_apart(cls, access: tuple[AccessSettings, ...]) -> tuple[AccessSettings, ...]:
        check_access(access)
        return access

    @field_validator("sources")
    @classmethod
    def _distinct(cls, sources: tuple[SourceSettings, ...]) -> tuple[SourceSettings, ...]:
        check_names(sources)
        return sources

    @field_validator("kpis")
    @classmethod
    def _sound(cls, kpis: tuple[KpiSettings, ...], info: ValidationInfo) -> tuple[KpiSettings, ...]:
        try:
            catalogue_with(kpis)
        except FormulaError as error:
            raise ValueError(str(error)) from None
        if (metrics := info.data.get("metrics")) is not None:  # else it is told of already
            for kpi in kpis:
                check_among(kpi.windows, metrics.windows, f"KPI {kpi.name!r}: windows names")
        return kpis

    @field_validator("targets")
    @classmethod
    def _usable(cls, targets: tuple[TargetSettings, ...], info: ValidationInfo) -> tuple[TargetSettings, ...]:
        floor, pacing, kpis = (info.data.get(name) for name in ("floor", "pacing", "kpis"))
        if floor is not None and pacing is not None and kpis is not None:  # else they are told of already
            rules = TargetRules(
                catalogue_with(kpis), calendar_of(floor), floor.currency, pacing.fiscal_year_named_by
            )
            check_targets(targets, rules)
        return targets

    @field_validator("leaderboards", "contests", "commission_plans", "funnels")
    @classmethod
    def _sound_tables(cls, tables: tuple[Any, ...], info: ValidationInfo) -> tuple[Any, ...]:
        floor, kpis = (info.data.get(name) for name in ("floor", "kpis"))
        if floor is not None and kpis is not None:
            check_tables(str(info.field_name), tables, catalogue_with(kpis), calendar_of(floor))
        return tables

    @field_validator("boards")
    @classmethod
    def _showable(cls, boards: tuple[BoardSettings, ...], info: ValidationInfo) -> tuple[BoardSettings, ...]:
        named = [info.data.get(name) for name in ("kpis", "leaderboards", "contests", "funnels")]
        if all(tables is not None for tables in named):  # else they are told of already
            boards_of(boards, around_of(*named))  # type: ignore[arg-type]
        return boards

    @property
    def definition_version(self) -> str:
        """Name of everything that decides what a pane holds; state of another version is rebuilt."""
        parts = {
            "fold": FOLD_VERSION,
            "clock": self.clock,
            "zone": self.floor.zone,
            "currency": self.floor.currency,
            "retention_days": self.worker.retention_days,
            "activity_horizon_days": self.worker.activity_horizon_days,
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]


def load_settings(path: Path | None = None, overrides: Tree | None = None) -> Settings:
    """Read file, environment and options once. Raises `SettingsError` with one line for each thing wrong."""
    if path is None and (named := os.environ.get(CONFIG_VARIABLE)):
        path = Path(named)
    if path is None and Path(DEFAULT_FILE).is_file():
        path = Path(DEFAULT_FILE)
    layers = [
        settings_sources.from_options(overrides or {}),
        settings_sources.read_environment(
            os.environ, Settings, SHORT_FORMS, not_settings=frozenset({CONFIG_VARIABLE})
        ),
    ]
    if path is not None:
        layers.append(settings_sources.read_toml(path, Settings))
        anchor_files(layers[-1].tree, path.parent)
        anchor_token_files(layers[-1].tree, path.parent)
    try:
        return Settings.model_validate(settings_sources.merge(layers))
    except ValidationError as error:
        raise SettingsError(settings_sources.explain(error, layers, Settings)) from None


def calendar_of(floor: FloorSettings) -> Calendar:
    return Calendar(
        floor.tzinfo,
        week_start=floor.week_start,
        fiscal_year_start_month=floor.fiscal_year_start_month,
        business_days=floor.business_days,
        holidays=floor.holidays,
    )


def catalogue_of(settings: Settings) -> Catalogue:
    """Return the built-in KPIs and the floor's own."""
    return catalogue_with(settings.kpis)


def snapshot_config_of(settings: Settings) -> SnapshotConfig:
    """Return which numbers are shown, in whose calendar and currency."""
    return SnapshotConfig(
        calendar=calendar_of(settings.floor),
        currency=settings.floor.currency,
        levels=settings.metrics.levels,
        windows=settings.metrics.windows,
        gauge_windows=settings.metrics.gauge_windows,
        keys_per_level_max=settings.metrics.keys_per_level_max,
        strangers_max=settings.metrics.strangers_max,
        catalogue=catalogue_of(settings),
        stage_probability=settings.floor.stage_probability,
        targets=tuple(target.as_target() for target in settings.targets),
        pacing=settings.pacing.as_pacing(),
    )


def beside_rules_of(settings: Settings) -> BesideRules:
    """Return which leaderboards, contests, commission plans and funnels there are."""
    return beside_rules(
        settings.leaderboards,
        settings.contests,
        settings.commission_plans,
        settings.funnels,
        catalogue_of(settings),
        calendar_of(settings.floor),
    )
