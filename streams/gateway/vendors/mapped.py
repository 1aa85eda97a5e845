"""Senders whose bodies only need a column map: how each shows who it is, in; events by its shipped map, out.

Aircall shows a token in the body, Close and Delighted sign it, a Freshsales workflow shows a header. Pure.
"""

from typing import Final

from streams.gateway.json_rows import outcomes_of
from streams.gateway.model import (
    Delivery,
    Malformed,
    Outcome,
    Refusal,
    RefusalReason,
    Source,
    Vendor,
    Verified,
)
from streams.gateway.reading import json_of, when
from streams.gateway.signing import fresh, hmac_sha256, same, signed_by, whole_number
from streams.gateway.vendors import generic


def normalise(delivery: Delivery, source: Source) -> list[Outcome]:
    return outcomes_of(json_of(delivery), {"@received": when(delivery.received_ms)}, source)


def aircall_verify(delivery: Delivery, source: Source) -> Verified | Refusal:
    """Aircall signs nothing: its token stands in the body, which must be read for it."""
    try:
        body = json_of(delivery)
    except Malformed as error:
        return Refusal(RefusalReason.MISSING, str(error))
    shown = body.get("token") if isinstance(body, dict) else None
    if not isinstance(shown, str) or not shown:
        return Refusal(RefusalReason.MISSING, "the body carries no token")
    if same(shown, source.secrets):
        return Verified()
    return Refusal(RefusalReason.WRONG, "the token is that of another webhook")


def close_verify(delivery: Delivery, source: Source) -> Verified | Refusal:
    stamp, shown = delivery.header("close-sig-timestamp"), delivery.header("close-sig-hash").lower()
    seconds = whole_number(stamp)
    return (
        signed_by(
            shown,
            source.secrets,
            lambda secret: hmac_sha256(bytes.fromhex(secret), stamp, delivery.body).hex(),
        )
        or fresh(None if seconds is None else seconds * 1000, delivery.received_ms)
        or Verified(once=shown)
    )


def close_unfit_secret(secret: str) -> str:
    try:
        key = bytes.fromhex(secret)
    except ValueError:
        key = b""
    return "" if key else "is no signature_key of Close, which is written in hexadecimal digits"


def delighted_verify(delivery: Delivery, source: Source) -> Verified | Refusal:
    shown = delivery.header("x-delighted-webhook-signature").removeprefix("sha256=").lower()
    return (
        signed_by(shown, source.secrets, lambda secret: hmac_sha256(secret, delivery.body).hex())
        or Verified()
    )


AIRCALL: Final = Vendor(kind="aircall", verify=aircall_verify, normalise=normalise, ships_map=True)
CLOSE: Final = Vendor(
    kind="close",
    verify=close_verify,
    normalise=normalise,
    unfit_secret=close_unfit_secret,
    ships_map=True,
)
DELIGHTED: Final = Vendor(kind="delighted", verify=delighted_verify, normalise=normalise, ships_map=True)
FRESHSALES: Final = Vendor(
    kind="freshsales",
    verify=generic.verify,
    normalise=generic.normalise,
    unsupported=generic.unsupported,
    options=generic.VENDOR.options,
    ships_map=True,
)
