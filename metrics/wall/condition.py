"""The newest snapshot and the clock in, how far its numbers can be relied on out. Pure."""

from dataclasses import dataclass

from metrics.kpi_snapshot import KpiSnapshot
from metrics.wall.boards import WallRules
from metrics.wall.numbers import Json


@dataclass(frozen=True)
class Condition:
    as_of_ms: int
    now_ms: int
    newest_event_ms: int | None
    stale: bool
    not_ready: str
    catching_up: bool
    records_lost: int = 0
    """Removed from the log before they were folded: no number knows of them."""

    def wire(self) -> Json:
        return {
            "as_of_ms": self.as_of_ms,
            "now_ms": self.now_ms,
            "newest_event_ms": self.newest_event_ms,
            "stale": self.stale,
            "not_ready": self.not_ready,
            "catching_up": self.catching_up,
            "records_lost": self.records_lost,
        }


def condition_of(snapshot: KpiSnapshot | None, now_ms: int, not_ready: str, rules: WallRules) -> Condition:
    """Return the state of the numbers. Without a snapshot they are of no instant: `as_of_ms` is now."""
    if snapshot is None:
        return Condition(now_ms, now_ms, None, bool(not_ready), not_ready, False)
    newest_ms = snapshot.state.newest_event_ms
    return Condition(
        as_of_ms=snapshot.as_of_ms,
        now_ms=now_ms,
        newest_event_ms=newest_ms,
        stale=bool(not_ready) or _is_stale(newest_ms, now_ms, rules),
        not_ready=not_ready,
        catching_up=snapshot.state.is_behind(now_ms),
        records_lost=sum(snapshot.state.counters.get("lost", {}).values()),
    )


def _is_stale(newest_ms: int | None, now_ms: int, rules: WallRules) -> bool:
    """Say whether too much business time has passed without any event; nights and days off do not count."""
    if newest_ms is None:
        return False
    silent_ms = now_ms - newest_ms if rules.hours is None else rules.hours.between_ms(newest_ms, now_ms)
    return silent_ms > rules.stale_after_ms
