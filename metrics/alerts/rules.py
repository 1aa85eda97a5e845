"""An `AlertPlan` and a query in, rules as Prometheus reads them out. Knows no KPI.

An alert's runbook is the heading in the operations document that bears its name.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from metrics.alerts.plan import HOUR, MINUTE, AlertPlan

Yaml = dict[str, object]

REPLAYING: Final = "max(salesfloor_replay_in_progress) == 1"


@dataclass(frozen=True)
class Record:
    """A recording rule: a query whose answer gets a name."""

    record: str
    expr: str
    labels: Mapping[str, str]

    def as_yaml(self) -> Yaml:
        labels = {"labels": dict(self.labels)} if self.labels else {}
        return {"record": self.record, "expr": self.expr, **labels}


@dataclass(frozen=True)
class AlertRule:
    alert: str
    expr: str
    for_seconds: int
    keep_firing_seconds: int
    labels: Mapping[str, str]
    annotations: Mapping[str, str]

    def as_yaml(self) -> Yaml:
        times = {"for": self.for_seconds, "keep_firing_for": self.keep_firing_seconds}
        return {
            "alert": self.alert,
            "expr": self.expr,
            **{name: duration(seconds) for name, seconds in times.items() if seconds},
            "labels": dict(self.labels),
            "annotations": dict(self.annotations),
        }


@dataclass(frozen=True)
class Group:
    name: str
    interval_seconds: int
    rules: tuple[Record | AlertRule, ...]

    def as_yaml(self) -> Yaml:
        return {
            "name": self.name,
            "interval": duration(self.interval_seconds),
            "rules": [rule.as_yaml() for rule in self.rules],
        }


@dataclass(frozen=True)
class Said:
    """What the person called reads: what it is, with which numbers, and what to do first."""

    summary: str
    description: str
    action: str


def alert_rule(
    plan: AlertPlan, name: str, expr: str, said: Said, labels: Mapping[str, str] | None = None
) -> AlertRule:
    """Return the rule under the plan's times and severity; a business alert also knows when to be silent."""
    alert = plan.of(name)
    if alert.scope == "business":
        stale = f"min(salesfloor_last_event_age_seconds) > {plan.stale_after_seconds}"
        expr = f"{expr}\nunless on () ({REPLAYING})\nunless on () ({stale})"
    return AlertRule(
        alert=name,
        expr=expr,
        for_seconds=alert.for_seconds,
        keep_firing_seconds=alert.keep_firing_seconds,
        labels={"severity": alert.severity, "scope": alert.scope, **(labels or {})},
        annotations={
            "summary": said.summary,
            "description": said.description,
            "action": said.action,
            "runbook_url": f"{plan.runbook_url}#{name.lower()}",
        },
    )


def duration(seconds: int) -> str:
    """Return seconds as Prometheus writes them: 90 -> 90s, 1800 -> 30m."""
    for size, letter in ((HOUR, "h"), (MINUTE, "m")):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{letter}"
    return f"{seconds}s"


def number(value: float) -> str:
    """Return a threshold as short as it can be written: 0.8, 3."""
    return f"{value:.12g}"


def told(query: str, *labels: str, form: str) -> str:
    """Return a template that asks Prometheus for one number when the alert is told, "?" without an answer.

    Each `%q` in the query stands for one of the alert's labels, in their order. `form` is a template
    function such as `humanizePercentage` or `printf "%.0f"`.
    """
    values = "".join(f" $labels.{label}" for label in labels)
    return (
        f"{{{{ with printf `{query}`{values} | query }}}}{{{{ . | first | value | {form} }}}}"
        "{{ else }}?{{ end }}"
    )
