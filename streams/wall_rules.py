"""Settings in, the `WallRules` they make out: boards, celebrations, when silence means stale data."""

from metrics.business_hours import BusinessHours
from metrics.wall.boards import WallRules
from streams.settings import Settings, calendar_of
from streams.settings_rules import fold_rules
from streams.wall_boards import around_of, wall_rules


def wall_rules_of(settings: Settings) -> WallRules:
    around = around_of(settings.kpis, settings.leaderboards, settings.contests, settings.funnels)
    hours = BusinessHours(calendar_of(settings.floor), fold_rules(settings).joins.hours)
    return wall_rules(settings.wall, settings.boards, around, hours)
