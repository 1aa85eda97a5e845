"""Settings in, the `FoldRules` they make out: the same for who folds (workers) and who joins (metrics)."""

from metrics.panes import DAY_MS
from streams.rules import DueRules, FoldRules
from streams.settings import Settings, calendar_of


def fold_rules(settings: Settings) -> FoldRules:
    return FoldRules(
        calendar=calendar_of(settings.floor),
        currency=settings.floor.currency,
        stage_probability=settings.floor.stage_probability,
        retention_ms=settings.worker.retention_days * DAY_MS,
        activity_horizon_ms=settings.worker.activity_horizon_days * DAY_MS,
        panes_max=settings.worker.panes_per_slot_max,
        clock=settings.clock,
        due=DueRules(settings.pacing.commit_probability, settings.pacing.best_case_probability),
    )
