"""When an activity can no longer change what a window shows: states and events in, a yes or no out. Pure."""

from collections.abc import Iterator
from typing import Final

from streams.entities import ActivityState, State
from streams.events import ActivityChanges

_PLANNED_AHEAD_MAX_MS: Final = 400 * 86_400_000
"""Nobody waits longer for an activity to be done; a year far ahead is a typing error."""


def is_settled(state: State, horizon_ms: int) -> bool:
    """Say whether an activity can no longer change what a window shows."""
    assert type(state) is ActivityState
    latest_ms = max((state.last_seen_ms, *moments(state)))
    return min(latest_ms, state.last_seen_ms + _PLANNED_AHEAD_MAX_MS) < horizon_ms


def moments(activity: ActivityState | ActivityChanges) -> Iterator[int]:
    """Return the times at which the activity, or what an event says of it, may be counted."""
    planned_ms = None
    if activity.kind == "follow_up":
        planned_ms = activity.due_at_ms
    elif activity.kind == "demo":
        planned_ms = activity.scheduled_at_ms
    for time_ms in (activity.completed_at_ms, planned_ms):
        if isinstance(time_ms, int):
            yield time_ms
