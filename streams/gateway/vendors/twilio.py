"""Status callbacks of Twilio's calls in, calls that are over out, by the column map. Pure.

Whose call it was Twilio does not know: the address that it calls may say so, `?rep_id=ann&deal_id=D-1`, and
is signed with the rest; else `reps` names the numbers of your own.
"""

from collections.abc import Iterable
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
from streams.gateway.reading import text_of, when
from streams.gateway.signing import base64_text, hmac_sha1, signed_by

_FORM: Final = "application/x-www-form-urlencoded"
_FIELDS_MAX: Final = 1000


def verify(delivery: Delivery, source: Source) -> Verified | Refusal:
    """The signature is over the address as it was called and every field of the form, sorted by name."""
    try:
        fields = _fields(delivery)
    except Malformed as error:
        return Refusal(RefusalReason.WRONG, str(error))
    # Twilio's own library checks the same in as many lines, but brings a whole API client with it.
    # A name that comes twice with one value is signed once.
    signed = [delivery.url, *(name + value for name, value in sorted(set(fields)))]
    shown = delivery.header("x-twilio-signature")
    return (
        signed_by(shown, source.secrets, lambda secret: base64_text(hmac_sha1(secret, *_bytes(signed))))
        or Verified()
    )


def _bytes(texts: Iterable[str]) -> list[bytes]:
    return [text.encode("utf-8", "surrogatepass") for text in texts]


def _fields(delivery: Delivery) -> list[tuple[str, str]]:
    try:
        return parse_qsl(text_of(delivery), keep_blank_values=True, max_num_fields=_FIELDS_MAX)
    except ValueError:
        raise Malformed("the form has too many fields") from None


def normalise(delivery: Delivery, source: Source) -> list[Outcome]:
    """Besides the form's fields there are the address's own, as `?rep_id`, and `@received`."""
    query = delivery.url.partition("?")[2]
    try:
        asked = parse_qsl(query, max_num_fields=_FIELDS_MAX)
    except ValueError:
        raise Malformed("the address has too many fields") from None
    beside = {f"?{name}": value for name, value in asked} | {"@received": when(delivery.received_ms)}
    return outcomes_of(dict(_fields(delivery)), beside, source)


VENDOR: Final = Vendor(
    kind="twilio",
    verify=verify,
    normalise=normalise,
    content_types=(_FORM,),
    answer_seconds=10.0,
    needs_public_url=True,
    ships_map=True,
)
