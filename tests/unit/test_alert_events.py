"""Alertmanager's notices become events, and what is no notice is refused with a reason."""

import json

import pytest

from streams.alert_events import (
    ALERTS_PER_NOTICE_MAX,
    FIRING,
    RESOLVED,
    TEXT_CHARACTERS_MAX,
    NoticeError,
    encoded,
    event_of,
    read_event,
    read_notice,
)

NOW_MS = 1_795_336_202_114  # 2026-11-22T08:30:02.114Z
Json = dict[str, object]


def alert(**other: object) -> Json:
    return {
        "status": "firing",
        "labels": {"alertname": "ConversionFallingFast", "severity": "page", "team": "North"},
        "annotations": {"summary": "falling", "description": "30 wins lost", "action": "ask", "x": "y"},
        "startsAt": "2026-11-22T08:30:00.123456789Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus/graph",
        "fingerprint": "6f1c0d9ab2e34f57",
        **other,
    }


def notice(*alerts: object, **other: object) -> bytes:
    return json.dumps({"version": "4", "status": "firing", "alerts": alerts, **other}).encode()


def events_of(body: bytes) -> list[Json]:
    return [event_of(each, now_ms=NOW_MS) for each in read_notice(body)]


def test_a_firing_alert_becomes_an_event_of_when_it_began() -> None:
    (event,) = events_of(notice(alert()))
    assert event == {
        "specversion": "1.0",
        "id": "6f1c0d9ab2e34f57-1795336200123-firing",
        "source": "/alertmanager",
        "type": FIRING,
        "subject": "6f1c0d9ab2e34f57",
        "time": "2026-11-22T08:30:00.123Z",
        "datacontenttype": "application/json",
        "data": {
            "fingerprint": "6f1c0d9ab2e34f57",
            "name": "ConversionFallingFast",
            "severity": "page",
            "summary": "falling",
            "description": "30 wins lost",
            "action": "ask",
            "runbook_url": "",
            "labels": {"alertname": "ConversionFallingFast", "severity": "page", "team": "North"},
            "starts_at": "2026-11-22T08:30:00.123Z",
            "ends_at": None,
            "notified_at": "2026-11-22T08:30:02.114Z",
        },
    }


def test_a_resolved_alert_becomes_an_event_of_when_it_ended() -> None:
    (event,) = events_of(notice(alert(status="resolved", endsAt="2026-11-22T09:00:00+01:00")))
    assert (event["type"], event["time"]) == (RESOLVED, "2026-11-22T08:00:00.000Z")
    assert event["id"] == "6f1c0d9ab2e34f57-1795336200123-resolved"


def test_what_was_written_can_be_read() -> None:
    (event,) = events_of(notice(alert()))
    read = read_event(encoded(event))
    assert read is not None
    assert (read.type, read.data.name, read.data.ends_at) == (FIRING, "ConversionFallingFast", None)


@pytest.mark.parametrize("value", [None, b"", b"\xff", b"[]", b'{"type":"sales.deal.won"}'])
def test_what_is_no_alert_is_passed_over(value: bytes | None) -> None:
    assert read_event(value) is None


def test_a_text_without_end_is_cut() -> None:
    (event,) = events_of(notice(alert(annotations={"description": "a" * 100_000})))
    data = event["data"]
    assert isinstance(data, dict)
    assert data["description"] == "a" * (TEXT_CHARACTERS_MAX - 1) + "…"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"\xff\xfe", "invalid"),
        (b"[" * 100_000, ""),
        (b"{}", "version"),
        (notice(alert(), version="5"), "$.version"),
        (notice(alert(status="unknown")), "$.alerts[0].status"),
        (notice(alert(fingerprint="../../x")), "$.alerts[0].fingerprint"),
        (notice(alert(startsAt="yesterday")), "$.alerts[0].startsAt"),
        (notice(alert(labels={f"l{n}": "" for n in range(65)})), "$.alerts[0].labels"),
        (notice(alert(labels={"a": 1})), "$.alerts[0].labels"),
        (notice(*([alert()] * (ALERTS_PER_NOTICE_MAX + 1))), "$.alerts"),
    ],
)
def test_what_is_no_notice_is_refused_with_its_place(body: bytes, told: str) -> None:
    with pytest.raises(NoticeError) as refused:
        read_notice(body)
    assert told in str(refused.value)
