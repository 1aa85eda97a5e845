"""Zoho's field names and values in, fields of the contract out. For notifications and records; pure.

Numbers and days are read in the one form that Zoho's API has. A text in the form of somebody's screen, such
as 12,500.00 or 12/11/2025, is never guessed at.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from streams.events import EntityKind, Reason
from streams.gateway.model import Source, Unreadable
from streams.gateway.reading import (
    Object,
    day_of,
    decimal_of,
    percent_of,
    text_at,
    text_from,
    time_ms_of,
    when,
)

_KINDS: Final[Mapping[str, EntityKind]] = {
    "Deals": EntityKind.DEAL,
    "Leads": EntityKind.LEAD,
    "Contacts": EntityKind.LEAD,
    "Accounts": EntityKind.ACCOUNT,
    "Calls": EntityKind.ACTIVITY,
    "Events": EntityKind.ACTIVITY,
    "Tasks": EntityKind.ACTIVITY,
}
_WHOSE: Final = frozenset({"Owner", "What_Id", "Who_Id"})
FIELDS: Final[Mapping[str, frozenset[str]]] = {
    "Deals": frozenset(
        {
            "Amount", "Currency", "Probability", "Stage", "Pipeline", "Closing_Date", "Lead_Source", "Owner",
            "Account_Name", "Contact_Name", "Created_Time",
        }
    ),
    "Leads": frozenset({"Lead_Status", "Lead_Source", "Owner", "Created_Time"}),
    "Contacts": frozenset({"Lead_Status", "Lead_Source", "Owner", "Created_Time", "Account_Name"}),
    "Accounts": frozenset({"Owner"}),
    "Calls": _WHOSE | {
        "Call_Start_Time", "Call_Duration", "Call_Type", "Call_Status", "Outgoing_Call_Status", "Call_Result",
    },
    "Events": _WHOSE | {"Start_DateTime", "End_DateTime"},
    "Tasks": _WHOSE | {"Due_Date", "Status", "Closed_Time"},
}  # fmt: skip
"""Fields that a number is made of, by module."""


@dataclass(frozen=True, slots=True)
class Patch:
    action: str
    data: Mapping[str, object]


def kind_of(module: str, source: Source) -> EntityKind | None:
    """Return what a module is in the contract. Leads are Zoho's Leads or, where the settings say so, its
    Contacts: never both, for their ids are of different kinds."""
    if module in ("Leads", "Contacts") and module != source.options["lead_object"]:
        return None
    return _KINDS.get(module)


def patch_of(module: str, values: Object, time_ms: int, source: Source) -> Patch:
    """Return what changed values mean; null clears a field, one that is not named stays."""
    if module == "Deals":
        data = deal_fields(values, source)
        status = source.stage_status.get(text_at(values, "Stage"))
        if status in ("won", "lost"):
            return Patch(status, data)
        return Patch("updated", data if status is None else {**data, "status": status})
    if module in ("Leads", "Contacts"):
        step = source.lead_steps.get(text_at(values, "Lead_Status"))
        return Patch(step or "updated", lead_fields(values, source))
    return Patch("updated", owner_of(values, source))


# --- single values --------------------------------------------------------------------------------


def reference_at(values: Object, name: str) -> str:
    """Return the id of another record, which comes as {name, id} or bare."""
    value = values.get(name)
    return text_at(value, "id") if isinstance(value, dict) else text_from(value, name)


def zoho_time_ms(text: str, name: str, source: Source) -> int:
    if not re.match(r"\d{4}-\d\d-\d\d[T ]\d\d:", text, re.ASCII):
        raise Unreadable(Reason.BAD_TIME, f"{name} is not of the form 2025-11-12T10:12:33+01:00")
    return time_ms_of(text, name, source.zone)


def zoho_day(text: str, name: str, source: Source) -> date:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
        raise Unreadable(Reason.BAD_TIME, f"{name} is not of the form 2025-11-12")
    return day_of(text, name, source.zone)


def owner_of(values: Object, source: Source) -> dict[str, object]:
    if "Owner" not in values:
        return {}
    owner = reference_at(values, "Owner")
    return {"rep_id": source.rep(owner) if owner else None}


def _created_of(values: Object, source: Source) -> dict[str, object]:
    created = text_at(values, "Created_Time")
    return {"created_at": when(zoho_time_ms(created, "Created_Time", source))} if created else {}


def _words(values: Object, names: Mapping[str, str]) -> dict[str, object]:
    return {field: text_at(values, name) or None for name, field in names.items() if name in values}


def deal_fields(values: Object, source: Source) -> dict[str, object]:
    """Read the fields of a deal, without what its stage means."""
    data = owner_of(values, source) | _created_of(values, source)
    data |= _words(values, {"Lead_Source": "source"})
    if "Amount" in values:
        data["amount"] = decimal_of(values["Amount"], "Amount") if text_at(values, "Amount") else None
    if "Currency" in values:
        data["currency"] = text_at(values, "Currency").upper() or None
    if "Probability" in values:
        likely = text_at(values, "Probability")
        data["probability"] = float(percent_of(likely, "Probability")) if likely else None
    if "Stage" in values:
        stage = text_at(values, "Stage")
        data["stage"] = source.stage(stage) if stage else None
    if "Pipeline" in values:
        pipeline = _label(values, "Pipeline")
        data["pipeline"] = source.pipeline(pipeline) if pipeline else None
    if "Closing_Date" in values:
        closes = text_at(values, "Closing_Date")
        data["expected_close_on"] = zoho_day(closes, "Closing_Date", source) if closes else None
    if "Account_Name" in values:
        data["account_id"] = reference_at(values, "Account_Name") or None
    if "Contact_Name" in values and source.options["lead_object"] == "Contacts":
        data["lead_id"] = reference_at(values, "Contact_Name") or None
    return data


def _label(values: Object, name: str) -> str:
    value = values.get(name)
    return (
        text_at(value, "name") or text_at(value, "id") if isinstance(value, dict) else text_at(values, name)
    )


def lead_fields(values: Object, source: Source) -> dict[str, object]:
    data = owner_of(values, source) | _created_of(values, source)
    data |= _words(values, {"Lead_Source": "source"})
    if "Account_Name" in values:
        data["account_id"] = reference_at(values, "Account_Name") or None
    return data
