"""Ids of HubSpot records in, the requests that read them out: batches of 100, then what they belong to. Pure.

Only the properties that `vendors.hubspot_records` reads are asked for: no names, notes or numbers of people.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from streams.gateway.fetchers.model import Batch, Call, Fetcher, Limit, Read
from streams.gateway.model import Source
from streams.gateway.reading import Object, as_object, id_at, list_at, text_at
from streams.gateway.vendors.hubspot_fields import ACTIVITY_PROPERTIES

_PLURALS: Final = {
    "deal": "deals",
    "contact": "contacts",
    "lead": "leads",
    "company": "companies",
    "call": "calls",
    "email": "emails",
    "meeting": "meetings",
    "task": "tasks",
    "goal_target": "goal_targets",
    "feedback_submission": "feedback_submissions",
}
_COMMON: Final = ("hs_lastmodifieddate", "hubspot_owner_id")
_LEAD: Final = ("hs_analytics_source", "associatedcompanyid", "createdate", "hs_createdate")
_PROPERTIES: Final[Mapping[str, Sequence[str]]] = {
    "deal": (
        "amount", "deal_currency_code", "hs_deal_stage_probability", "pipeline", "dealstage", "closedate",
        "createdate", "hs_analytics_source", "hs_is_closed", "hs_is_closed_won", "hs_is_closed_lost",
    ),
    "contact": ("lastmodifieddate", *_LEAD),
    "lead": _LEAD,
    "company": ("hs_lifecyclestage_customer_date",),
    "goal_target": ("hs_start_datetime", "hs_end_datetime", "hs_target_amount"),
    "feedback_submission": ("hs_survey_type", "hs_value", "hs_submission_timestamp"),
}  # fmt: skip
_ASSOCIATED: Final[Mapping[str, Sequence[str]]] = {
    "deal": ("companies", "contacts"),
    "lead": ("companies",),
    "feedback_submission": ("companies",),
    **dict.fromkeys(("call", "email", "meeting", "task"), ("deals", "contacts", "companies")),
}
"""Kinds of other records of which one is a field of this one. A contact's company is a property of it."""


def read(batch: Batch, source: Source) -> Read:
    """Read the records, with what they are associated with as `GET …?associations=` would give it. Those that
    are gone are looked for among the archived ones."""
    records: dict[str, dict[str, object]] = {}
    for archived in (True,) if batch.deleted else (False, True):
        missing = [one for one in batch.ids if one not in records]
        if not missing:
            break
        body = {"properties": _properties(batch.object, source), "inputs": [{"id": one} for one in missing]}
        path = f"/crm/v3/objects/{_PLURALS[batch.object]}/batch/read?archived={str(archived).lower()}"
        reply = yield Call("POST", path, body)
        for record in _results(reply.body):
            records[id_at(record, "id")] = dict(record)
    for other in _ASSOCIATED.get(batch.object, ()):
        if not records or (other == "contacts" and source.options["lead_object"] != "contact"):
            continue
        path = f"/crm/v4/associations/{_PLURALS[batch.object]}/{other}/batch/read"
        reply = yield Call("POST", path, {"inputs": [{"id": one} for one in records]})
        linked = _linked(reply.body)
        for one, record in records.items():
            if one in linked or record.get("archived") is not True:
                associations = record.setdefault("associations", {})
                assert isinstance(associations, dict)
                associations[other] = {"results": linked.get(one, [])}
    return records


def _properties(name: str, source: Source) -> list[str]:
    properties = [*_COMMON, *_PROPERTIES.get(name, ())]
    if name in ("call", "email", "meeting", "task"):
        others = ("hs_call_", "hs_email_", "hs_meeting_", "hs_task_")
        foreign = tuple(prefix for prefix in others if prefix != f"hs_{name}_")
        properties += sorted(one for one in ACTIVITY_PROPERTIES if not one.startswith(foreign))
    if name in ("contact", "lead"):
        properties += [f"hs_lifecyclestage_{stage}_date" for stage in source.lead_steps]
    return list(dict.fromkeys(properties))


def _results(body: object) -> list[Object]:
    """Return what was found; a batch of which a part was not found lists that beside it."""
    results = list_at(as_object(body, "the answer"), "results")
    return [as_object(result, "a result") for result in results]


def _linked(body: object) -> dict[str, list[dict[str, str]]]:
    """Return the associated ids of each record, the primary one first."""
    linked: dict[str, list[dict[str, str]]] = {}
    for result in _results(body):
        ends = [as_object(end, "to") for end in list_at(result, "to")]
        ends.sort(key=lambda end: not _is_primary(end))
        found = [{"id": id_at(end, "toObjectId")} for end in ends]
        linked[id_at(as_object(result.get("from"), "from"), "id")] = found
    return linked


def _is_primary(end: Object) -> bool:
    kinds = (as_object(kind, "associationTypes") for kind in list_at(end, "associationTypes"))
    return any(text_at(kind, "label").startswith("Primary") for kind in kinds)


FETCHER: Final = Fetcher(
    read=read,
    batch_max=100,
    # Of the smallest plan; other private apps of the account have limits of their own.
    limit=Limit(requests=100, seconds=10.0),
    base_url="https://api.hubapi.com",
    reads_deleted=True,
)
