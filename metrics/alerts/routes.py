"""An `AlertPlan`, who is to be told, and the floor's hours in, Alertmanager's configuration out.

Two ways lead out. Every alert goes to the gateway's door, by day and night, so that the topic `sales.alerts`
and the wall's banner know the truth. People hear of it by mail, chat or a webhook of their own; outside
business hours only pages about the pipeline wake them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from metrics.alerts.plan import (
    CUSUM,
    DROUGHT,
    FAST,
    GATEWAY,
    KAFKA,
    METRICS,
    REDIS,
    REPLAY,
    SLOW,
    STALE,
    WAITS,
    WORKER,
    AlertPlan,
)
from metrics.alerts.rules import Yaml, duration
from metrics.business_hours import MINUTES_PER_DAY
from metrics.calendar import WEEKDAYS

DOOR, PEOPLE, NOBODY = "salesfloor", "people", "nobody"
CLOSED: Final = "closed"
ALERTS_PER_NOTICE_MAX: Final = 500
"""Alertmanager says in the notice how many it left out; the gateway takes bodies of 1 MiB."""

_BUSINESS: Final = 'scope="business"'


@dataclass(frozen=True)
class FloorHours:
    """When somebody is there. `hours` gives each business weekday its first and last minute."""

    zone: str
    hours: Mapping[str, tuple[int, int]]
    holidays: tuple[date, ...] = ()


@dataclass(frozen=True)
class Delivery:
    """Where notices go. Secrets are files that Alertmanager reads itself; an empty text is "not there"."""

    door_url: str
    door_token_file: str = ""
    mail_to: tuple[str, ...] = ()
    mail_from: str = ""
    mail_smarthost: str = ""
    mail_username: str = ""
    mail_password_file: str = ""
    slack_channel: str = ""
    slack_url_file: str = ""
    webhook_url: str = ""
    webhook_token_file: str = ""
    group_wait_seconds: int = 30
    group_interval_seconds: int = 300
    repeat_seconds: int = 14_400
    door_repeat_seconds: int = 3600
    mute_outside_hours: bool = True


def alertmanager_tree(plan: AlertPlan, delivery: Delivery, hours: FloorHours) -> Yaml:
    closed = closed_times(hours) if delivery.mute_outside_hours else []
    tree: Yaml = {
        "route": _routes(delivery, muted=bool(closed)),
        "inhibit_rules": _inhibitions(plan),
        "receivers": [
            {"name": DOOR, "webhook_configs": [_webhook(delivery.door_url, delivery.door_token_file)]},
            _people(delivery),
            {"name": NOBODY},
        ],
    }
    if closed:
        tree["time_intervals"] = [{"name": CLOSED, "time_intervals": closed}]
    return tree


# --- routes -----------------------------------------------------------------------------------------


def _routes(delivery: Delivery, *, muted: bool) -> Yaml:
    quiet = {"mute_time_intervals": [CLOSED]} if muted else {}
    return {
        "receiver": PEOPLE,
        "group_by": ["alertname", "funnel", "kpi"],
        "group_wait": duration(delivery.group_wait_seconds),
        "group_interval": duration(delivery.group_interval_seconds),
        "repeat_interval": duration(delivery.repeat_seconds),
        "routes": [
            {"receiver": NOBODY, "matchers": ['severity="info"']},
            {
                "receiver": DOOR,
                "group_by": ["alertname"],
                "group_wait": "0s",
                "group_interval": duration(min(delivery.group_interval_seconds, 30)),
                "repeat_interval": duration(delivery.door_repeat_seconds),
                "continue": True,
            },
            {"receiver": PEOPLE, "matchers": [_BUSINESS], **quiet},
            {"receiver": PEOPLE, "matchers": ['severity="ticket"'], **quiet},
            {"receiver": PEOPLE, "matchers": ['severity="page"'], "group_wait": "0s"},
        ],
    }


def _inhibitions(plan: AlertPlan) -> list[Yaml]:
    """One cause, one notice: what is only a consequence of a firing alert is not told of."""
    # Numbers of a quiet, broken or half-read pipe say nothing about how people sell.
    found = _inhibits(plan, (STALE, REPLAY, REDIS, KAFKA), [_BUSINESS])
    found += _inhibits(plan, (WORKER, METRICS, GATEWAY, REDIS, KAFKA, WAITS), [f'alertname="{STALE}"'])
    stronger = [name for name in (DROUGHT, FAST, SLOW, CUSUM) if plan.runs(name)]
    for index, name in enumerate(stronger[:-1]):
        weaker = "|".join(stronger[index + 1 :])
        found += _inhibits(plan, (name,), [f'alertname=~"{weaker}"'], equal=["level", "funnel", "team"])
    return found


def _inhibits(
    plan: AlertPlan, causes: Iterable[str], targets: list[str], equal: Iterable[str] = ()
) -> list[Yaml]:
    running = "|".join(name for name in causes if plan.runs(name))
    same = {"equal": list(equal)} if equal else {}
    return (
        [{"source_matchers": [f'alertname=~"{running}"'], "target_matchers": targets, **same}]
        if running
        else []
    )


# --- receivers --------------------------------------------------------------------------------------


def _webhook(url: str, token_file: str) -> Yaml:
    shown = {"type": "Bearer", "credentials_file": token_file}
    secret = {"http_config": {"authorization": shown}} if token_file else {}
    return {"url": url, "send_resolved": True, "max_alerts": ALERTS_PER_NOTICE_MAX, **secret}


def _people(delivery: Delivery) -> Yaml:
    """Return the receiver of people; without any address it tells nobody."""
    receiver: Yaml = {"name": PEOPLE}
    if delivery.mail_to:
        login: Yaml = {}
        if delivery.mail_username:
            login["auth_username"] = delivery.mail_username
        if delivery.mail_password_file:
            login["auth_password_file"] = delivery.mail_password_file
        receiver["email_configs"] = [
            {
                "to": ", ".join(delivery.mail_to),
                "from": delivery.mail_from,
                "smarthost": delivery.mail_smarthost,
                **login,
                "send_resolved": True,
                "headers": {"Subject": "[{{ .Status }}] {{ .CommonAnnotations.summary }}"},
            }
        ]
    if delivery.slack_channel:
        receiver["slack_configs"] = [
            {
                "api_url_file": delivery.slack_url_file,
                "channel": delivery.slack_channel,
                "send_resolved": True,
                "title": "[{{ .Status }}] {{ .GroupLabels.alertname }}",
                "text": "{{ range .Alerts }}{{ .Annotations.summary }}\n{{ .Annotations.description }}\n"
                "{{ .Annotations.action }}\n{{ end }}",
            }
        ]
    if delivery.webhook_url:
        receiver["webhook_configs"] = [_webhook(delivery.webhook_url, delivery.webhook_token_file)]
    return receiver


# --- nights and holidays ----------------------------------------------------------------------------


def closed_times(hours: FloorHours) -> list[Yaml]:
    """Return every time at which nobody is there: nights, days off, holidays, on the floor's clock."""
    found: list[Yaml] = []
    off = [day for day in WEEKDAYS if day not in hours.hours]
    if off:
        found.append({"weekdays": off, "location": hours.zone})
    for span in dict.fromkeys(hours.hours.values()):
        opens, closes = span
        times = [
            {"start_time": _clock(start), "end_time": _clock(end)}
            for start, end in ((0, opens), (closes, MINUTES_PER_DAY))
            if start < end
        ]
        if times:
            days = [day for day in WEEKDAYS if hours.hours.get(day) == span]
            found.append({"times": times, "weekdays": days, "location": hours.zone})
    for (year, month), days_of_month in _by_month(hours.holidays).items():
        found.append(
            {
                "years": [str(year)], "months": [str(month)], "days_of_month": days_of_month,
                "location": hours.zone,
            }
        )  # fmt: skip
    return found


def _by_month(holidays: Iterable[date]) -> dict[tuple[int, int], list[str]]:
    found: dict[tuple[int, int], list[str]] = {}
    for day in sorted(set(holidays)):
        found.setdefault((day.year, day.month), []).append(str(day.day))
    return found


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"
