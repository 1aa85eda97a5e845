"""Deliveries signed by the Standard Webhooks rules in, what the column map makes of them out. Pure."""

import base64
import binascii
from datetime import UTC, datetime
from typing import Final

from standardwebhooks.webhooks import Webhook

from streams.gateway.json_rows import outcomes_of
from streams.gateway.model import Delivery, Outcome, Refusal, RefusalReason, Source, Vendor, Verified
from streams.gateway.reading import json_of, when
from streams.gateway.signing import fresh, same, whole_number

_VERSION: Final = "v1"
_KEY_BYTES_MIN: Final = 16


def verify(delivery: Delivery, source: Source) -> Verified | Refusal:
    """One fitting signature among those shown is enough: senders show two while they change a key."""
    message_id, stamp = delivery.header("webhook-id"), delivery.header("webhook-timestamp")
    shown = delivery.header("webhook-signature")
    if not (message_id and stamp and shown):
        return Refusal(RefusalReason.MISSING, "webhook-id, webhook-timestamp or webhook-signature is missing")
    seconds = whole_number(stamp)
    refusal = fresh(None if seconds is None else seconds * 1000, delivery.received_ms)
    if refusal is not None:
        return refusal
    assert seconds is not None
    try:
        message_id.encode()
        body = delivery.body.decode()
    except UnicodeError:
        return Refusal(RefusalReason.WRONG, "id or body is not UTF-8 text, so it was not signed as shown")
    moment = datetime.fromtimestamp(seconds, UTC)
    expected = [Webhook(secret).sign(message_id, moment, body) for secret in source.secrets]
    signatures = [one for one in shown.split(" ") if one.startswith(f"{_VERSION},")]
    # Every pair is compared, so that the time taken tells nothing.
    if not any([same(one, expected) for one in signatures]):  # noqa: C419
        return Refusal(
            RefusalReason.WRONG, "no signature fits; check the secret, and that the body is unchanged"
        )
    return Verified(once=f"{message_id}.{stamp}")


def unfit_secret(secret: str) -> str:
    try:
        key = base64.b64decode(secret.removeprefix("whsec_") + "==")
    except binascii.Error:
        key = b""
    return "" if len(key) >= _KEY_BYTES_MIN else "is no signing secret; copy it whole, it begins with whsec_"


def normalise(delivery: Delivery, source: Source) -> list[Outcome]:
    """Besides the body's own columns there are `@id`, the same on every attempt, and `@received`."""
    beside = {"@id": delivery.header("webhook-id"), "@received": when(delivery.received_ms)}
    return outcomes_of(json_of(delivery), beside, source)


VENDOR: Final = Vendor(
    kind="standard-webhooks",
    verify=verify,
    normalise=normalise,
    answer_seconds=15.0,
    needs_map=True,
    unfit_secret=unfit_secret,
)
