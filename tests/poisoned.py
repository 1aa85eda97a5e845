"""Records that nobody should send, from a seed: every event type with odd values, broken bytes, odd headers.

Half of them are events that count; the other half differ from one by little. Knows no decoder.
"""

import base64
import json
from collections.abc import Iterator
from random import Random
from typing import NamedTuple

TYPES: dict[str, dict[str, tuple[str, ...]]] = {
    "sales.deals": {
        "deal": (*("created", "updated", "won", "lost", "reopened", "deleted", "restored", "merged"),)
    },
    "sales.leads": {
        "lead": (
            *(
                "created",
                "updated",
                "qualified",
                "converted",
                "disqualified",
                "deleted",
                "restored",
                "merged",
            ),
            *(),
        )
    },
    "sales.activities": {"activity": ("scheduled", "completed", "updated", "deleted")},
    "sales.accounts": {"account": ("updated", "churned", "reactivated", "deleted", "merged")},
    "sales.feedback": {"feedback": ("received", "deleted")},
    "sales.spend": {"spend": ("recorded", "deleted")},
    "sales.reference": {
        "target": ("set",),
        "rep": ("updated",),
        "rate": ("set",),
        "market": ("set",),
        "stage": ("set",),
    },
}
REFERENCE = "sales.reference"
WHOSE = ("rep_id", "team_id", "region", "unknown")
FIELDS = {
    "deal": (
        *WHOSE,
        *("status", "stage", "pipeline", "amount", "amount", "currency", "cost", "probability", "account_id"),
        *("lead_id", "products", "source", "created_at", "closed_at", "expected_close_on", "merged_into"),
    ),
    "lead": (*WHOSE, "source", "account_id", "deal_id", "created_at", "merged_into"),
    "activity": (
        *WHOSE,
        *(
            "kind",
            "deal_id",
            "lead_id",
            "account_id",
            "outcome",
            "duration_seconds",
            "scheduled_at",
            "due_at",
        ),
        "completed_at",
    ),
    "account": (*WHOSE, "active_from", "churned_at", "products", "merged_into"),
    "feedback": (*WHOSE, "kind", "score", "score", "scale", "account_id"),
    "spend": (*WHOSE, "amount", "currency", "category", "source", "from", "to"),
    "target": ("kpi", "period", "value", "level", "key", "currency", "unknown"),
    "rep": (*WHOSE, "name", "active_from", "active_to"),
    "rate": ("currency", "rate", "valid_from", "unknown"),
    "market": ("period", "value", "currency", "unknown"),
    "stage": ("stage", "pipeline", "order", "probability", "unknown"),
}
SOUND = {
    "kpi": "revenue", "period": "2026-11", "value": "1", "rep_id": "R-1", "currency": "EUR", "rate": "1.1",
    "valid_from": "2026-11-01", "stage": "offer",
}  # fmt: skip
TIME = "2026-11-21T09:30:00.123Z"
TIMES: tuple[object, ...] = (
    *(
        TIME,
        "2026-11-21T09:30:60Z",
        "2026-11-21T23:59:60.5+02:00",
        "2026-11-21T09:30:00",
        "2026-11-21 09:30:00Z",
    ),
    *("2026-11-21t09:30:00z", "2026-02-30T00:00:00Z", "1979-01-01T00:00:00Z", "2026-11-21T09:30:00+0530"),
    *("2026-11-21T09:30:00+05", "2026-11-21T09:30:00.123456789Z", "2026-11-21T09:30:00.9999999Z"),
    *("2026-11-21T24:00:00Z", "0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00", "2026-11-21T09:30Z"),
    *(
        "2026-11-21T09:30:00-24:00",
        "2026-11-21T09:30:00-00:00",
        "2026-11-21T09:30:00,5Z",
        "٢٠٢٦-11-21T09:30:00Z",
    ),
    *("2026-11-21T09:30:00.Z", "2026-1-21T09:30:00Z", "2026-11-21T09:30:61Z", "2026-11-21T23:60:00Z"),
    *(1_763_717_400, 0, ""),
)
VALUES: tuple[object, ...] = (
    *TIMES,
    *(
        None,
        True,
        False,
        0,
        1,
        -1,
        0.5,
        1.0,
        1e308,
        1e400,
        -0.0,
        0.1,
        1e-320,
        5,
        10,
        11,
        31_622_400,
        31_622_401,
    ),
    *(
        "1.00",
        "-1",
        "NaN",
        "Infinity",
        "1e5",
        "1_000",
        " 12 ",
        "٣",
        "+1",
        ".5",
        "5.",
        "1e",
        "--1",
        "0",
        "1.5",
    ),
    *("90071992547409.93", "90071992547409.92", 90071992547409.92, 9007199254740993, 12345678901234567890123),
    *(
        "1E-400",
        "1e999999999",
        "x" * 256,
        "x" * 257,
        "é" * 128,
        "é" * 200,
        "é" * 256,
        "\x00",
        "a\x00b",
        "\u202e",
    ),
    *("\ud800", [], ["a", "b", "a"], ["x" * 257], {}, {"a": 1}, "open", "won", "call", "demo", "follow_up"),
    *("csat", "nps", "0-10", "1-10", "1-5", "EUR", "USD", "JPY", "eur", "ZZZ", "2026-11-21", "2026-02-30"),
    *("1979-12-31", "2200-01-01", "2199-12-31", "2026-W47", "20261121", "X-1", "X-2"),
)
MONEY: tuple[object, ...] = (
    *("0", "1.00", "-1", -1, -0.5, "-0.01", "NaN", "Infinity", "1e5", "1_000", 7, 99.95, None, "5", True, ""),
    *("90071992547409.93", "90071992547409.92", "9007199254740992", "9007199254740993", 1e16, 1e400),
)
NUMBERS: tuple[object, ...] = (
    0,
    1,
    5,
    6,
    10,
    11,
    -1,
    0.5,
    1.5,
    "1",
    True,
    None,
    31_622_400,
    31_622_401,
    1e-320,
    -0.0,
)
DAYS: tuple[object, ...] = (
    *("2026-11-21", "2026-11-22", "2036-11-28", "2036-11-29", "2026-02-30", "1979-12-31", "1980-01-01"),
    *("2199-12-31", "2200-01-01", "2026-W47", "20261121", "2026-11-21T00:00:00", None, 5),
)
WORDS: tuple[object, ...] = (
    *(
        "open",
        "won",
        "lost",
        "call",
        "demo",
        "follow_up",
        "csat",
        "nps",
        "enps",
        "pulse",
        "0-10",
        "1-10",
        "1-5",
    ),
    *("EUR", "USD", "JPY", "KWD", "eur", "ZZZ", None, "", 5),
)
LIKELY: dict[str, tuple[object, ...]] = {
    **dict.fromkeys(("amount", "cost", "value", "rate"), MONEY),
    **dict.fromkeys(("probability", "score", "duration_seconds", "order"), NUMBERS),
    **dict.fromkeys(("expected_close_on", "from", "to", "valid_from", "active_to"), DAYS),
    **dict.fromkeys(("status", "kind", "scale", "currency"), WORDS),
    **dict.fromkeys(
        ("created_at", "closed_at", "scheduled_at", "due_at", "completed_at", "churned_at"), TIMES
    ),
    "active_from": (*TIMES, *DAYS),
}
NAMES: tuple[object, ...] = (*["X-1", "X-2", "X-3"] * 4, "", 5, None, "é" * 128, "é" * 129, "x" * 257)
BYTES = b'"{}[]:,0\\\x00\xff e.1-nt\t'

Header = tuple[str, bytes | None]


class Poisoned(NamedTuple):
    topic: str
    value: bytes | None
    headers: list[Header]


def poisoned(seed: int) -> Iterator[Poisoned]:
    """Yield records without end."""
    random = Random(seed)
    while True:
        topic = random.choice(tuple(TYPES))
        kind, verbs = random.choice(tuple(TYPES[topic].items()))
        event = _event(random, topic, kind, random.choice(verbs))
        if random.random() < 0.02:
            topic = random.choice(tuple(TYPES))
        yield Poisoned(topic, *_record(random, event))


def _event(random: Random, topic: str, kind: str, verb: str) -> dict[str, object]:
    data: dict[str, object] = {}
    fields = FIELDS[kind]
    if topic == REFERENCE:
        data |= {name: value for name, value in SOUND.items() if name in fields and random.random() < 0.95}
        chosen = random.sample(fields, random.choice((0, 1, 2)))
    else:
        data[f"{kind}_id"] = random.choice(NAMES)
        chosen = random.sample(fields, random.randint(0, min(len(fields), 4)))
    for name in chosen:
        data[name] = random.choice(LIKELY.get(name, VALUES) if random.random() < 0.7 else VALUES)
    event: dict[str, object] = {
        "specversion": "1.0",
        "id": f"i{random.randrange(100)}",
        "source": "/poison",
        "type": f"sales.{kind}.{verb}",
        "time": random.choice(TIMES) if random.random() < 0.2 else TIME,
        "data": data,
    }
    if random.random() < 0.08:
        event[random.choice(tuple(event))] = random.choice(VALUES)
    if random.random() < 0.03:
        del event[random.choice(tuple(event))]
    if random.random() < 0.02:
        event["type"] = random.choice(("sales.deal.flown", "a.b", "sales.rep.updated"))
    return event


def _record(random: Random, event: dict[str, object]) -> tuple[bytes | None, list[Header]]:
    if random.random() < 0.03:
        packed = base64.b64encode(_bytes(random, event.pop("data", {}))).decode()
        event["data_base64"] = packed if random.random() < 0.7 else random.choice(("!!", "", "YQ==", "e30"))
    if random.random() < 0.1:
        texts = {name: value for name, value in event.items() if isinstance(value, str)}
        headers: list[Header] = [
            (f"{random.choice(('ce_', 'CE_', 'ce-'))}{name}", value.encode("utf-8", "surrogatepass"))
            for name, value in texts.items()
        ]
        if random.random() < 0.1:
            headers.append(
                (random.choice(("ce_id", "ce_specversion", "x")), random.choice((None, b"", b"\xff")))
            )
        return _bytes(random, event.get("data", {})), headers
    return _broken(random, _bytes(random, event)), []


def _bytes(random: Random, value: object) -> bytes:
    return json.dumps(value, ensure_ascii=random.random() < 0.5).encode("utf-8", "surrogatepass")


def _broken(random: Random, value: bytes) -> bytes | None:
    chance = random.random()
    if chance < 0.1:
        changed = bytearray(value)
        for _ in range(random.randint(1, 3)):
            changed[random.randrange(len(changed))] = random.choice(BYTES)
        return bytes(changed)
    if chance < 0.11:
        return value[: random.randrange(len(value))]
    if chance < 0.12:
        return random.choice(
            (
                None, b"", b"\xef\xbb\xbf" + value, value + b" ", value + b"x", b" \n" + value, b"[" * 5000,
                b'{"a":' * 3000, value.replace(b"{", b'{"x":' + b"[" * 900 + b"]" * 900 + b",", 1),
            )
        )  # fmt: skip
    return value
