"""Whatever is posted to a door gets an answer of the document, and what is accepted is produced and counts.

Nothing else is produced. The long form (`SALESFLOOR_TEST_LONG=1`) makes twenty times as many requests.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.alert_events import read_event
from streams.decode import decode
from streams.event_schemas import EVENT, event_schemas
from streams.events import Event
from streams.gateway.incomplete import told_by
from streams.gateway.vendors.cloudevents import BATCH, SINGLE
from streams.routing import key_of
from streams.topics import ALERTS, DEAD_LETTERS, INCOMPLETE, KIND_OF_TOPIC
from tests.crm_samples import Folder, folders, media_type, samples
from tests.doors import TOKEN, Caller, calling, gateway
from tests.made_up import allowed, bodies
from tests.openapi import DOCUMENT, Answer, judge, judge_event, schema_of
from tests.senders import RecordingSender
from tests.strength import amount

REQUESTS = amount(100, long=2000)
EACH_SOURCE = amount(25, long=500)
pytestmark = pytest.mark.timeout(amount(120, long=3_600))
SCHEMAS = event_schemas()
TIMES = st.sampled_from(
    ["2026-11-18T06:00:00Z", "2026-11-17T06:00:00.5+05:30", "2026-11-18T05:59:60Z", "2026-11-30T06:00:00Z"]
)
EVENTS = st.one_of([allowed(SCHEMAS[each["$ref"]], {}, TIMES) for each in SCHEMAS[EVENT]["oneOf"]])
NOTICES = allowed(schema_of("notice"), DOCUMENT, TIMES)
BEARERS = st.sampled_from([f"Bearer {TOKEN}"] * 9 + ["", "Bearer x", "Basic é"])
AWAY = st.sampled_from([False] * 6 + [True])


class Doors:
    """A gateway that is asked, and what it produced meanwhile."""

    def __init__(self, caller: Caller, producer: RecordingSender) -> None:
        self._caller, self._producer = caller, producer
        self.accepted = 0

    def post(self, path: str, body: bytes, headers: dict[str, str], *, away: bool) -> Answer:
        """Post, and hold the answer to what every answer has to be."""
        self._producer.sent, self._producer.ready = [], not away
        answer = self._caller.ask("POST", path, body=body, headers=headers)
        judge("post", "/hooks/{source}" if path.startswith("/hooks/") else path, answer)
        taken = 200 <= answer.status < 300
        assert taken or 400 <= answer.status < 500 or answer.status == 503, answer
        if not taken:
            assert len(json.loads(answer.body)["error"].split()) > 2, "a sentence"
        for record in self._producer.sent:
            if record.topic == DEAD_LETTERS:
                assert path != "/events", "who knows the contract is told instead"
                assert record.value == body
                continue
            assert taken
            self.accepted += 1
            if record.topic == ALERTS:
                assert read_event(record.value) is not None
            elif record.topic == INCOMPLETE:
                told = told_by(record.key, record.value)
                assert told is not None
                assert told.thin is not None
            else:
                _counts(record.value, record.key, record.topic)
        return answer


def _counts(value: bytes, key: bytes | None, topic: str) -> None:
    event = decode(value, (), kind=KIND_OF_TOPIC[topic])
    assert isinstance(event, Event), event
    assert key == key_of(event)
    whole = json.loads(value)
    if "data" in whole:
        judge_event(whole)


@pytest.fixture(scope="module")
def doors() -> Iterator[Doors]:
    producer = RecordingSender()
    with calling(gateway(producer)) as caller:
        yield Doors(caller, producer)


@pytest.fixture(scope="module")
def trusting_doors() -> Iterator[Doors]:
    """Hooks that take every sender for who they say they are: what is behind the signature is reached."""
    producer = RecordingSender()
    with calling(gateway(producer, verified=True)) as caller:
        yield Doors(caller, producer)


def test_events_of_any_form_get_an_answer_and_only_those_that_count_are_produced(doors: Doors) -> None:
    forms = st.one_of(
        st.tuples(bodies(EVENTS), st.just(SINGLE)),
        st.tuples(bodies(EVENTS), st.just(SINGLE)),
        st.tuples(bodies(st.lists(EVENTS, max_size=4)), st.just(BATCH)),
        st.tuples(bodies(EVENTS), st.sampled_from(["application/json", "text/plain", "x", f"{SINGLE}; a=b"])),
    )

    @settings(max_examples=2 * REQUESTS)
    @given(form=forms, bearer=BEARERS, away=AWAY)
    def check(form: tuple[bytes, str], bearer: str, away: bool) -> None:
        doors.post("/events", form[0], {"Content-Type": form[1], "Authorization": bearer}, away=away)

    doors.accepted = 0
    check()
    assert doors.accepted > REQUESTS // 20, "the requests must reach Kafka to show anything"


def test_an_event_in_binary_mode_gets_an_answer_whatever_its_attributes(doors: Doors) -> None:
    attribute = TIMES | st.sampled_from(["1.0", "sales.deal.won", "", "%", "%00", "%C3", "/s", "e" * 300])
    names = st.sampled_from(["specversion", "id", "type", "source", "time", "data", "subject", "dataschema"])

    @settings(max_examples=REQUESTS)
    @given(data=bodies(EVENTS.map(lambda event: event["data"])), event=EVENTS, away=AWAY,
           odd=st.dictionaries(names, attribute, max_size=2))  # fmt: skip
    def check(data: bytes, event: dict[str, Any], odd: dict[str, str], away: bool) -> None:
        said = {name: "1" if name == "id" else event[name] for name in ("specversion", "id", "type", "time")}
        headers = {f"ce-{name}": text for name, text in {**said, "source": "/s", **odd}.items()}
        headers |= {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"}
        doors.post("/events", data, headers, away=away)

    check()


def test_notices_of_any_form_get_an_answer(doors: Doors) -> None:
    @settings(max_examples=REQUESTS)
    @given(body=bodies(NOTICES), bearer=BEARERS, away=AWAY)
    def check(body: bytes, bearer: str, away: bool) -> None:
        headers = {"Content-Type": "application/json", "Authorization": bearer}
        doors.post("/alertmanager", body, headers, away=away)

    doors.accepted = 0
    check()
    assert doors.accepted > 0


def _payloads(folder: Folder) -> list[tuple[str, bytes]]:
    found = [
        (media_type(sample["file"]), (owner.path / sample["file"]).read_bytes())
        for owner, sample in samples()
        if owner.name == folder.name and sample["file"] not in folder.told.get("records", {})
    ]
    return found or [("application/json", b'{"id": 1}')]


@st.composite
def _deliveries(draw: st.DrawFn, folder: Folder) -> tuple[str, bytes]:
    """Draw a sample as it is, with parts spoiled, or with bytes of it cut out."""
    content_type, body = draw(st.sampled_from(_payloads(folder)))
    if content_type == "application/json" and draw(st.booleans()):
        return content_type, draw(bodies(st.just(json.loads(body))))
    at, length = draw(st.integers(0, len(body))), draw(st.sampled_from([0, 0, 1, 40]))
    return draw(st.sampled_from([content_type] * 6 + ["text/xml", "x"])), body[:at] + body[at + length :]


@pytest.mark.parametrize("folder", folders(), ids=lambda folder: folder.name)
def test_a_verified_delivery_of_any_form_gets_an_answer(trusting_doors: Doors, folder: Folder) -> None:
    path = f"/hooks/{folder.source().name}"

    @settings(max_examples=EACH_SOURCE)
    @given(delivery=_deliveries(folder), away=AWAY)
    def check(delivery: tuple[str, bytes], away: bool) -> None:
        content_type, body = delivery
        trusting_doors.post(path, body, {"Content-Type": content_type}, away=away)

    check()


@pytest.mark.parametrize("folder", folders(), ids=lambda folder: folder.name)
def test_a_delivery_that_shows_no_secret_is_turned_away_unread(doors: Doors, folder: Folder) -> None:
    path = f"/hooks/{folder.source().name}"

    @settings(max_examples=EACH_SOURCE // 3)
    @given(delivery=_deliveries(folder), bearer=BEARERS)
    def check(delivery: tuple[str, bytes], bearer: str) -> None:
        content_type, body = delivery
        headers = {"Content-Type": content_type, "Authorization": bearer}
        answer = doors.post(path, body, headers, away=False)
        assert answer.status == 401, answer

    doors.accepted = 0
    check()
    assert doors.accepted == 0
