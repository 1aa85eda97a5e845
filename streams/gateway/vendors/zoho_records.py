"""A Zoho record, read back by id, in; the snapshot events it means out. Pure.

The event's time is that of the record's last change. A field that was not asked for stays as it is.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from streams.events import EntityKind, Reason
from streams.gateway.model import Canonical, Form, Outcome, Skipped, SkipReason, Source, Unreadable
from streams.gateway.reading import Object, as_object, flag_of, id_at, text_at, text_from, time_ms_of, when
from streams.gateway.vendors.zoho_fields import (
    deal_fields,
    kind_of,
    lead_fields,
    owner_of,
    reference_at,
    zoho_day,
    zoho_time_ms,
)


@dataclass(frozen=True, slots=True)
class _Record:
    module: str
    kind: EntityKind
    entity_id: str
    time_ms: int
    values: Object

    def event(
        self, action: str, data: Mapping[str, object], *dedup: str, time_ms: int | None = None
    ) -> Canonical:
        at_ms = self.time_ms if time_ms is None else time_ms
        parts = (self.module, self.entity_id, str(at_ms), "record", *dedup)
        return Canonical(f"sales.{self.kind}.{action}", self.entity_id, at_ms, data, parts, Form.SNAPSHOT)

    def time(self, name: str, source: Source) -> int | None:
        text = text_at(self.values, name)
        return zoho_time_ms(text, name, source) if text else None


def record(name: str, body: object, source: Source) -> list[Outcome]:
    """Read what `GET /crm/v8/<module>/<id>` answers: records under `data`, or one by itself. Raises
    `Unreadable`."""
    answer = as_object(body, "the answer")
    items = answer.get("data", [answer])
    if not isinstance(items, list):
        raise Unreadable(Reason.WRONG_TYPE, "data is not a list")
    kind = kind_of(name, source)
    if kind is None:
        return [Skipped(SkipReason.OBJECT)]
    if kind is EntityKind.ACTIVITY and not source.activity_kinds.get(name):
        return [Skipped(SkipReason.NOT_WANTED)]
    outcomes: list[Outcome] = []
    for item in items:
        values = as_object(item, "the record")
        changed = text_at(values, "Modified_Time")
        time_ms = zoho_time_ms(changed, "Modified_Time", source)
        found = _Record(name, kind, id_at(values, "id"), time_ms, values)
        outcomes += _READERS[name](found, source)
    return outcomes


def _deal(found: _Record, source: Source) -> list[Outcome]:
    data = deal_fields(found.values, source)
    if "Currency" not in found.values and "Amount" in found.values and source.currency:
        data["currency"] = source.currency
    status = source.stage_status.get(text_at(found.values, "Stage"))
    if status is not None:
        data["status"] = status
    if status in ("won", "lost"):
        data["closed_at"] = when(_closed_ms(found, source))
    return [found.event("updated", data)]


def _closed_ms(found: _Record, source: Source) -> int:
    """Return when a closed deal closed: since when it is in its stage, else its closing day if that is not in
    the future, else when it was last changed."""
    closed_ms = found.time("Stage_Modified_Time", source)
    if closed_ms is None and (day := text_at(found.values, "Closing_Date")):
        closed_ms = time_ms_of(f"{zoho_day(day, 'Closing_Date', source)}T00:00", "Closing_Date", source.zone)
    return found.time_ms if closed_ms is None else min(closed_ms, found.time_ms)


def _lead(found: _Record, source: Source) -> list[Outcome]:
    data = lead_fields(found.values, source)
    outcomes: list[Outcome] = [found.event("updated", data)]
    said = found.values.get("Converted__s", found.values.get("$converted"))
    if said is not None and flag_of(said, "Converted__s"):
        deal = reference_at(found.values, "Converted_Deal")
        converted_ms = found.time("Converted_Date_Time", source)
        more = {"deal_id": deal} if deal else {}
        outcomes.append(found.event("converted", more, "step", time_ms=converted_ms))
    elif step := source.lead_steps.get(text_at(found.values, "Lead_Status")):
        outcomes.append(found.event(step, {}, "step"))
    return outcomes


def _account(found: _Record, source: Source) -> list[Outcome]:
    return [found.event("updated", owner_of(found.values, source))]


# --- activities -----------------------------------------------------------------------------------

_NOT_DONE: Final = ("Scheduled", "Overdue", "Cancelled")


def _whose(found: _Record, source: Source) -> dict[str, object]:
    """Return the fields of an activity that say whom it concerns."""
    data: dict[str, object] = {"kind": source.activity_kinds[found.module], **owner_of(found.values, source)}
    fields = {"Deals": "deal_id", "Accounts": "account_id"}
    if source.options["lead_object"] == "Leads":
        fields["Leads"] = "lead_id"
    elif who := reference_at(found.values, "Who_Id"):
        data["lead_id"] = who
    about = fields.get(text_at(found.values, "$se_module"))
    what = reference_at(found.values, "What_Id")
    if about and what:
        data[about] = what
    return data


def _call(found: _Record, source: Source) -> list[Outcome]:
    data = _whose(found, source)
    values = found.values
    starts_ms = found.time("Call_Start_Time", source)
    seconds = _seconds(text_at(values, "Call_Duration"))
    status = text_at(values, "Outgoing_Call_Status") or text_at(values, "Call_Status")
    outcome = "no_answer" if text_at(values, "Call_Type") == "Missed" else text_at(values, "Call_Result")
    if outcome:
        data["outcome"] = outcome
    if starts_ms is not None:
        data["scheduled_at"] = when(starts_ms)
    if status in _NOT_DONE:
        return [found.event("updated", data)]
    if seconds is not None:
        data["duration_seconds"] = seconds
    ends_ms = None if starts_ms is None else starts_ms + int(1000 * (seconds or 0))
    return [_done(found, data, ends_ms)]


def _meeting(found: _Record, source: Source) -> list[Outcome]:
    """Zoho says of no meeting whether it was held: one that was changed after its end counts as held."""
    data = _whose(found, source)
    starts_ms, ends_ms = found.time("Start_DateTime", source), found.time("End_DateTime", source)
    outcomes: list[Outcome] = []
    if starts_ms is not None:
        data["scheduled_at"] = when(starts_ms)
        booked_ms = found.time("Created_Time", source)
        if booked_ms is not None and booked_ms < starts_ms:
            outcomes.append(found.event("scheduled", dict(data), "booked", time_ms=booked_ms))
        if ends_ms is not None and ends_ms >= starts_ms:
            data["duration_seconds"] = (ends_ms - starts_ms) / 1000
    if ends_ms is None or ends_ms > found.time_ms:
        return [*outcomes, found.event("updated", data)]
    return [*outcomes, _done(found, data, ends_ms)]


def _task(found: _Record, source: Source) -> list[Outcome]:
    """A task has all of its day."""
    data = _whose(found, source)
    if due := text_at(found.values, "Due_Date"):
        try:
            until = zoho_day(due, "Due_Date", source) + timedelta(days=1)
        except OverflowError:
            raise Unreadable(Reason.BAD_TIME, "Due_Date is no day of this age") from None
        data["due_at"] = when(time_ms_of(f"{until}T00:00", "Due_Date", source.zone))
    if text_from(found.values.get("Status"), "Status") != "Completed":
        return [found.event("updated", data)]
    return [_done(found, data, found.time("Closed_Time", source))]


def _done(found: _Record, data: Mapping[str, object], done_ms: int | None) -> Outcome:
    """What is over cannot have been done after the record was last changed, whatever the calendar says."""
    done_ms = found.time_ms if done_ms is None else min(done_ms, found.time_ms)
    return found.event("completed", {**data, "completed_at": when(done_ms)})


def _seconds(text: str) -> float | None:
    """Read "minutes:seconds", or "hours:minutes:seconds"."""
    if not text:
        return None
    found = re.fullmatch(r"(?:(\d{1,3}):)?(\d{1,4}):(\d\d)", text, re.ASCII)
    if found is None:
        raise Unreadable(Reason.WRONG_TYPE, "Call_Duration is not of the form minutes:seconds")
    return float(int(found[1] or 0) * 3600 + int(found[2]) * 60 + int(found[3]))


_READERS: Final[Mapping[str, Callable[[_Record, Source], list[Outcome]]]] = {
    "Deals": _deal,
    "Leads": _lead,
    "Contacts": _lead,
    "Accounts": _account,
    "Calls": _call,
    "Events": _meeting,
    "Tasks": _task,
}
