"""A Salesforce task or calendar event in, activity events out. Pure.

A created or read record says whom the activity concerns. A change says only what changed, unless the channel
is enriched with WhatId, WhoId and OwnerId: that is a patch of what is known of it. Only that something was
done needs the record even so where the settings leave a kind out, for such a one must not count by its
changes, and the channel is not enriched with Type and TaskSubtype, which tell the kind.
"""

import re
from dataclasses import replace
from typing import Final

from streams.events import EntityKind
from streams.gateway.model import Canonical, Form, Outcome, Skipped, SkipReason, Source
from streams.gateway.reading import decimal_of, flag_of, text_from, when
from streams.gateway.vendors.salesforce_fields import Change, Values, day_ends_ms, kind_of, rep_of
from streams.gateway.vendors.salesforce_ids import long_id, object_of

_HELD: Final = {
    "completed": "held",
    "held": "held",
    "no_show": "no_show",
    "canceled": "cancelled",
    "cancelled": "cancelled",
}


def activity(change: Change, source: Source) -> list[Outcome]:
    whose = _whose(change.values if change.whole else change.beside or {}, source)
    if change.op == "restore":
        return [Skipped(SkipReason.OPERATION)]  # the contract has no restored activities
    if change.op == "delete":
        return [change.event("deleted", whose, form=Form.DELETE)]
    if change.whole and not whose:
        return [change.thin(change.op, *sorted(change.values))]
    data: dict[str, object] = dict(whose)
    if change.whole:
        if change.flag("IsChild"):
            return [Skipped(SkipReason.NOT_PRIMARY)]  # an invitee's copy of a meeting
        kind = _kind(change, source)
        if not kind:
            return [Skipped(SkipReason.NOT_WANTED)]
        data["kind"] = kind
    else:
        data |= _moved(change, source)
    outcomes = (_meeting if change.name == "Event" else _task)(change, data, source)
    return outcomes if change.whole else _patch(change, outcomes, source, enriched=bool(whose))


def _patch(change: Change, outcomes: list[Outcome], source: Source, *, enriched: bool) -> list[Outcome]:
    [event] = outcomes
    assert isinstance(event, Canonical), "a change gives one event"
    if event.type.endswith(".completed"):
        kind = _kind_beside(change, source)
        if kind == "":
            return [Skipped(SkipReason.NOT_WANTED)]
        if not enriched or (kind is None and _leaves_out(source)):
            return [change.thin(change.op, *sorted(change.values))]
    return [event] if event.data else [Skipped(SkipReason.PROPERTY)]


def _kind_beside(change: Change, source: Source) -> str | None:
    """Return the kind of a changed activity, "" for one that is left out, None where it is not told."""
    told = change.beside or change.values
    named = any(told.get(name) not in (None, "") for name in ("Type", "TaskSubtype"))
    return _kind(replace(change, values=told), source) if named else None


def _leaves_out(source: Source) -> bool:
    """Say whether an activity of unknown kind may be of one that is left out; list e-mails are done when they
    are made, so no change completes one."""
    return any(not kind for word, kind in source.activity_kinds.items() if word != "ListEmail")


def _moved(change: Change, source: Source) -> dict[str, object]:
    """Return whom a change gives the activity to. One that follows its lead to the contact that the lead was
    converted to stays the lead's: it was done before there was a contact."""
    found: dict[str, object] = {}
    for name in change.values.keys() & {"OwnerId", "WhatId", "WhoId", "AccountId"}:
        record_id = long_id(text_from(change.values[name], name))
        name_of = object_of(record_id)
        if name == "OwnerId":
            found["rep_id"] = rep_of(record_id, source)
        elif name == "AccountId" or (name == "WhatId" and name_of == "Account"):
            found["account_id"] = record_id or None
        if name == "WhatId":
            found["deal_id"] = record_id if name_of == "Opportunity" else None
        elif name == "WhoId" and (not record_id or kind_of(name_of, source) is EntityKind.LEAD):
            found["lead_id"] = record_id or None
    return found


def _whose(values: Values, source: Source) -> dict[str, object]:
    """Return the deal or account, the lead and the rep of an activity; nothing where they are not told."""
    found: dict[str, object] = {}
    for name in ("AccountId", "WhatId", "WhoId"):
        record_id = long_id(text_from(values.get(name), name))
        name_of = object_of(record_id)
        if name_of == "Opportunity":
            found["deal_id"] = record_id
        elif name_of == "Account":
            found["account_id"] = record_id
        elif name_of and kind_of(name_of, source) is EntityKind.LEAD:
            found["lead_id"] = record_id
    if rep := rep_of(text_from(values.get("OwnerId"), "OwnerId"), source):
        found["rep_id"] = rep
    return found if found.keys() - {"account_id"} else {}


def _kind(change: Change, source: Source) -> str:
    """The organisation's own type first, then Salesforce's kind of task, then what it is at all."""
    for name in ("Type", "TaskSubtype"):
        said = text_from(change.values.get(name), name)
        if said in source.activity_kinds:
            return source.activity_kinds[said]
    return source.activity_kinds.get(change.name, "")


def _task(change: Change, data: dict[str, object], source: Source) -> list[Outcome]:
    if change.has("CallDisposition"):
        data["outcome"] = _word(change, "CallDisposition")
    if change.has("CallDurationInSeconds"):
        seconds = decimal_of(change.values["CallDurationInSeconds"], "CallDurationInSeconds")
        data["duration_seconds"] = float(seconds)
    if (due := change.day("ActivityDate", source)) is not None:
        data["due_at"] = when(day_ends_ms(due, source))
    elif "ActivityDate" in change.values and not change.whole:
        data["due_at"] = None
    status = text_from(change.values.get("Status"), "Status")
    if change.flag("IsClosed") or status == "Completed":
        return [_done(change, data, change.moment("CompletedDateTime", source))]
    if change.flag("IsClosed") is False and not change.whole:
        data["completed_at"] = None  # taken up again
    return [change.event("updated", data)]


def _meeting(change: Change, data: dict[str, object], source: Source) -> list[Outcome]:
    """Salesforce has no field for whether a meeting took place; the option `meeting_outcome` may name an own
    one. One that had begun when it was entered is a meeting that was held."""
    booking = dict(data)
    starts_ms, ends_ms = (change.moment(name, source) for name in ("StartDateTime", "EndDateTime"))
    if starts_ms is not None:
        data["scheduled_at"] = when(starts_ms)
    if change.has("DurationInMinutes"):
        minutes = decimal_of(change.values["DurationInMinutes"], "DurationInMinutes")
        data["duration_seconds"] = float(minutes) * 60
    own = source.options["meeting_outcome"]
    outcome = _HELD.get(_word(change, own), "") if own and change.has(own) else ""
    if outcome:
        return [_done(change, data | {"outcome": outcome}, ends_ms or starts_ms)]
    entered_ms = change.time_ms if change.op == "create" else change.moment("CreatedDate", source)
    if starts_ms is None or entered_ms is None or not change.whole:
        return [change.event("updated", data)]
    if starts_ms <= entered_ms:
        return [_done(change, data | {"outcome": "held"}, ends_ms or starts_ms)]
    if change.op == "create":
        return [change.event("scheduled", data)]
    booked = replace(change, time_ms=entered_ms).event("scheduled", booking, "booked", form=Form.PATCH)
    return [booked, change.event("updated", data)]


def _done(change: Change, data: dict[str, object], done_ms: int | None) -> Outcome:
    """What is over cannot have been done after the record was last changed, whatever the calendar says."""
    if done_ms is not None:
        data["completed_at"] = when(min(done_ms, change.time_ms))
    return change.event("completed", data)


def _word(change: Change, name: str) -> str:
    """Return a free text in the form of the contract's words: "No answer" is no_answer."""
    value = change.values[name]
    text = str(flag_of(value, name)) if isinstance(value, bool) else text_from(value, name)
    return re.sub(r"\W+", "_", text.lower()).strip("_")
