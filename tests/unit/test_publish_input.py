"""Files in, numbered events or refused lines out; whole days' shift; where an event goes."""

import gzip
import io
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest

from streams.columns import ColumnMapError
from streams.events import Rejected
from streams.publish_input import (
    InputError,
    Ready,
    Refused,
    json_lines,
    load_map,
    mapped_rows,
    open_events,
    shipped_maps,
)
from streams.routing import route
from streams.time_shift import Shift, shift_to

UTC = ZoneInfo("UTC")


def event(**changes: object) -> bytes:
    given = {
        "specversion": "1.0",
        "id": "e1",
        "source": "/t",
        "type": "sales.deal.updated",
        "time": "2024-01-02T03:04:05Z",
        "data": {"deal_id": "D-1"},
    }
    return msgspec.json.encode(
        {name: value for name, value in (given | changes).items() if value is not None}
    )


def lines(content: bytes) -> list[Ready | Refused]:
    return list(json_lines(io.BytesIO(content), "f"))


def member(item: Ready | Refused, name: str) -> object:
    assert isinstance(item, Ready)
    decoded: dict[str, object] = msgspec.json.decode(item.value)
    return decoded[name]


def test_good_lines_are_ready_as_they_are_and_bad_ones_refused_by_number() -> None:
    good = event()
    found = lines(
        good + b"\n\n{broken\n" + event(type="sales.deal.wno") + b"\r\n" + event(data={}) + b"\n" + good
    )
    assert [type(item).__name__ for item in found] == ["Ready", "Refused", "Refused", "Refused", "Ready"]
    assert [item.line for item in found] == [1, 3, 4, 5, 6]
    assert found[0] == Ready("f", 1, "sales.deals", b"D-1", 1704164645000, good)
    reasons = [item.reason for item in found if isinstance(item, Refused)]
    assert reasons[0].startswith("malformed")
    assert "sales.deal.wno" in reasons[1]
    assert reasons[2].startswith("missing_id")


def test_a_line_over_the_limit_is_refused_and_the_next_one_read() -> None:
    huge = event(data={"deal_id": "D-1", "stage": "x" * (3 << 20)})
    found = lines(huge + b"\n" + event() + b"\n")
    assert [(type(item).__name__, item.line) for item in found] == [("Refused", 1), ("Ready", 2)]


def test_an_event_without_id_gets_one_from_its_content_whatever_the_order_of_members() -> None:
    one, other = event(id=None, a=1, b=2), event(id=None, b=2, a=1)
    different = event(id=None, a=1, b=3)
    ids = [member(item, "id") for item in lines(b"\n".join([one, other, different]))]
    assert ids[0] == ids[1] != ids[2]


def test_numbers_keep_their_spelling_when_an_id_is_added() -> None:
    line = event(id=None).replace(b'"D-1"', b'"D-1","amount":12500.10000000000000001')
    assert b"12500.10000000000000001" in lines(line)[0][-1]


def test_packed_lines_are_read_and_damaged_ones_say_so(tmp_path: Path) -> None:
    packed = gzip.compress(event() + b"\n")
    good, cut = tmp_path / "a.jsonl.gz", tmp_path / "b.jsonl.gz"
    good.write_bytes(packed)
    cut.write_bytes(packed[:-9])
    with open_events(str(good)) as opened:
        assert len(list(json_lines(opened, "a"))) == 1
    with open_events(str(cut)) as opened, pytest.raises(InputError, match="damaged"):
        list(json_lines(opened, "b"))


def test_a_missing_file_a_directory_and_a_table_without_map_are_told_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "deals.csv").write_text("id\n")
    for path, hint in (
        ("nowhere.jsonl", "No such file"),
        (".", "--map"),
        ("deals.csv", "maven-crm, olist-funnel"),
    ):
        with pytest.raises(InputError, match=hint), open_events(str(tmp_path / path)):
            pass


MAP = """
[tables.deals]
file = "deals*.csv"
[tables.reps]
file = "reps.csv"
key = "name"
[[events]]
table = "deals"
type = "sales.deal.updated"
id = "id"
time = "at"
[events.fields]
rep_id = "rep"
team_id = { column = "rep", lookup = "reps.team" }
amount = "amount"
"""


@pytest.fixture
def export(tmp_path: Path) -> Path:
    (tmp_path / "mine.toml").write_text(MAP)
    (tmp_path / "reps.csv").write_text("name,team\nAnn,North\n")
    (tmp_path / "deals-1.csv").write_text(
        'id,rep,at,amount\nD-2,Ann,2024-02-02,5\nD-1,Bob,2024-01-01,"1,5"\n'
    )
    (tmp_path / "deals-2.csv").write_text(
        "\ufeffid,rep,at,amount\r\nD-3,Ann,2023-03-03,7\r\nD-4,Ann\r\n,Ann,2023-03-03,7\r\n"
    )
    return tmp_path


def test_rows_of_all_files_come_in_order_of_time_and_bad_rows_by_file_and_line(export: Path) -> None:
    found = mapped_rows(str(export), load_map(str(export / "mine.toml")), UTC)
    ready = [item for item in found if isinstance(item, Ready)]
    assert [(item.key, item.file, item.line) for item in ready] == [
        (b"D-3", "deals-2.csv", 2),
        (b"D-2", "deals-1.csv", 2),
    ]
    assert b'"team_id":"North"' in ready[0].value
    refused = {(item.file, item.line): item.reason for item in found if isinstance(item, Refused)}
    assert refused == {
        ("deals-1.csv", 3): "amount: '1,5' is not a number",
        ("deals-2.csv", 3): "the row has more or fewer cells than the header",
        ("deals-2.csv", 4): "id: empty",
    }


def test_a_map_over_several_tables_wants_the_directory_and_its_files(export: Path) -> None:
    mapping = load_map(str(export / "mine.toml"))
    with pytest.raises(InputError, match=r"name the directory that holds deals\*\.csv, reps\.csv"):
        mapped_rows(str(export / "deals-1.csv"), mapping, UTC)
    (export / "reps.csv").unlink()
    with pytest.raises(InputError, match=r"no file 'reps\.csv', which the map calls table 'reps'"):
        mapped_rows(str(export), mapping, UTC)


def test_a_column_that_is_missing_and_a_wrong_encoding_are_told_by_file(export: Path) -> None:
    mapping = load_map(str(export / "mine.toml"))
    (export / "reps.csv").write_text("name,teem\n")
    with pytest.raises(ColumnMapError, match=r"reps\.csv: no column 'team' .*did you mean 'teem'"):
        mapped_rows(str(export), mapping, UTC)
    (export / "reps.csv").write_bytes("name,team\nJosé,Süd\n".encode("cp1252"))
    with pytest.raises(InputError, match=r"reps\.csv cannot be read.*set `encoding`"):
        mapped_rows(str(export), mapping, UTC)


def test_the_shipped_maps_load_and_an_unknown_one_names_them() -> None:
    assert shipped_maps() == ["maven-crm", "olist-funnel"]
    for name in shipped_maps():
        assert load_map(name).events
    with pytest.raises(InputError, match="maven-crm, olist-funnel"):
        load_map("hubspot")


def test_a_shift_keeps_local_hours_across_clock_changes_and_touches_only_times() -> None:
    data = {
        "deal_id": "D-1",
        "amount": "7.00",
        "created_at": "2024-01-31T23:00:00Z",  # midnight in Berlin, winter
        "closed_at": None,
        "expected_close_on": "2024-02-01",
        "unknown": "2024-01-31T23:00:00Z",
    }
    shifted = msgspec.json.decode(Shift(150, ZoneInfo("Europe/Berlin")).apply(event(data=data)))
    assert shifted["time"] == "2024-05-31T02:04:05.000Z"
    assert shifted["data"] == data | {
        "created_at": "2024-06-29T22:00:00.000Z",  # midnight in Berlin, summer
        "expected_close_on": "2024-06-30",
    }


def test_a_shift_moves_days_and_times_of_every_kind_and_leaves_the_names_of_periods() -> None:
    def shifted(**data: object) -> object:
        value = Shift(10, ZoneInfo("Europe/Berlin")).apply(event(data=data))
        return msgspec.json.decode(value)["data"]

    assert shifted(**{"from": "2024-03-25", "to": None}) == {"from": "2024-04-04", "to": None}
    assert shifted(active_from="2024-03-25", active_to="2024-03-26") == {
        "active_from": "2024-04-04", "active_to": "2024-04-05",
    }  # fmt: skip
    # Midnight in Berlin, before and after the clocks change.
    account = {"active_from": "2024-03-24T23:00:00Z", "churned_at": "2024-03-25T23:00:00Z"}
    assert shifted(**account) == {
        "active_from": "2024-04-03T22:00:00.000Z", "churned_at": "2024-04-04T22:00:00.000Z",
    }  # fmt: skip
    assert shifted(active_from=None) == {"active_from": None}
    assert shifted(valid_from="2024-03-25", period="2024-03") == {
        "valid_from": "2024-04-04", "period": "2024-03",
    }  # fmt: skip


def test_the_newest_event_comes_to_lie_in_the_last_day_and_nothing_moves_back() -> None:
    day = 86_400_000
    assert shift_to(10 * day, newest_ms=7 * day + 1, zone=UTC).days == 2
    assert shift_to(10 * day, newest_ms=7 * day, zone=UTC).days == 3
    assert shift_to(10 * day, newest_ms=10 * day + 5, zone=UTC).days == 0


@pytest.mark.parametrize(
    ("type_", "data", "topic", "key"),
    [
        ("sales.account.updated", {"account_id": "C-1"}, "sales.accounts", b"C-1"),
        ("sales.activity.completed", {"activity_id": "A", "deal_id": "D"}, "sales.activities", b"A"),
        ("sales.activity.completed", {"activity_id": "A"}, "sales.activities", b"A"),
        ("sales.feedback.received", {"feedback_id": "F-1", "rep_id": "R"}, "sales.feedback", b"F-1"),
        ("sales.spend.recorded", {"spend_id": "S-1", "team_id": "T"}, "sales.spend", b"S-1"),
        (
            "sales.target.set",
            {"kpi": "revenue", "level": "team", "key": "T", "period": "2026-11", "value": 5},
            "sales.reference",
            b"target:revenue:team:T:2026-11",
        ),
        ("sales.rep.updated", {"rep_id": "R"}, "sales.reference", b"rep:R:"),
        (
            "sales.rep.updated",
            {"rep_id": "R", "active_from": "2026-11-01"},
            "sales.reference",
            b"rep:R:2026-11-01",
        ),
        (
            "sales.rate.set",
            {"currency": "JPY", "rate": "0.0062", "valid_from": "2026-11-01"},
            "sales.reference",
            b"rate:JPY:2026-11-01",
        ),
        ("sales.market.set", {"period": "2026", "value": 1}, "sales.reference", b"market:2026"),
        ("sales.stage.set", {"stage": "proposal"}, "sales.reference", b"stage::proposal"),
    ],
)  # fmt: skip
def test_each_kind_is_keyed_by_its_id_on_its_own_topic(
    type_: str, data: dict[str, object], topic: str, key: bytes
) -> None:
    routed = route(event(type=type_, data=data))
    assert not isinstance(routed, Rejected), routed
    assert (routed.topic, routed.key) == (topic, key)
