"""The `[alerts]` section in, an `AlertPlan` and who is to be told out. Every value is checked here.

Of secrets it holds only the names of files, and Alertmanager reads those: a value never passes through.
"""

from dataclasses import fields as fields_of
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from metrics.alerts.business import windows_needed
from metrics.alerts.plan import ALERTS, FROZEN, AlertPlan, Severity
from metrics.alerts.routes import Delivery
from metrics.snapshot import SnapshotConfig
from streams.settings_metrics import WindowName
from streams.settings_sources import SettingsError

AlertWindow = Literal["1bd", "5bd"]


class AlertSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    # What the rules compare with.
    funnels: tuple[str, ...] = Field(default=(), description="funnels that are watched; all of them if empty")
    levels: tuple[Literal["floor", "team"], ...] = Field(
        default=("floor", "team"), min_length=1, description="whose numbers raise alerts; never a rep's"
    )
    baseline: Literal["service", "prometheus"] = Field(
        default="service",
        description="who remembers the four weeks before: the metrics role, or Prometheus' own history",
    )
    fast_window: AlertWindow = Field(default="1bd", description="window of ConversionFallingFast")
    fast_z: float = Field(
        default=3.09, ge=1.0, le=6.0, description="how sure it must be; higher is fewer false alarms, later"
    )
    slow_window: AlertWindow = Field(default="5bd", description="window of ConversionFallingSlow")
    slow_z: float = Field(default=2.326, ge=1.0, le=6.0, description="the same for ConversionFallingSlow")
    slow_confirm_window: AlertWindow = Field(
        default="1bd", description="window in which a slow fall must still be going on"
    )
    slow_confirm_ratio: float = Field(
        default=0.9, gt=0, le=1, description="there the rate is at most this share of the baseline"
    )
    material_ratio: float = Field(
        default=0.8,
        gt=0,
        lt=1,
        description="a fall matters once the rate is at most this share of the baseline",
    )
    expected_successes_min: float = Field(
        default=5, ge=1, description="successes the window would have had at the baseline's rate"
    )
    baseline_successes_min: float = Field(default=10, ge=1, description="successes the baseline must have")
    drought_window: AlertWindow = Field(default="1bd", description="window of ConversionDrought")
    drought_probability: float = Field(
        default=0.001, gt=0, le=0.1, description="so unlikely must a window without any success be"
    )
    pace_behind_ratio: float = Field(
        default=0.2, gt=0, lt=1, description="share by which a target may lag behind its pace"
    )
    pace_after_ratio: float = Field(
        default=0.2, ge=0, lt=1, description="share of the target to be expected before pace is judged"
    )
    sla_window: WindowName = Field(default="today", description="window of LeadResponseSlaMissed")
    sla_ratio_min: float = Field(
        default=0.8, gt=0, le=1, description="share of leads to be contacted within the SLA"
    )
    sla_leads_min: int = Field(default=5, ge=1, description="leads whose time must have run out or been met")
    coverage_min: float = Field(default=3.0, gt=0, description="open pipeline per amount that a target lacks")
    silent_window: Literal["5m", "1h", "24h"] = Field(
        default="1h", description="business time without any activity of a team"
    )
    stale_after_seconds: int = Field(
        default=900, ge=1, le=604_800, description="the newest event is older: the data is stale"
    )
    frozen_after_seconds: int = Field(
        default=60, ge=5, le=86_400, description="gauges not computed for so long are frozen"
    )
    lag_records_min: int = Field(default=1000, ge=1, description="records waiting in a topic, and growing")
    dead_letter_ratio: float = Field(
        default=0.01, gt=0, lt=1, description="share of an hour's records that may be dead letters"
    )
    dead_letters_min: int = Field(default=10, ge=1, description="and at least so many of them")
    worker_job: str = Field(
        default="salesfloor-worker", pattern=r"^[\w.:/-]+$", description="name of the workers' scrape job"
    )
    metrics_job: str = Field(
        default="salesfloor-metrics", pattern=r"^[\w.:/-]+$", description="of the metrics roles'"
    )
    gateway_job: str = Field(
        default="salesfloor-gateway", pattern=r"^[\w.:/-]+$", description="of the gateway's"
    )

    # How rules run.
    evaluation_seconds: int = Field(
        default=60, ge=1, le=3600, description="rules about the business are looked at this often"
    )
    runbook_url: str = Field(
        default="docs/operations.md", description="where your people find the runbook's headings"
    )
    off: tuple[str, ...] = Field(default=(), description="names of alerts that are not wanted")
    severity: dict[str, Severity] = Field(
        default_factory=dict, description='other severities by alert, as { ConversionCusum = "info" }'
    )
    for_seconds: dict[str, int] = Field(
        default_factory=dict, description="how long a condition holds before its alert fires, by alert"
    )
    keep_firing_seconds: dict[str, int] = Field(
        default_factory=dict, description="how long an alert is told after its condition ended, by alert"
    )

    # Who is told.
    door_url: str = Field(
        default="http://gateway:8401/alertmanager",
        description="the gateway's door, as Alertmanager reaches it",
    )
    door_token_file: str = Field(
        default="/run/secrets/gateway-token", description="file of the door's token, as Alertmanager sees it"
    )
    mail_to: tuple[str, ...] = Field(default=(), description="addresses that get mail")
    mail_from: str = Field(default="", description="sender of the mail")
    mail_smarthost: str = Field(default="", description="host:port that takes the mail")
    mail_username: str = Field(default="", description="login there")
    mail_password_file: str = Field(default="", description="file of its password, as Alertmanager sees it")
    slack_channel: str = Field(default="", description="channel that is told, such as #sales-ops")
    slack_url_file: str = Field(default="", description="file of Slack's webhook address")
    webhook_url: str = Field(default="", description="a door of your own that takes Alertmanager's webhook")
    webhook_token_file: str = Field(default="", description="file of its bearer token")
    group_wait_seconds: int = Field(
        default=30, ge=0, le=3600, description="a first notice waits for others of its group; a page does not"
    )
    group_interval_seconds: int = Field(
        default=300, ge=1, le=86_400, description="between notices of a group"
    )
    repeat_seconds: int = Field(default=14_400, ge=1, description="people are told again after so long")
    door_repeat_seconds: int = Field(
        default=3600,
        ge=1,
        description="the door is told again; the banner forgets after two and a half times",
    )
    mute_outside_hours: bool = Field(
        default=True,
        description="tell people at night, on days off and holidays of pages about the pipeline only",
    )
    banner: bool = Field(
        default=True, description="show firing alerts on the wall; the metrics role follows Kafka"
    )

    @field_validator("off", "severity", "for_seconds", "keep_firing_seconds")
    @classmethod
    def _known(cls, named: object) -> object:
        assert isinstance(named, tuple | dict)
        for name in named:
            if name not in ALERTS:
                raise ValueError(f"names the unknown alert {name!r}; there are {', '.join(ALERTS)}")
        for name, seconds in named.items() if isinstance(named, dict) else ():
            if isinstance(seconds, int) and not 0 <= seconds <= 604_800:
                raise ValueError(f"gives {name} {seconds} s; use 0 to 604800")
        return named

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.mail_to and not (self.mail_from and self.mail_smarthost):
            raise ValueError("mail_to needs mail_from and mail_smarthost; set both")
        if self.slack_channel and not self.slack_url_file:
            raise ValueError("slack_channel needs slack_url_file, a file that holds Slack's webhook address")
        return self

    def as_plan(self, clock: Literal["wall", "event"]) -> AlertPlan:
        plan = AlertPlan(**{field.name: getattr(self, field.name) for field in fields_of(AlertPlan)})
        if clock == "event":
            # With the event clock the numbers speak of the newest event: they are as old as that by design.
            return AlertPlan(**{**vars(plan), "off": (*plan.off, FROZEN)})
        return plan

    def as_delivery(self) -> Delivery:
        return Delivery(**{field.name: getattr(self, field.name) for field in fields_of(Delivery)})


def check_alerts(plan: AlertPlan, config: SnapshotConfig, funnels: tuple[str, ...]) -> None:
    """Raise `SettingsError` when a rule asks for what the metrics role of these settings does not export."""
    for funnel in plan.funnels:
        if funnel not in funnels:
            raise SettingsError(f"[alerts] funnels names {funnel!r}; there are {', '.join(funnels)}")
    for level in plan.levels:
        if level not in config.levels:
            raise SettingsError(
                f"[alerts] levels names {level!r}, which [metrics] levels leaves out; add it there"
            )
    for alert, kpi, level, window in windows_needed(plan):
        shown = config.gauge_windows.of(config.catalogue[kpi], level, config.windows)
        if window not in shown:
            raise SettingsError(
                f"{alert} needs {kpi} per {level} over {window!r}, which is no gauge; add the window to "
                f'[metrics] windows_of, choose another in [alerts], or set [alerts] off = ["{alert}"]'
            )
