"""The whole state of a Pipedrive record in, the events of the contract that it means out. Pure.

Every field that Pipedrive sends is set or, where it is null, cleared; one that it leaves out stays as it is.
"""

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final
from zoneinfo import ZoneInfo

from streams.events import EntityKind, Reason
from streams.gateway.model import Form, Outcome, Skipped, SkipReason, Source, Thin, Unreadable
from streams.gateway.reading import (
    Object,
    day_of,
    decimal_of,
    flag_of,
    list_at,
    object_at,
    percent_of,
    text_at,
    text_from,
    time_ms_of,
    when,
)
from streams.gateway.vendors.pipedrive_change import UTC, Change, Op, utc_ms

# --- single values --------------------------------------------------------------------------------


def reference_at(data: Object, name: str) -> str:
    """Return the id of another record; version 1 wraps it in an object with `id`, `value` or both."""
    value = data.get(name)
    if isinstance(value, dict):
        return text_at(value, "id") or text_at(value, "value")
    return text_from(value, name)


def flag_at(data: Object, name: str) -> bool | None:
    """Return a flag, which version 1 may write as 0 or 1; None when there is none."""
    text = data.get(name)
    if text is None or isinstance(text, bool):
        return text
    word = text_from(text, name)
    return word == "1" if word in ("0", "1") else flag_of(word, name)


def _typed_at(data: Object, name: str) -> str:
    """Return the text of what may be bare, null, or an object with a value."""
    value = data.get(name)
    return text_at(value, "value") if isinstance(value, dict) else text_from(value, name)


def _owner(data: Object, source: Source) -> dict[str, object]:
    name = "owner_id" if "owner_id" in data else "user_id"
    if name not in data:
        return {}
    owner = reference_at(data, name)
    return {"rep_id": source.rep(owner) if owner else None}


def _linked(data: Object, names: Mapping[str, str]) -> dict[str, object]:
    return {field: reference_at(data, name) or None for name, field in names.items() if name in data}


def _created(data: Object) -> dict[str, object]:
    added = text_at(data, "add_time")
    return {"created_at": when(utc_ms(added, "add_time"))} if added else {}


# --- deals ----------------------------------------------------------------------------------------


def _deal(change: Change, source: Source) -> list[Outcome]:
    data = change.data
    fields = _owner(data, source) | _created(data) | _linked(data, {"org_id": "account_id"})
    if source.options["lead_object"] == "person":
        fields |= _linked(data, {"person_id": "lead_id"})
    if "value" in data:
        fields["amount"] = None if data["value"] is None else decimal_of(data["value"], "value")
    if currency := text_at(data, "currency"):
        fields["currency"] = currency.upper()
    elif "value" in data and source.currency:
        fields["currency"] = source.currency
    if "probability" in data:
        likely = data["probability"]
        fields["probability"] = None if likely is None else float(percent_of(likely, "probability"))
    if stage := text_at(data, "stage_id"):
        fields["stage"] = source.stage(stage)
    if pipeline := text_at(data, "pipeline_id"):
        fields["pipeline"] = source.pipeline(pipeline)
    if "expected_close_date" in data:
        day = text_at(data, "expected_close_date")
        fields["expected_close_on"] = day_of(day, "expected_close_date", source.zone) if day else None
    fields |= _source_of_deal(data, source) | _outcome_of_deal(change)
    action = "created" if change.op is Op.CREATE else "updated"
    return [change.event(f"sales.deal.{action}", fields)]


def _outcome_of_deal(change: Change) -> dict[str, object]:
    status = text_at(change.data, "status")
    if status == "open":
        return {"status": status, "closed_at": None}
    if status not in ("won", "lost"):
        return {}
    closed = text_at(change.data, f"{status}_time") or text_at(change.data, "close_time")
    if closed:
        return {"status": status, "closed_at": when(utc_ms(closed, f"{status}_time"))}
    if change.op is Op.CREATE or change.was_other("status"):
        return {"status": status, "closed_at": when(change.time_ms)}
    return {"status": status}


def _source_of_deal(data: Object, source: Source) -> dict[str, object]:
    """Deals have no source of their own: the option names a field, or the key of a custom one."""
    name = source.options["deal_source"]
    if name in data:
        return {"source": _typed_at(data, name) or None}
    custom = object_at(data, "custom_fields")
    if name not in custom:
        return {}
    value = custom[name]
    if isinstance(value, dict):
        return {"source": text_at(value, "value") or text_at(value, "id") or None}
    return {"source": text_from(value, name) or None}


# --- leads, persons, organisations ----------------------------------------------------------------


def _lead(change: Change, source: Source) -> list[Outcome]:
    """A label, or being archived, is a step when it is new; the rest of the state is a snapshot."""
    data = change.data
    links = {"organization_id": "account_id"} if change.entity == "lead" else {"org_id": "account_id"}
    fields = _owner(data, source) | _created(data) | _linked(data, links)
    if "source_name" in data:
        fields["source"] = text_at(data, "source_name") or None
    action = "created" if change.op is Op.CREATE else "updated"
    steps = [source.lead_steps[one] for one in _new_words(change) if one in source.lead_steps]
    return [
        change.event(f"sales.lead.{action}", fields),
        *(change.event(f"sales.lead.{step}", {}, form=Form.PATCH) for step in dict.fromkeys(steps)),
    ]


def _new_words(change: Change) -> list[str]:
    before = _words(change.previous)
    if change.op is not Op.CREATE and not (change.was_other("label_ids") or change.was_other("is_archived")):
        return []
    if change.op is not Op.CREATE:
        # What this change did not touch is in the state as it was before.
        kept = {name: change.data[name] for name in ("label_ids", "is_archived") if name in change.data}
        before = _words({**kept, **change.previous})
    return [word for word in _words(change.data) if word not in before]


def _words(data: Object) -> list[str]:
    labels = [text_from(one, "label_ids") for one in list_at(data, "label_ids")]
    return [*labels, "archived"] if flag_at(data, "is_archived") else labels


def _account(change: Change, source: Source) -> list[Outcome]:
    return [change.event("sales.account.updated", _owner(change.data, source))]


# --- activities -----------------------------------------------------------------------------------


def whose(data: Object, source: Source) -> dict[str, object]:
    """Return the fields of an activity that say whom it concerns."""
    lead = "person_id" if source.options["lead_object"] == "person" else "lead_id"
    found = _linked(data, {"deal_id": "deal_id", lead: "lead_id", "org_id": "account_id"})
    return _owner(data, source) | {name: value for name, value in found.items() if value is not None}


def names_somebody(fields: Mapping[str, object]) -> bool:
    return any(fields.get(name) for name in ("deal_id", "lead_id", "rep_id"))


def _activity(change: Change, source: Source) -> list[Outcome]:
    data = change.data
    kind = source.activity_kinds.get(text_at(data, "type"), "")
    if not kind:
        return [Skipped(SkipReason.NOT_WANTED)]
    fields = whose(data, source)
    if not names_somebody(fields):
        thin = Thin("activity", change.entity_id, "update", change.time_ms, EntityKind.ACTIVITY,
                    account=change.account)  # fmt: skip
        return [thin]
    fields |= {"kind": kind} | _planned(data, kind, source)
    if (seconds := _seconds(_typed_at(data, "duration"))) is not None:
        fields["duration_seconds"] = seconds
    if not flag_at(data, "done"):
        action = "scheduled" if change.op is Op.CREATE else "updated"
        return [change.event(f"sales.activity.{action}", fields | {"completed_at": None})]
    done_ms = _done_ms(change)
    if done_ms is None:
        return [change.event("sales.activity.updated", fields)]
    return [change.event("sales.activity.completed", fields | {"completed_at": when(done_ms)})]


def _done_ms(change: Change) -> int | None:
    """Return when it was marked as done. A later change of what is long done does not say."""
    if marked := text_at(change.data, "marked_as_done_time"):
        return min(utc_ms(marked, "marked_as_done_time"), change.time_ms)
    return change.time_ms if change.op is Op.CREATE or change.was_other("done") else None


def _planned(data: Object, kind: str, source: Source) -> dict[str, object]:
    """Return when it is planned for. Without an hour a follow-up has all day, the rest begins it."""
    if "due_date" not in data:
        return {}
    field = "due_at" if kind == "follow_up" else "scheduled_at"
    day = text_at(data, "due_date")
    if not day:
        return {field: None}
    if hour := _typed_at(data, "due_time"):
        moment = f"{day_of(day, 'due_date', UTC)}T{hour}"
        return {field: when(time_ms_of(moment, "due_time", _zone_at(data)))}
    first = day_of(day, "due_date", source.zone)
    try:
        until = first + timedelta(days=1) if kind == "follow_up" else first
    except OverflowError:
        raise Unreadable(Reason.BAD_TIME, "due_date is no day of this age") from None
    return {field: when(time_ms_of(f"{until}T00:00", "due_date", source.zone))}


def _zone_at(data: Object) -> ZoneInfo:
    """Return the zone of a due time: UTC, unless it names one."""
    value = data.get("due_time")
    name = text_at(value, "timezone_id") if isinstance(value, dict) else ""
    try:
        return ZoneInfo(name) if name else UTC
    except (KeyError, ValueError, OSError):
        raise Unreadable(Reason.BAD_TIME, "due_time.timezone_id is no zone that is known") from None


def _seconds(text: str) -> float | None:
    """Read "hours:minutes", with or without seconds."""
    if not text:
        return None
    found = re.fullmatch(r"(\d{1,4}):(\d\d)(?::(\d\d))?", text, re.ASCII)
    if found is None:
        raise Unreadable(Reason.WRONG_TYPE, "duration is not of the form hours:minutes")
    return float(int(found[1]) * 3600 + int(found[2]) * 60 + int(found[3] or 0))


READERS: Final[Mapping[EntityKind, Callable[[Change, Source], list[Outcome]]]] = {
    EntityKind.DEAL: _deal,
    EntityKind.LEAD: _lead,
    EntityKind.ACCOUNT: _account,
    EntityKind.ACTIVITY: _activity,
}
