"""Typeform's answers in, feedback out, by the column map. Pure.

Answers are a list; which one is the score an option says by the question's id or ref. Without it, the only
question that can be one is taken; a form with several asks for the option.
"""

from typing import Final

from streams.events import Reason
from streams.gateway.json_rows import outcomes_of
from streams.gateway.model import Delivery, Malformed, Outcome, Refusal, Source, Unreadable, Vendor, Verified
from streams.gateway.reading import Object, each, json_of, list_at, object_at, text_at, when
from streams.gateway.signing import base64_text, hmac_sha256, signed_by

_SCALES: Final = ("nps", "opinion_scale", "rating")
"""Types of questions whose answer is a number on a scale."""


def verify(delivery: Delivery, source: Source) -> Verified | Refusal:
    shown = delivery.header("typeform-signature").removeprefix("sha256=")
    return (
        signed_by(shown, source.secrets, lambda secret: base64_text(hmac_sha256(secret, delivery.body)))
        or Verified()
    )


def normalise(delivery: Delivery, source: Source) -> list[Outcome]:
    body = json_of(delivery)
    if not isinstance(body, dict):
        raise Malformed("the body is no JSON object")
    return each([body], lambda item: _answer(item, source, delivery.received_ms))


def _answer(body: Object, source: Source, received_ms: int) -> list[Outcome]:
    """Besides the body's own columns there are `@score`, `@kind`, `@scale`, and `@received`."""
    cells = {"@received": when(received_ms)}
    if text_at(body, "event_type") == "form_response":
        score, question = _score(object_at(body, "form_response"), source.options["score_field"])
        nps = question == "nps"
        cells |= {
            "@score": score,
            "@kind": source.options["kind"] or ("nps" if nps else "csat"),
            "@scale": source.options["scale"] or ("0-10" if nps else ""),
        }
    return outcomes_of(body, cells, source)


def _score(response: Object, wanted: str) -> tuple[str, str]:
    """Return the number that was given and its question's type; "" for an answer without the question."""
    found = []
    for answer in list_at(response, "answers"):
        answer_object = answer if isinstance(answer, dict) else {}
        question = object_at(answer_object, "field")
        kind = text_at(question, "type")
        names = (text_at(question, "id"), text_at(question, "ref"))
        if wanted in names if wanted else kind in _SCALES:
            found.append((text_at(answer_object, "number"), kind))
    if len(found) > 1:
        raise Unreadable(
            Reason.WRONG_TYPE, "several questions could be the score; name it in options.score_field"
        )
    return found[0] if found else ("", "")


VENDOR: Final = Vendor(
    kind="typeform",
    verify=verify,
    normalise=normalise,
    answer_seconds=20.0,
    ships_map=True,
    options={"score_field": "", "kind": "", "scale": ""},
)
