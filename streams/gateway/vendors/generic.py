"""Any JSON or form that somebody's workflow posts in, what the source's column map makes of it out. Pure.

The sender shows a secret in a header, or signs the body with it (HMAC-SHA256).
"""

from typing import Final
from urllib.parse import parse_qsl

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
from streams.gateway.reading import json_of, text_of, when
from streams.gateway.signing import base64_text, basic, bearer, hmac_sha256, same

_FORM: Final = "application/x-www-form-urlencoded"


def verify(delivery: Delivery, source: Source) -> Verified | Refusal:
    """With the option `hmac_header` only a signature opens the door, else a shown secret does: bare, as a
    bearer token, or as "user:password" of HTTP basic."""
    if signature_header := source.options["hmac_header"].lower():
        shown = delivery.header(signature_header).removeprefix("sha256=")
        digests = [hmac_sha256(secret, delivery.body) for secret in source.secrets]
        right = same(shown.lower(), [digest.hex() for digest in digests])
        right |= same(shown, [base64_text(digest) for digest in digests])
    else:
        shown = delivery.header(source.options["header"].lower())
        right = same(shown, source.secrets)
        right |= same(bearer(shown), source.secrets) | same(basic(shown), source.secrets)
    if right:
        return Verified()
    if not shown:
        return Refusal(
            RefusalReason.MISSING, "the request shows no secret; see the source's page in docs/crm"
        )
    return Refusal(RefusalReason.WRONG, "the secret is another, or the body was changed on its way")


def unsupported(delivery: Delivery) -> str:
    kind = delivery.content_type
    if kind in ("application/json", _FORM) or kind.endswith("+json"):
        return ""
    return "send Content-Type: application/json, or a form"


def normalise(delivery: Delivery, source: Source) -> list[Outcome]:
    """Besides the body's own columns there is `@received`, for senders that name no time."""
    body: object
    if delivery.content_type == _FORM:
        try:
            body = dict(parse_qsl(text_of(delivery), keep_blank_values=True, max_num_fields=1000))
        except ValueError:
            raise Malformed("the form has too many fields") from None
    else:
        body = json_of(delivery)
    return outcomes_of(body, {"@received": when(delivery.received_ms)}, source)


VENDOR: Final = Vendor(
    kind="generic",
    verify=verify,
    normalise=normalise,
    unsupported=unsupported,
    topics=True,
    needs_map=True,
    options={"header": "authorization", "hmac_header": ""},
)
