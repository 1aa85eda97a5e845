"""A dead letter keeps the original whole and says why and where it came from."""

from streams.dead_letter import to_record
from streams.events import Reason, Rejected
from streams.table import DeadLetter
from tests.folding import LogRecord


def letter(record: LogRecord) -> DeadLetter:
    return DeadLetter(record.topic, record.partition, record, Rejected(Reason.WRONG_TYPE, "data.amount"))


def test_original_bytes_and_headers_are_kept_beside_reason_and_origin() -> None:
    record = LogRecord("sales.deals", 3, 41, b"\xff\x00{", b"D-\xfe", [("trace", b"7"), ("trace", b"8")])
    dead = to_record(letter(record))
    assert (dead.key, dead.value) == (b"D-\xfe", b"\xff\x00{")
    assert dead.headers == [
        ("trace", b"7"),
        ("trace", b"8"),
        ("salesfloor-reason", b"wrong_type"),
        ("salesfloor-detail", b"data.amount"),
        ("salesfloor-topic", b"sales.deals"),
        ("salesfloor-partition", b"3"),
        ("salesfloor-offset", b"41"),
    ]


def test_record_without_key_value_or_headers_becomes_a_letter_too() -> None:
    dead = to_record(letter(LogRecord("sales.leads", 0, 0, None, None, ())))
    assert (dead.key, dead.value, len(dead.headers)) == (None, None, 5)


def test_headers_of_an_earlier_pass_are_replaced() -> None:
    first = to_record(letter(LogRecord("sales.deals", 3, 41, b"x", None, ())))
    again = to_record(letter(LogRecord("sales.leads", 0, 7, first.value, None, first.headers)))
    assert dict(again.headers)["salesfloor-topic"] == b"sales.leads"
    assert len(again.headers) == 5
