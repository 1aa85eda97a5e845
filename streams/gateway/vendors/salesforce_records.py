"""What a change, a message or a record says of one Salesforce record in, the events it means out. Pure."""

from dataclasses import replace
from typing import Final

from streams.events import EntityKind
from streams.gateway.model import Canonical, Form, Outcome, Skipped, SkipReason, Source
from streams.gateway.reading import text_from, when
from streams.gateway.vendors.salesforce_activities import activity
from streams.gateway.vendors.salesforce_fields import Change, day_at, day_starts_ms, fields_of
from streams.gateway.vendors.salesforce_ids import long_id

_ACTIONS: Final = {"create": "created", "restore": "restored"}


def outcomes_of(change: Change, source: Source) -> list[Outcome]:
    """Return the events of a record that was created, changed, deleted or brought back."""
    if change.kind is EntityKind.ACTIVITY:
        return activity(change, source)
    if change.op == "delete":
        return [change.event("deleted", {}, form=Form.DELETE)]
    if change.kind is EntityKind.DEAL:
        return _deal(change, source)
    if change.kind is EntityKind.LEAD:
        return _lead(change, source)
    if change.op == "restore":
        return [Skipped(SkipReason.OPERATION)]  # the contract has no restored accounts
    return _told(change.event("updated", fields_of(change, source)))


def without_values(change: Change) -> list[Outcome]:
    """Return what can be told of a record of which only the kind of change is known."""
    if change.kind in (EntityKind.DEAL, EntityKind.LEAD) and change.op in _ACTIONS:
        mark = change.event(_ACTIONS[change.op], {}, "mark", form=Form.MARK)
        return [change.thin(change.op, mark=mark)]
    return [change.thin(change.op)]


def _told(event: Canonical) -> list[Outcome]:
    """A change of nothing that the contract knows is no event, unless the change itself is one."""
    if not event.data and event.type.endswith(".updated"):
        return [Skipped(SkipReason.PROPERTY)]
    return [event]


# --- deals ----------------------------------------------------------------------------------------


def _deal(change: Change, source: Source) -> list[Outcome]:
    data = fields_of(change, source)
    status = _status(change, source)
    closes = change.day("CloseDate", source)
    changed_on = day_at(change.time_ms, source)
    if change.whole:
        if "amount" in data and data.get("currency") is None and source.currency is not None:
            data["currency"] = source.currency
        if status in ("won", "lost"):
            # A day, and not the time of the change: that moves with every later change of the record.
            on_its_day = closes is not None and closes <= changed_on
            at_ms = day_starts_ms(closes, source) if closes is not None and on_its_day else change.time_ms
            data["closed_at"] = when(at_ms)
    elif closes is not None and closes < changed_on:
        data["closed_at"] = when(day_starts_ms(closes, source))
    if not change.whole and status in ("won", "lost"):
        return [change.event(status, data)]
    if status:
        data["status"] = status
    return _told(change.event(_ACTIONS.get(change.op, "updated"), data))


def _status(change: Change, source: Source) -> str:
    """Salesforce's own flags say it for any stage; a change names only those of them that it changed."""
    won, closed = change.flag("IsWon"), change.flag("IsClosed")
    if won:
        return "won"
    if closed is False:
        return "open"
    if (closed and won is False) or (not change.whole and (closed or won is False)):
        return "lost"
    return source.stage_status.get(text_from(change.values.get("StageName"), "StageName"), "")


# --- leads ----------------------------------------------------------------------------------------


def _lead(change: Change, source: Source) -> list[Outcome]:
    """A conversion also tells the deal which lead it came from."""
    data = fields_of(change, source)
    step = source.lead_steps.get(text_from(change.values.get("Status"), "Status"), "")
    if change.flag("IsConverted"):
        step = "converted"
    outcomes: list[Outcome] = []
    if change.op in _ACTIONS:
        outcomes.append(change.event(_ACTIONS[change.op], data))
        if step:
            outcomes.append(change.event(step, {}, "step"))
    elif (converted_ms := _converted_ms(change, source)) is not None:
        outcomes += _told(change.event("updated", data))
        outcomes.append(replace(change, time_ms=converted_ms).event("converted", {}, "step", form=Form.PATCH))
    else:
        outcomes += _told(change.event(step or "updated", data))
    if change.has("ConvertedOpportunityId"):
        outcomes.append(_link(change))
    return outcomes


def _converted_ms(change: Change, source: Source) -> int | None:
    """Return when a lead that is told whole was converted: on its day, as early as can be, so that the exact
    time wins wherever it was told; not before there was the lead."""
    day = change.day("ConvertedDate", source)
    if not change.whole or not change.flag("IsConverted") or day is None:
        return None
    created_ms = change.moment("CreatedDate", source) or 0
    return min(max(day_starts_ms(day, source), created_ms), change.time_ms)


def _link(change: Change) -> Canonical:
    deal_id = long_id(text_from(change.values["ConvertedOpportunityId"], "ConvertedOpportunityId"))
    return Canonical(
        "sales.deal.updated",
        deal_id,
        change.time_ms,
        {"lead_id": change.entity_id},
        (*change.dedup, "link"),
        Form.LINK,
        order=change.order,
    )
