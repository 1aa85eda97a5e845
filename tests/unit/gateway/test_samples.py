"""Every payload of tests/crm becomes the events expected of it; every signed request gets its verdict."""

import hashlib
import random
from dataclasses import replace

import pytest

from streams.entities import merge
from streams.gateway.model import AsIs, Canonical, Delivery, Outcome, Refusal, Thin, Verified
from streams.gateway.placing import cloud_event
from tests.crm_samples import (
    Folder,
    Found,
    Item,
    decoded,
    disagreements,
    folders,
    media_type,
    samples,
    vectors,
)


def _name(value: object) -> str:
    if isinstance(value, Folder):
        return value.name
    assert isinstance(value, dict)
    return str(value.get("file") or f"{value['scheme']}: {value['name']}")


@pytest.mark.parametrize(("folder", "sample"), samples(), ids=_name)
def test_payload_becomes_what_is_expected_of_it(folder: Folder, sample: Item) -> None:
    found = Found(folder.read(sample), folder.source(sample["file"]))
    for want in sample["expect"]:
        if "final_state" not in want:
            found.take(want)
    found.all_taken()


@pytest.mark.parametrize(
    ("folder", "sample"),
    [pair for pair in samples() if any("final_state" in want for want in pair[1]["expect"])],
    ids=_name,
)
def test_changes_in_any_order_end_in_one_state(folder: Folder, sample: Item) -> None:
    (want,) = (want["final_state"] for want in sample["expect"] if "final_state" in want)
    source = folder.source(sample["file"])
    events = [
        decoded(outcome, source)
        for outcome in folder.read(sample)
        if isinstance(outcome, Canonical) and outcome.entity_id == want["entity_id"]
    ]
    for seed in range(5):
        state = None
        for event in random.Random(seed).sample(events, len(events)):
            state = merge(state, event)
        assert disagreements(want, state) == []


def _ids(outcomes: list[Outcome], folder: Folder) -> list[bytes]:
    events = [outcome.mark if isinstance(outcome, Thin) else outcome for outcome in outcomes]
    source = folder.source()
    return [
        event.value if isinstance(event, AsIs) else cloud_event(event, source)
        for event in events
        if isinstance(event, Canonical | AsIs)
    ]


@pytest.mark.parametrize(("folder", "sample"), samples(), ids=_name)
def test_payload_that_comes_again_later_gives_the_same_events(folder: Folder, sample: Item) -> None:
    if "occurred_at" in sample["expect"][0]:
        assert _ids(folder.read(sample, received_ms=0), folder) == _ids(
            folder.read(sample, received_ms=86_400_000), folder
        )


@pytest.mark.parametrize(("folder", "vector"), vectors(), ids=_name)
def test_signed_request_gets_its_verdict(folder: Folder, vector: Item) -> None:
    body = (
        (folder.path / vector["body_file"]).read_bytes() if "body_file" in vector else vector["body"].encode()
    )
    assert hashlib.sha256(body).hexdigest() == vector["body_sha256"], "the vector is of other bytes"
    headers = {name.lower(): value for name, value in vector.get("headers", {}).items()}
    delivery = Delivery(
        vector["method"],
        vector.get("url", ""),
        headers,
        headers.get("content-type", media_type(vector.get("body_file", ""))).partition(";")[0],
        body,
        vector.get("now_unix", 0) * 1000,
    )
    source = folder.source(
        vector.get("body_file", ""),
        secrets=(vector["secret"],),
        **({"account": vector["channel_id"]} if "channel_id" in vector else {}),
    )
    if len(folder.vendor.signatures) > 1:
        source = replace(source, signatures=(vector["scheme"].rpartition("-")[2],))
    verdict = folder.vendor.verify(delivery, source)
    assert isinstance(verdict, Verified if vector["valid"] else Refusal), verdict
    if vector["valid"]:
        # The other of two secrets opens the door as well; a wrong one alone does not.
        other = folder.told.get("other_secret", "another-secret-0123456789abcdef")
        rotated = replace(source, secrets=(other, vector["secret"]))
        assert isinstance(folder.vendor.verify(delivery, rotated), Verified)
        stranger = replace(source, secrets=(other,))
        assert isinstance(folder.vendor.verify(delivery, stranger), Refusal)
        assert isinstance(folder.vendor.verify(delivery, replace(source, secrets=())), Refusal)


def test_every_payload_is_expected_to_become_something() -> None:
    for folder in folders():
        files = {
            path.name
            for path in folder.path.iterdir()
            if path.name not in ("expected.json", "vectors.json", "source.json") and path.suffix != ".toml"
        }
        assert files == {item["file"] for owner, item in samples() if owner.path == folder.path}, folder.name
