"""CloudEvents of the contract over HTTP in, as they came out: single, in a batch, or in binary mode. Pure.

The sender knows the contract, so it is told of every wrong event and nothing is taken by halves.
"""

import re
from typing import Final
from urllib.parse import unquote

import msgspec

from streams.events import Reason
from streams.gateway.model import (
    Answer,
    AsIs,
    Delivery,
    Malformed,
    Outcome,
    Refusal,
    RefusalReason,
    Source,
    Taken,
    Unusable,
    Vendor,
    Verified,
)
from streams.gateway.signing import bearer, same

SINGLE, BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"
_ATTRIBUTE: Final = re.compile(r"ce-([a-z0-9]{1,40})")

_decode_batch = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_any = msgspec.json.Decoder().decode


def verify(delivery: Delivery, source: Source) -> Verified | Refusal:
    shown = bearer(delivery.header("authorization"))
    if same(shown, source.secrets):
        return Verified()
    return Refusal(
        RefusalReason.WRONG if shown else RefusalReason.MISSING,
        "send Authorization: Bearer TOKEN with the token that the gateway was started with",
    )


def unsupported(delivery: Delivery) -> str:
    if delivery.content_type in (SINGLE, BATCH) or _is_binary(delivery):
        return ""
    return f"send Content-Type: {SINGLE} or {BATCH}, or JSON data with the event's attributes in ce- headers"


def normalise(delivery: Delivery, source: Source) -> list[Outcome]:
    if delivery.content_type == BATCH:
        try:
            return [AsIs(bytes(raw)) for raw in _decode_batch(delivery.body)]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Malformed(f"the body is no JSON array of events: {error}") from None
    if delivery.content_type == SINGLE:
        return [AsIs(delivery.body)]
    return [_from_binary(delivery)]


def _is_binary(delivery: Delivery) -> bool:
    is_json = delivery.content_type == "application/json" or delivery.content_type.endswith("+json")
    return is_json and "ce-specversion" in delivery.headers


def _from_binary(delivery: Delivery) -> Outcome:
    """Put attributes and data together, as structured mode has them."""
    event: dict[str, object] = {
        match[1]: unquote(value)
        for name, value in delivery.headers.items()
        if (match := _ATTRIBUTE.fullmatch(name)) is not None
    }
    if delivery.body:
        try:
            _decode_any(delivery.body)  # bytes that are no whole JSON value must not become part of one
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return Unusable(Reason.MALFORMED, str(error)[:200])
        event["data"] = msgspec.Raw(delivery.body)
    return AsIs(msgspec.json.encode(event))


def acknowledge(taken: Taken) -> Answer:
    return Answer(202, body=msgspec.json.encode({"accepted": taken.accepted}))


VENDOR: Final = Vendor(
    kind="cloudevents",
    verify=verify,
    normalise=normalise,
    unsupported=unsupported,
    acknowledge=acknowledge,
    answer_seconds=12.0,
    strict=True,
)
