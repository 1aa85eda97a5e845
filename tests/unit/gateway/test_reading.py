"""Values of vendors stay exact, or are refused by the name of their field."""

from datetime import date
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from streams.events import Reason
from streams.gateway.model import Refusal, Unreadable
from streams.gateway.reading import day_of, decimal_of, flag_of, id_at, parse_json, percent_of, time_ms_of
from streams.gateway.signing import basic, bearer, fresh, same, whole_number

UTC, BERLIN = ZoneInfo("UTC"), ZoneInfo("Europe/Berlin")


def test_numbers_keep_every_digit() -> None:
    read = parse_json('{"id": 9007199254740993, "amount": 0.1000000000000000055, "big": 1e400}')
    assert read == {
        "id": 9_007_199_254_740_993,
        "amount": Decimal("0.1000000000000000055"),
        "big": Decimal("1e400"),
    }
    assert isinstance(read, dict)
    assert id_at(read, "id") == "9007199254740993"


def test_half_a_character_is_replaced_and_a_whole_one_stays() -> None:
    assert parse_json(r'["\ud83d\ude00", "a\ud83d", "\\ud83d", "\uDE00b"]') == [
        "😀",
        "a\ufffd",
        r"\ud83d",
        "\ufffdb",
    ]


@pytest.mark.parametrize("value", ["48000.00", Decimal("48000.00"), 48000, " 48000 "])
def test_number_is_read_from_json_and_from_text(value: object) -> None:
    assert decimal_of(value, "amount") == 48000


@pytest.mark.parametrize("value", ["", "a lot", "NaN", "Infinity", "1e99", True, [], {}])
def test_what_is_no_number_is_refused_by_name(value: object) -> None:
    with pytest.raises(Unreadable, match="amount is ") as caught:
        decimal_of(value, "amount")
    assert caught.value.unusable.reason in (Reason.WRONG_TYPE, Reason.BAD_AMOUNT)


def test_percent_becomes_a_share() -> None:
    assert percent_of(80, "probability") == Decimal("0.80")


@pytest.mark.parametrize(
    ("value", "time_ms"),
    [
        (1_763_134_927_311, 1_763_134_927_311),
        ("1763134927311", 1_763_134_927_311),
        ("2025-11-14T15:42:07.311Z", 1_763_134_927_311),
        ("2025-11-14T16:42:07.311+01:00", 1_763_134_927_311),
        ("2025-11-14 16:42:07.311", 1_763_134_927_311),
    ],
)
def test_times_come_in_many_forms_and_local_ones_are_of_the_zone(value: object, time_ms: int) -> None:
    assert time_ms_of(value, "when", BERLIN) == time_ms


@pytest.mark.parametrize(
    "value", ["", "soon", "2025-13-01", "-5", "9" * 15, "0001-01-01T00:00:00+14:00", None]
)
def test_what_is_no_time_is_refused(value: object) -> None:
    with pytest.raises(Unreadable, match="when is "):
        time_ms_of(value, "when", UTC)


def test_day_at_midnight_utc_is_that_day_and_any_other_time_is_the_zones() -> None:
    assert day_of("2025-12-19", "closes", BERLIN) == date(2025, 12, 19)
    assert day_of("1766102400000", "closes", ZoneInfo("America/New_York")) == date(2025, 12, 19)
    assert day_of("2025-12-18T23:30:00Z", "closes", BERLIN) == date(2025, 12, 19)
    last = str(time_ms_of("9999-12-31", "closes", ZoneInfo("UTC")))
    assert day_of(last, "closes", ZoneInfo("Pacific/Kiritimati")) == date(9999, 12, 31)


def test_flags_are_words_or_booleans() -> None:
    assert (flag_of("TRUE", "won"), flag_of(False, "won")) == (True, False)
    with pytest.raises(Unreadable, match="won is neither"):
        flag_of("yes", "won")


def test_nothing_shown_is_never_the_secret() -> None:
    assert not same("", [""])
    assert not same("", [])
    assert same("x", ["y", "x"])


def test_window_of_a_signature_is_closed_on_both_sides() -> None:
    assert fresh(0, 300_000) is None
    assert fresh(300_000, 0) is None
    assert isinstance(fresh(0, 300_001), Refusal)
    assert isinstance(fresh(300_001, 0), Refusal)
    assert isinstance(fresh(None, 0), Refusal)


@pytest.mark.parametrize("text", ["", "-1", "1.5", "１", "9" * 19, " 1", "soon"])
def test_time_of_a_signature_is_a_plain_number(text: str) -> None:
    assert whole_number(text) is None


def test_authorization_is_read_for_its_scheme_only() -> None:
    assert (bearer("bearer x "), bearer("Basic eA=="), bearer("")) == ("x", "", "")
    assert (basic("basic eDp5"), basic("Basic eD!5"), basic("Bearer eDp5"), basic("Basic /w==")) == (
        "x:y",
        "",
        "",
        "",
    )
