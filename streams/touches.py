"""What activities say of the lead and of the deal they were done for. Pure.

Comes in: activities as they change and as they leave memory. Goes out: per lead and per deal the first
attempt to reach it, its calls, and when something was done for it. Knows no store, reads no clock.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from msgspec import Struct

from streams.entities import ActivityState

_DAY_MS: Final = 86_400_000
_INTERNAL: Final = frozenset(("one_on_one", "training"))
LEAD, DEAL = "l", "d"


class Touch(NamedTuple):
    """One completed activity, as its lead and its deal see it."""

    time_ms: int
    is_attempt: bool
    """Someone tried to reach the customer."""
    is_call: bool


class Touches(Struct, frozen=True, array_like=True, gc=False):
    """All touches of one lead or deal in one slot."""

    times_ms: tuple[int, ...]
    """When something was done, oldest first. One between two others that lie within a day may be left
    out: no pause of a day or more looks any different for that."""
    first_attempt_ms: int | None = None
    calls: int = 0


Concern = str
"""`LEAD` or `DEAL` and the id."""


def touched_by(activity: ActivityState | None) -> dict[Concern, Touch]:
    """Return whom the activity touches."""
    if activity is None or activity.deleted or activity.completed_at_ms is None:
        return {}
    touch = Touch(activity.completed_at_ms, activity.kind not in _INTERNAL, activity.kind == "call")
    both = ((LEAD, activity.lead_id), (DEAL, activity.deal_id))
    return {prefix + concerned: touch for prefix, concerned in both if concerned}


def touches_of(touches: Iterable[Touch]) -> Touches:
    known = list(touches)
    return Touches(
        _thinned(touch.time_ms for touch in known),
        min((touch.time_ms for touch in known if touch.is_attempt), default=None),
        sum(touch.is_call for touch in known),
    )


def together(parts: Iterable[Touches]) -> Touches:
    known = list(parts)
    return Touches(
        _thinned(time_ms for part in known for time_ms in part.times_ms),
        min((part.first_attempt_ms for part in known if part.first_attempt_ms is not None), default=None),
        sum(part.calls for part in known),
    )


def _thinned(times_ms: Iterable[int]) -> tuple[int, ...]:
    kept: list[int] = []
    for time_ms in sorted(times_ms):
        if len(kept) > 1 and time_ms - kept[-2] <= _DAY_MS:
            kept[-1] = time_ms
        else:
            kept.append(time_ms)
    return tuple(kept)


class TouchIndex:
    """The touches of one slot's activities: those in memory one by one, those that left it summed up."""

    def __init__(self) -> None:
        self._live: dict[Concern, dict[str, Touch]] = {}
        self._settled: dict[Concern, Touches] = {}
        self.changed: set[Concern] = set()
        self.changed_settled: set[Concern] = set()

    def load_settled(self, concern: Concern, touches: Touches) -> None:
        self._settled[concern] = touches

    def load_live(self, activity_id: str, activity: ActivityState) -> None:
        for concern, touch in touched_by(activity).items():
            self._live.setdefault(concern, {})[activity_id] = touch

    def move(self, activity_id: str, before: dict[Concern, Touch], after: dict[Concern, Touch]) -> None:
        """Say that an activity in memory touched one set and now touches another."""
        if before == after:
            return
        for concern in before:
            self._forget(activity_id, concern)
        for concern, touch in after.items():
            self._live.setdefault(concern, {})[activity_id] = touch
        self.changed.update(before, after)

    def settle(self, activity_id: str, activity: ActivityState) -> None:
        """Say that an activity leaves memory for good: what it touched stays touched."""
        for concern, touch in touched_by(activity).items():
            self._forget(activity_id, concern)
            held = self._settled.get(concern)
            new = touches_of((touch,))
            self._settled[concern] = new if held is None else together((held, new))
            self.changed_settled.add(concern)

    def expire(self, oldest_ms: int) -> None:
        """Forget what was settled and nobody can still ask for."""
        for concern in [each for each, held in self._settled.items() if held.times_ms[-1] < oldest_ms]:
            del self._settled[concern]
            self.changed_settled.add(concern)
            self.changed.add(concern)

    def _forget(self, activity_id: str, concern: Concern) -> None:
        touches = self._live[concern]
        del touches[activity_id]
        if not touches:
            del self._live[concern]

    def settled(self, concern: Concern) -> Touches | None:
        return self._settled.get(concern)

    def all_of(self, concern: Concern) -> Touches | None:
        """Return everything that touched a lead or deal; None when nothing did."""
        settled, live = self._settled.get(concern), self._live.get(concern)
        if live is None:
            return settled
        touches = touches_of(live.values())
        return touches if settled is None else together((settled, touches))
