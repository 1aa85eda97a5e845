"""HubSpot's property names and values in, fields of the contract out. For notifications and records; pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from streams.events import EntityKind
from streams.gateway.model import Source
from streams.gateway.reading import day_of, decimal_of, flag_of, time_ms_of, when

REDACTED: Final = "REDACTED"
"""What HubSpot puts in place of a sensitive value."""

OBJECT_OF_TYPE_ID: Final = {
    "0-1": "contact",
    "0-2": "company",
    "0-3": "deal",
    "0-19": "feedback_submission",
    "0-27": "task",
    "0-47": "meeting",
    "0-48": "call",
    "0-49": "email",
    "0-74": "goal_target",
    "0-136": "lead",
}
_KINDS: Final = {
    "deal": EntityKind.DEAL,
    "contact": EntityKind.LEAD,
    "lead": EntityKind.LEAD,
    "company": EntityKind.ACCOUNT,
    "call": EntityKind.ACTIVITY,
    "email": EntityKind.ACTIVITY,
    "meeting": EntityKind.ACTIVITY,
    "task": EntityKind.ACTIVITY,
    "goal_target": EntityKind.REFERENCE,
    "feedback_submission": EntityKind.FEEDBACK,
}
ACTIVITY_PROPERTIES: Final = frozenset(
    {
        "hs_timestamp", "hubspot_owner_id", "hs_activity_type",
        "hs_call_duration", "hs_call_direction", "hs_call_status", "hs_call_disposition",
        "hs_email_direction", "hs_email_status",
        "hs_meeting_start_time", "hs_meeting_end_time", "hs_meeting_outcome",
        "hs_task_status", "hs_task_completion_date", "hs_task_type",
    }
)  # fmt: skip
"""Changes of these properties of an activity are worth a fetch."""


@dataclass(frozen=True, slots=True)
class Patch:
    action: str
    data: Mapping[str, object]


def kind_of(name: str, source: Source) -> EntityKind | None:
    """Return what an object is in the contract. Leads are contacts or, where the settings say so, HubSpot's
    own leads: never both, for their ids are of different kinds."""
    if name in ("contact", "lead") and name != source.options["lead_object"]:
        return None
    return _KINDS.get(name)


def patch_of(kind: EntityKind, name: str, value: str, time_ms: int, source: Source) -> Patch | None:
    """Return what one property's new value means; None for a property that is not in the contract."""
    if name == "hubspot_owner_id":
        return Patch("updated", {"rep_id": source.rep(value) if value else None})
    if kind is EntityKind.DEAL:
        return _deal_patch(name, value, time_ms, source)
    if kind is EntityKind.LEAD:
        return _lead_patch(name, value, source)
    return None


def _deal_patch(name: str, value: str, time_ms: int, source: Source) -> Patch | None:
    if name == "dealstage":
        return _stage_patch(value, source)
    if name in ("hs_is_closed", "hs_is_closed_won", "hs_is_closed_lost"):
        return _closed_patch(name, value)
    if name == "closedate":
        return _close_date_patch(value, time_ms, source)
    fields = deal_fields({name: value}, source)
    return Patch("updated", fields) if fields else None


def _stage_patch(stage: str, source: Source) -> Patch:
    data: dict[str, object] = {"stage": source.stage(stage) if stage else None}
    status = source.stage_status.get(stage)
    if status in ("won", "lost"):
        return Patch(status, data)
    return Patch("updated", data if status is None else {**data, "status": status})


def _closed_patch(name: str, value: str) -> Patch | None:
    closed = flag_of(value, name) if value else False
    if closed and name != "hs_is_closed":
        return Patch("won" if name == "hs_is_closed_won" else "lost", {})
    if not closed and name == "hs_is_closed":
        return Patch("updated", {"status": "open"})
    return None  # "closed" alone does not say how, "not won" not what else


def _close_date_patch(value: str, time_ms: int, source: Source) -> Patch:
    """The one close date is when an open deal should close and when a closed one did. As the latter it
    counts only where the deal is closed, so a past one may be said of any deal."""
    if not value:
        return Patch("updated", {"expected_close_on": None})
    closes_ms = time_ms_of(value, "closedate", source.zone)
    data: dict[str, object] = {"expected_close_on": day_of(value, "closedate", source.zone)}
    if closes_ms <= time_ms:
        data["closed_at"] = when(closes_ms)
    return Patch("updated", data)


def deal_fields(properties: Mapping[str, str], source: Source) -> dict[str, object]:
    """Read the properties that are fields by themselves; "" clears a field."""
    data: dict[str, object] = {}
    for name, value in properties.items():
        if name == "amount":
            data["amount"] = decimal_of(value, name) if value else None
        elif name == "deal_currency_code":
            data["currency"] = value.upper() or None
        elif name == "hs_deal_stage_probability":
            data["probability"] = float(decimal_of(value, name)) if value else None
        elif name == "pipeline":
            data["pipeline"] = source.pipeline(value) if value else None
        elif name == "hs_analytics_source":
            data["source"] = value or None
        elif name == "createdate":
            data["created_at"] = when(time_ms_of(value, name, source.zone)) if value else None
        elif name == "hubspot_owner_id":
            data["rep_id"] = source.rep(value) if value else None
    return data


_STEP_PROPERTIES: Final = ("lifecyclestage", "hs_lead_status", "hs_pipeline_stage")


def _lead_patch(name: str, value: str, source: Source) -> Patch | None:
    if name in _STEP_PROPERTIES:
        return Patch(source.lead_steps.get(value, "updated"), {})
    fields = lead_fields({name: value}, source)
    return Patch("updated", fields) if fields else None


def lead_fields(properties: Mapping[str, str], source: Source) -> dict[str, object]:
    """Read the properties of a contact or lead that are fields by themselves; "" clears a field."""
    data: dict[str, object] = {}
    for name, value in properties.items():
        if name == "hs_analytics_source":
            data["source"] = value or None
        elif name == "associatedcompanyid":
            data["account_id"] = value or None
        elif name in ("createdate", "hs_createdate"):
            data["created_at"] = when(time_ms_of(value, name, source.zone)) if value else None
        elif name == "hubspot_owner_id":
            data["rep_id"] = source.rep(value) if value else None
    return data
