"""Settings in, the `FoldRules` they make out: the same for who folds (workers) and who joins (metrics)."""

from typing import Final

from metrics.business_hours import minute_of
from metrics.calendar import WEEKDAYS
from metrics.panes import DAY_MS
from streams.rules import DueRules, FoldRules, JoinRules
from streams.settings import FloorSettings, Settings, calendar_of

MINUTE_MS: Final = 60_000


def fold_rules(settings: Settings) -> FoldRules:
    return FoldRules(
        calendar=calendar_of(settings.floor),
        currency=settings.floor.currency,
        stage_probability=settings.floor.stage_probability,
        retention_ms=settings.worker.retention_days * DAY_MS,
        activity_horizon_ms=settings.worker.activity_horizon_days * DAY_MS,
        panes_max=settings.worker.panes_per_slot_max,
        clock=settings.clock,
        joins=JoinRules(
            hours=_hours(settings.floor),
            response_sla_ms=settings.floor.lead_response_sla_minutes * MINUTE_MS,
            stalled_after_ms=settings.floor.stalled_after_days * DAY_MS,
        ),
        due=DueRules(settings.pacing.commit_probability, settings.pacing.best_case_probability),
    )


def _hours(floor: FloorSettings) -> dict[str, tuple[int, int]]:
    hours: dict[str, tuple[int, int]] = {}
    for weekday in WEEKDAYS:
        opens, closes = next(
            (own for day, own in floor.business_hours_of.items() if day == weekday), floor.business_hours
        )
        hours[weekday] = minute_of(opens), minute_of(closes)
    return hours
