"""Which alerts there are, and what the settings may change about them. Names and numbers only; no query.

`business` alerts speak of how the floor sells. They are silent while the data is stale or being rebuilt, and
people hear of them in business hours. `pipeline` alerts say that the numbers themselves cannot be relied on.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from metrics.conversion import (
    BASELINE_SUCCESSES_MIN,
    DROUGHT_PROBABILITY,
    EXPECTED_SUCCESSES_MIN,
    MATERIAL_RATIO,
    Z_FAST,
    Z_SLOW,
)

Severity = Literal["page", "ticket", "info"]
"""`page` calls somebody now, `ticket` is for the next business hours, `info` is delivered to nobody."""

MINUTE: Final = 60
HOUR: Final = 3600


class Alert(NamedTuple):
    """One alert and its defaults: how long the condition holds first, how long it is told after its end."""

    name: str
    scope: Literal["business", "pipeline"]
    severity: Severity
    for_seconds: int
    keep_firing_seconds: int = 0


FAST, SLOW, DROUGHT, CUSUM = (
    "ConversionFallingFast",
    "ConversionFallingSlow",
    "ConversionDrought",
    "ConversionCusum",
)
PACE, SLA, COVERAGE, SILENT = (
    "QuotaPaceBehind",
    "LeadResponseSlaMissed",
    "PipelineCoverageLow",
    "TeamWithoutActivity",
)
STALE, FROZEN, REPLAY = "SalesfloorDataStale", "SalesfloorNumbersFrozen", "SalesfloorReplaying"
LAG, DEAD, LOST, BUDGET = (
    "SalesfloorLagGrowing",
    "SalesfloorDeadLetters",
    "SalesfloorRecordsLost",
    "SalesfloorSeriesOverBudget",
)
INCOMPLETE = "SalesfloorRecordsIncomplete"
REDIS, KAFKA = "SalesfloorRedisUnreachable", "SalesfloorKafkaUnreachable"
WAITS = "SalesfloorWorkerWaits"
WORKER, METRICS, GATEWAY = "SalesfloorWorkerDown", "SalesfloorMetricsDown", "SalesfloorGatewayDown"

ALERTS: Final = {
    alert.name: alert
    for alert in (
        Alert(FAST, "business", "page", 30 * MINUTE, HOUR),
        Alert(SLOW, "business", "ticket", 30 * MINUTE, 4 * HOUR),
        Alert(DROUGHT, "business", "page", 10 * MINUTE, HOUR),
        Alert(CUSUM, "business", "ticket", 10 * MINUTE, 4 * HOUR),
        Alert(PACE, "business", "ticket", HOUR, 4 * HOUR),
        Alert(SLA, "business", "ticket", 15 * MINUTE, HOUR),
        Alert(COVERAGE, "business", "ticket", HOUR, 4 * HOUR),
        Alert(SILENT, "business", "ticket", 5 * MINUTE),
        Alert(STALE, "pipeline", "page", 5 * MINUTE),
        Alert(FROZEN, "pipeline", "page", 30),
        Alert(REPLAY, "pipeline", "info", 0),
        Alert(LAG, "pipeline", "ticket", 10 * MINUTE),
        Alert(DEAD, "pipeline", "ticket", 5 * MINUTE),
        Alert(LOST, "pipeline", "ticket", 0),
        Alert(INCOMPLETE, "pipeline", "ticket", 5 * MINUTE),
        Alert(BUDGET, "pipeline", "ticket", 15 * MINUTE),
        Alert(REDIS, "pipeline", "page", MINUTE),
        Alert(KAFKA, "pipeline", "page", MINUTE),
        Alert(WAITS, "pipeline", "page", 5 * MINUTE),
        Alert(WORKER, "pipeline", "page", 30),
        Alert(METRICS, "pipeline", "page", 30),
        Alert(GATEWAY, "pipeline", "page", 30),
    )
}

CONVERSION: Final = (FAST, SLOW, DROUGHT, CUSUM)
BUSINESS: Final = tuple(name for name, alert in ALERTS.items() if alert.scope == "business")


@dataclass(frozen=True)
class AlertPlan:
    """What the rules compare with. Seconds, shares as 0..1, counts."""

    funnels: tuple[str, ...] = ()
    """Names of the funnels that are watched; none named means all that are exported."""
    levels: tuple[str, ...] = ("floor", "team")
    baseline: Literal["service", "prometheus"] = "service"
    """Who remembers the weeks before: the metrics role, or Prometheus by its own history."""
    fast_window: str = "1bd"
    fast_z: float = Z_FAST
    slow_window: str = "5bd"
    slow_z: float = Z_SLOW
    slow_confirm_window: str = "1bd"
    slow_confirm_ratio: float = 0.9
    material_ratio: float = MATERIAL_RATIO
    expected_successes_min: float = EXPECTED_SUCCESSES_MIN
    baseline_successes_min: float = BASELINE_SUCCESSES_MIN
    drought_window: str = "1bd"
    drought_probability: float = DROUGHT_PROBABILITY

    pace_behind_ratio: float = 0.2
    pace_after_ratio: float = 0.2
    sla_window: str = "today"
    sla_ratio_min: float = 0.8
    sla_leads_min: int = 5
    coverage_min: float = 3.0
    silent_window: str = "1h"

    stale_after_seconds: int = 900
    frozen_after_seconds: int = 60
    lag_records_min: int = 1000
    dead_letter_ratio: float = 0.01
    dead_letters_min: int = 10
    worker_job: str = "salesfloor-worker"
    metrics_job: str = "salesfloor-metrics"
    gateway_job: str = "salesfloor-gateway"

    evaluation_seconds: int = 60
    """How often business rules are looked at; those of the pipeline four times as often, or each 15 s."""
    runbook_url: str = "docs/operations.md"
    off: tuple[str, ...] = ()
    severity: Mapping[str, Severity] = field(default_factory=dict)
    for_seconds: Mapping[str, int] = field(default_factory=dict)
    keep_firing_seconds: Mapping[str, int] = field(default_factory=dict)

    @property
    def pipeline_evaluation_seconds(self) -> int:
        return max(1, min(15, self.evaluation_seconds // 4))

    def runs(self, name: str) -> bool:
        return name not in self.off

    def of(self, name: str) -> Alert:
        """Return the alert with what the settings change about it."""
        default = ALERTS[name]
        return default._replace(
            severity=self.severity.get(name, default.severity),
            for_seconds=self.for_seconds.get(name, default.for_seconds),
            keep_firing_seconds=self.keep_firing_seconds.get(name, default.keep_firing_seconds),
        )
