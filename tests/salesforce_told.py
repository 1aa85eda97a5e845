"""Salesforce's change events and messages for tests: what is said in, payloads and their outcomes out."""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from streams.gateway.model import Canonical, Delivery, Outcome, Source
from streams.gateway.vendors import VENDORS

VENDOR = VENDORS["salesforce"]
AT_MS = 1_741_171_512_000  # 2025-03-05T10:45:12Z
DEAL, LEAD, OWNER = "0068d00000LmNo1AAF", "00Q8d00000Xy12aEAB", "0058d000003kLm2AAE"
ORGANISATION = "00D8d000004tQrZEAU"


def source(**told: Any) -> Source:
    known = {
        "name": "salesforce",
        "zone": ZoneInfo("UTC"),
        "secrets": (ORGANISATION,),
        "stage_status": VENDOR.stage_status,
        "activity_kinds": VENDOR.activity_kinds,
        "lead_steps": VENDOR.lead_steps,
    }
    options = {**VENDOR.options, **told.pop("options", {})}
    return Source(kind="salesforce", **{**known, **told}, options=options)


def change(
    entity: str,
    kind: str = "UPDATE",
    *,
    ids: Sequence[str] = (DEAL,),
    header: Mapping[str, Any] = {},
    **values: Any,
) -> dict[str, Any]:
    """A change event, bare; an update says that it changed all its values."""
    return {
        "ChangeEventHeader": {
            "entityName": entity,
            "recordIds": list(ids),
            "changeType": kind,
            "changedFields": list(values) if kind == "UPDATE" else [],
            "transactionKey": "00031f44-7c1e-5a02",
            "sequenceNumber": 1,
            "commitTimestamp": AT_MS,
            "commitNumber": 1_741_171_512_420_098_049,
            **header,
        },
        **values,
    }


def read(body: object, **told: Any) -> list[Outcome]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    delivery = Delivery("", "", {}, "application/json", raw, AT_MS + 5000)
    return list(VENDOR.normalise(delivery, source(**told)))


def only(outcomes: Sequence[Outcome]) -> Canonical:
    (found,) = outcomes
    assert isinstance(found, Canonical), found
    return found
