"""A HubSpot call, meeting, e-mail or task, read back by id, in; activity events out. Pure."""

from typing import Final

from streams.gateway.model import Form, Outcome, Skipped, SkipReason, Source
from streams.gateway.reading import decimal_of, time_ms_of, when
from streams.gateway.vendors.hubspot_record import HubSpotRecord

_DISPOSITIONS: Final = {
    "9d9162e7-6cf3-4944-bf63-4dff82258764": "busy",
    "f240bbac-87c9-4f6e-bf70-924b57d47db7": "connected",
    "a4c4c377-d246-4b32-a13b-75a56a4cd0ff": "left_message",
    "b2cf5968-551e-4856-9783-52b3da59a7d0": "left_voicemail",
    "73a0d17f-1163-4015-bdd5-ec830791da20": "no_answer",
    "17b47fee-58de-441e-a44c-c6300d46f273": "wrong_number",
}
"""Outcomes that every account has; an account's own stay the ids they are."""
_CALL_OUTCOMES: Final = {
    "BUSY": "busy",
    "NO_ANSWER": "no_answer",
    "FAILED": "failed",
    "CANCELED": "cancelled",
}
_CALL_UNDER_WAY: Final = ("CALLING_CRM_USER", "CONNECTING", "IN_PROGRESS", "QUEUED", "RINGING")
_MEETING_OUTCOMES: Final = {"COMPLETED": "held", "NO_SHOW": "no_show", "CANCELED": "cancelled"}


def activity_events(found: HubSpotRecord, source: Source) -> list[Outcome]:
    """Return the snapshot of an activity and, of a meeting, when it was put into the calendar."""
    said = found.properties.get("hs_activity_type", "")
    kind = source.activity_kinds.get(said, source.activity_kinds.get(found.name, found.name))
    if not kind:
        return [Skipped(SkipReason.NOT_WANTED)]
    own = found.whose(source) | {"kind": kind}
    if found.name == "call":
        return _call(found, own, source)
    if found.name == "meeting":
        return _meeting(found, own, source)
    if found.name == "email":
        return _email(found, own, source)
    return _task(found, own, source)


def _time(found: HubSpotRecord, name: str, source: Source) -> int | None:
    text = found.properties.get(name, "")
    return time_ms_of(text, name, source.zone) if text else None


def _call(found: HubSpotRecord, data: dict[str, object], source: Source) -> list[Outcome]:
    status = found.properties.get("hs_call_status", "").upper()
    disposition = found.properties.get("hs_call_disposition", "")
    outcome = _DISPOSITIONS.get(disposition, disposition) or _CALL_OUTCOMES.get(status, "")
    if outcome:
        data["outcome"] = outcome
    if duration := found.properties.get("hs_call_duration", ""):
        data["duration_seconds"] = float(decimal_of(duration, "hs_call_duration").scaleb(-3))
    if status in _CALL_UNDER_WAY:
        return [found.event("updated", Form.SNAPSHOT, data)]
    return [_done(found, data, _time(found, "hs_timestamp", source))]


def _meeting(found: HubSpotRecord, data: dict[str, object], source: Source) -> list[Outcome]:
    starts_ms = _time(found, "hs_meeting_start_time", source) or _time(found, "hs_timestamp", source)
    ends_ms = _time(found, "hs_meeting_end_time", source)
    outcomes: list[Outcome] = []
    if starts_ms is not None:
        created_ms = time_ms_of(found.created, "createdAt", source.zone) if found.created else None
        if created_ms is not None and created_ms < starts_ms:
            booking = found.event("scheduled", Form.PATCH, dict(data), "booked", time_ms=created_ms)
            outcomes.append(booking)
        data["scheduled_at"] = when(starts_ms)
        if ends_ms is not None and ends_ms >= starts_ms:
            data["duration_seconds"] = (ends_ms - starts_ms) / 1000
    said = found.properties.get("hs_meeting_outcome", "").upper().replace(" ", "_")
    if said not in _MEETING_OUTCOMES:
        return [*outcomes, found.event("updated", Form.SNAPSHOT, data)]
    data["outcome"] = _MEETING_OUTCOMES[said]
    return [*outcomes, _done(found, data, ends_ms or starts_ms)]


def _email(found: HubSpotRecord, data: dict[str, object], source: Source) -> list[Outcome]:
    """A reply of the other side is no work of the rep: it is told of, but it is not a done activity."""
    if found.properties.get("hs_email_direction", "").upper() == "INCOMING_EMAIL":
        came_ms = _time(found, "hs_timestamp", source)
        came = {} if came_ms is None else {"scheduled_at": when(came_ms)}
        return [found.event("updated", Form.SNAPSHOT, data | came | {"outcome": "received"})]
    status = found.properties.get("hs_email_status", "SENT").upper() or "SENT"
    data["outcome"] = status.lower()
    if status in ("SENT", "BOUNCED"):
        return [_done(found, data, _time(found, "hs_timestamp", source))]
    return [found.event("updated", Form.SNAPSHOT, data)]


def _task(found: HubSpotRecord, data: dict[str, object], source: Source) -> list[Outcome]:
    due_ms = _time(found, "hs_timestamp", source)
    if due_ms is not None:
        data["due_at"] = when(due_ms)
    if found.properties.get("hs_task_status", "").upper() != "COMPLETED":
        return [found.event("updated", Form.SNAPSHOT, data)]
    return [_done(found, data, _time(found, "hs_task_completion_date", source))]


def _done(found: HubSpotRecord, data: dict[str, object], done_ms: int | None) -> Outcome:
    """What is over cannot have been done after the record was last changed, whatever the calendar says."""
    data["completed_at"] = when(found.time_ms if done_ms is None else min(done_ms, found.time_ms))
    return found.event("completed", Form.SNAPSHOT, data)
