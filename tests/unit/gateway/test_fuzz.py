"""Whatever stands where in a payload, every vendor's module has an answer: nothing but bad input is bad."""

import json
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.gateway.model import (
    AsIs,
    Canonical,
    Delivery,
    Malformed,
    Outcome,
    Refusal,
    RefusalReason,
    Thin,
    Unreadable,
)
from streams.gateway.placing import place
from streams.gateway.reading import parse_json
from tests.crm_samples import Folder, Item, folders, media_type, samples
from tests.made_up import spoiled
from tests.strength import amount

pytestmark = pytest.mark.timeout(amount(120, long=3_600))


@cache
def _parsed(folder: str) -> list[tuple[str, Any]]:
    return [
        (sample["file"], json.loads((owner.path / sample["file"]).read_bytes()))
        for owner, sample in samples()
        if owner.name == folder and sample["file"].endswith(".json")
    ]


def _read(folder: Folder, file: str, payload: Any) -> list[Outcome]:
    source = folder.source(file)
    name = folder.told.get("records", {}).get(file)
    if name is not None and folder.vendor.record is not None:
        return list(folder.vendor.record(name, parse_json(json.dumps(payload)), source))
    body = json.dumps(payload).encode()
    delivery = Delivery("POST", "", {}, media_type(file), body, 1_763_134_929_000)
    return list(folder.vendor.normalise(delivery, source))


@pytest.mark.parametrize("folder", folders(), ids=lambda folder: folder.name)
@settings(max_examples=amount(60, long=600))
@given(data=st.data())
def test_changed_payload_gets_an_answer_and_every_event_a_place(folder: Folder, data: st.DataObject) -> None:
    parsed = _parsed(folder.name)
    if not parsed:
        return
    file, payload = data.draw(st.sampled_from(parsed))
    try:
        outcomes = _read(folder, file, data.draw(spoiled(st.just(payload))))
    except (Malformed, Unreadable):
        return
    for outcome in outcomes:
        event = outcome.mark if isinstance(outcome, Thin) else outcome
        if isinstance(event, Canonical | AsIs):
            place(event, folder.source(file), now_ms=1_763_134_929_000, oldest_ms=0)


HEADER_VALUES = st.sampled_from(
    ["", "0", "-1", "1763134927", "9" * 30, "v1,AA==", "Basic é", "sha256=", "\udcff"]
)


@pytest.mark.parametrize("folder", folders(), ids=lambda folder: folder.name)
@settings(max_examples=amount(100, long=5000))
@given(data=st.data())
def test_no_headers_and_no_bytes_upset_a_check_of_the_sender(folder: Folder, data: st.DataObject) -> None:
    names = _header_names(folder.name)
    headers = data.draw(st.dictionaries(st.sampled_from(names), HEADER_VALUES))
    body = data.draw(st.binary(max_size=20))
    delivery = Delivery("POST", "https://h.example/x", headers, "application/json", body, 1_763_134_927_000)
    secret = folder.told.get("other_secret", "another-secret-0123456789abcdef")
    verdict = folder.vendor.verify(delivery, folder.source(secrets=(secret,)))
    assert type(verdict).__name__ == "Refusal", "a stranger got in"


def test_a_signed_id_that_is_no_utf8_is_a_wrong_signature() -> None:
    folder = next(one for one in folders() if one.name == "standard-webhooks")
    headers = {"webhook-id": "\udcff", "webhook-timestamp": "1763134927", "webhook-signature": "v1,AA=="}
    delivery = Delivery("POST", "https://h.example/x", headers, "application/json", b"{}", 1_763_134_927_000)
    verdict = folder.vendor.verify(delivery, folder.source(secrets=(folder.told["other_secret"],)))
    assert isinstance(verdict, Refusal)
    assert verdict.reason is RefusalReason.WRONG


@cache
def _header_names(folder: str) -> list[str]:
    path = next(one.path for one in folders() if one.name == folder) / "vectors.json"
    vectors: list[Item] = json.loads(path.read_text(encoding="utf-8"))["vectors"] if path.exists() else []
    return sorted({"authorization", *(name.lower() for one in vectors for name in one.get("headers", {}))})
