"""A HubSpot record, read back by id or sent by a workflow, in; the snapshot events it means out. Pure.

A record is given whole: its properties are texts, "" or null means empty, and one that was not asked for is
absent and stays as it is. The event's time is that of the record's last change.
"""

from collections.abc import Callable, Mapping
from typing import Final

from streams.events import EntityKind, Reason
from streams.gateway.model import Canonical, Form, Outcome, Skipped, SkipReason, Source, Unreadable
from streams.gateway.reading import (
    Object,
    as_object,
    day_of,
    decimal_of,
    flag_of,
    id_at,
    list_at,
    object_at,
    text_at,
    text_from,
    time_ms_of,
    when,
)
from streams.gateway.vendors.hubspot_activities import activity_events
from streams.gateway.vendors.hubspot_fields import (
    OBJECT_OF_TYPE_ID,
    REDACTED,
    deal_fields,
    kind_of,
    lead_fields,
)
from streams.gateway.vendors.hubspot_record import HubSpotRecord

_MODIFIED: Final = ("hs_lastmodifieddate", "lastmodifieddate")


def record(name: str, body: object, source: Source) -> list[Outcome]:
    """Read what `GET /crm/v3/objects/<name>/<id>` answers. Raises `Unreadable`."""
    item = as_object(body, "the record")
    kind = kind_of(name, source)
    if kind is None:
        return [Skipped(SkipReason.OBJECT)]
    properties = {
        key: text_from(value, key)
        for key, value in object_at(item, "properties").items()
        if value != REDACTED
    }
    changed = next((properties[key] for key in _MODIFIED if properties.get(key)), text_at(item, "updatedAt"))
    found = HubSpotRecord(
        name,
        kind,
        id_at(item, "id"),
        time_ms_of(changed, "hs_lastmodifieddate", source.zone),
        properties,
        _associated(item),
        text_at(item, "createdAt"),
        text_at(item, "portalId"),
    )
    if item.get("archived") is True:
        return _archived(found, item, source)
    return _READERS[kind](found, source)


def sent_by_workflow(item: Object, source: Source, received_ms: int) -> list[Outcome]:
    """Read the record that a workflow's webhook action sends: its values may come with their own times."""
    if source.account and text_at(item, "portalId") != source.account:
        return [Skipped(SkipReason.ACCOUNT)]
    name, entity_id = _what(item)
    if not name:
        return [Skipped(SkipReason.OBJECT)]
    properties: dict[str, object] = {}
    changed_ms: list[int] = []
    for key, value in object_at(item, "properties").items():
        properties[key] = value.get("value") if isinstance(value, dict) else value
        if isinstance(value, dict) and value.get("timestamp") is not None:
            changed_ms.append(time_ms_of(value["timestamp"], "timestamp", source.zone))
    time_ms = max(changed_ms, default=received_ms)
    told = {key: item[key] for key in ("associations", "createdAt", "archived", "portalId") if key in item}
    updated = text_at(item, "updatedAt") or when(time_ms)
    return record(name, {**told, "id": entity_id, "properties": properties, "updatedAt": updated}, source)


_IDS: Final = {"dealId": "deal", "vid": "contact", "companyId": "company"}


def _what(item: Object) -> tuple[str, str]:
    for key, name in _IDS.items():
        if text_at(item, key):
            return name, text_at(item, key)
    name = OBJECT_OF_TYPE_ID.get(text_at(item, "objectTypeId"), text_at(item, "objectType").lower())
    return name, id_at(item, "id" if text_at(item, "id") else "objectId") if name else ""


def _associated(item: Object) -> Mapping[str, str]:
    """Return the first associated record of each kind, plural name -> id; "" where the record is said to have
    none."""
    first: dict[str, str] = {}
    for name, found in object_at(item, "associations").items():
        results = list_at(as_object(found, name), "results")
        first[name] = id_at(as_object(results[0], name), "id") if results else ""
    return first


def _archived(found: HubSpotRecord, item: Object, source: Source) -> list[Outcome]:
    archived = text_at(item, "archivedAt")
    time_ms = time_ms_of(archived, "archivedAt", source.zone) if archived else found.time_ms
    if found.kind is EntityKind.REFERENCE:
        return [Skipped(SkipReason.OPERATION)]
    data = found.whose(source) if found.kind is EntityKind.ACTIVITY else {}
    return [found.event("deleted", Form.DELETE, data, time_ms=time_ms)]


# --- one reader for each kind ----------------------------------------------------------------------


def _deal(found: HubSpotRecord, source: Source) -> list[Outcome]:
    properties = found.properties
    data = deal_fields(properties, source)
    if data.get("currency") is None and source.currency is not None and "amount" in data:
        data["currency"] = source.currency
    if "dealstage" in properties:
        stage = properties["dealstage"]
        data["stage"] = source.stage(stage) if stage else None
    status = _status(properties, source)
    if status:
        data["status"] = status
    if closes := properties.get("closedate", ""):
        closes_ms = time_ms_of(closes, "closedate", source.zone)
        data["expected_close_on"] = day_of(closes, "closedate", source.zone)
        if status in ("won", "lost") and closes_ms <= found.time_ms:
            data["closed_at"] = when(closes_ms)
    elif "closedate" in properties:
        data["expected_close_on"] = None
    if "companies" in found.associated:
        data["account_id"] = found.associated["companies"] or None
    if "contacts" in found.associated and kind_of("contact", source) is not None:
        data["lead_id"] = found.associated["contacts"] or None
    return [found.event("updated", Form.SNAPSHOT, data)]


def _status(properties: Mapping[str, str], source: Source) -> str:
    said = {
        name: flag_of(properties[name], name)
        for name in ("hs_is_closed", "hs_is_closed_won", "hs_is_closed_lost")
        if properties.get(name)
    }
    if said.get("hs_is_closed_won"):
        return "won"
    if said.get("hs_is_closed_lost") or (said.get("hs_is_closed") and "hs_is_closed_won" in said):
        return "lost"
    if said.get("hs_is_closed") is False:
        return "open"
    return source.stage_status.get(properties.get("dealstage", ""), "")


def _lead(found: HubSpotRecord, source: Source) -> list[Outcome]:
    """Steps that the record tells the time of become events of that time, the rest is a snapshot."""
    data = lead_fields(found.properties, source)
    if "companies" in found.associated:
        data.setdefault("account_id", found.associated["companies"] or None)
    outcomes: list[Outcome] = [found.event("updated", Form.SNAPSHOT, data)]
    for stage, step in source.lead_steps.items():
        name = f"hs_lifecyclestage_{stage}_date"
        if entered := found.properties.get(name, ""):
            entered_ms = time_ms_of(entered, name, source.zone)
            outcomes.append(found.event(step, Form.PATCH, {}, "step", stage, time_ms=entered_ms))
    return outcomes


def _account(found: HubSpotRecord, source: Source) -> list[Outcome]:
    data: dict[str, object] = {}
    if (owner := found.properties.get("hubspot_owner_id")) is not None:
        data["rep_id"] = source.rep(owner) if owner else None
    name = "hs_lifecyclestage_customer_date"
    if since := found.properties.get(name, ""):
        data["active_from"] = when(time_ms_of(since, name, source.zone))
    return [found.event("updated", Form.SNAPSHOT, data)]


def _goal(found: HubSpotRecord, source: Source) -> list[Outcome]:
    """A goal becomes a target of the KPI that the source's option `goal_kpi` names."""
    properties = found.properties
    starts, ends = (properties.get(name, "") for name in ("hs_start_datetime", "hs_end_datetime"))
    if not starts or not ends:
        raise Unreadable(Reason.BAD_TIME, "hs_start_datetime or hs_end_datetime is missing")
    owner = properties.get("hubspot_owner_id", "")
    days = [day_of(time, "hs_start_datetime", source.zone).isoformat() for time in (starts, ends)]
    value = properties.get("hs_target_amount", "")
    data = {
        "kpi": source.options["goal_kpi"],
        "level": "rep" if owner else "floor",
        "key": source.rep(owner) if owner else "",
        "period": "/".join(days),
        "value": decimal_of(value, "hs_target_amount") if value else None,
        "currency": source.currency,
    }
    return [
        Canonical("sales.target.set", "", found.time_ms, data, found.dedup(), Form.SNAPSHOT, found.account)
    ]


def _feedback(found: HubSpotRecord, source: Source) -> list[Outcome]:
    """Of answers only those of NPS surveys have a scale that is documented."""
    properties = found.properties
    if properties.get("hs_survey_type", "").upper() != "NPS" or not properties.get("hs_value"):
        return [Skipped(SkipReason.NOT_WANTED)]
    data: dict[str, object] = {"kind": "nps", "score": float(decimal_of(properties["hs_value"], "hs_value"))}
    if "companies" in found.associated:
        data["account_id"] = found.associated["companies"] or None
    answered = properties.get("hs_submission_timestamp", "")
    time_ms = time_ms_of(answered, "hs_submission_timestamp", source.zone) if answered else found.time_ms
    return [found.event("received", Form.SNAPSHOT, data, time_ms=time_ms)]


_READERS: Final[Mapping[EntityKind, Callable[[HubSpotRecord, Source], list[Outcome]]]] = {
    EntityKind.DEAL: _deal,
    EntityKind.LEAD: _lead,
    EntityKind.ACCOUNT: _account,
    EntityKind.ACTIVITY: activity_events,
    EntityKind.REFERENCE: _goal,
    EntityKind.FEEDBACK: _feedback,
}
