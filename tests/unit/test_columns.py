"""Column maps: what a row becomes, and what a wrong map is told."""

from zoneinfo import ZoneInfo

import msgspec
import pytest

from streams.column_rows import RowError, RowMapper
from streams.columns import REFERENCE_FIELDS, TARGETS, ColumnMap, ColumnMapError, check_header, parse_map
from streams.decode import decode
from streams.events import EntityKind, Event
from streams.wire import TYPES

BERLIN = ZoneInfo("Europe/Berlin")

HEAD = """
[tables.t]
file = "t.csv"
{table}

[[events]]
type = "sales.deal.updated"
id = "id"
time = {{ value = "2024-01-01" }}
"""


def one_rule(fields: str, *, table: str = "", lookups: str = "") -> ColumnMap:
    text = HEAD.format(table=table).replace("id =", 'table = "t"\nid =')
    return parse_map(f"{text}\n[events.fields]\n{fields}\n{lookups}", "mine")


def data_of(
    mapping: ColumnMap, row: dict[str, str], lookups: dict[str, dict[str, dict[str, str]]] | None = None
) -> dict[str, object]:
    mapped = RowMapper(mapping, lookups or {}, BERLIN).event(mapping.events[0], {"id": "D-1"} | row)
    assert mapped is not None
    assert isinstance(decode(mapped.value, (), kind=mapped.kind), Event)
    event: dict[str, dict[str, object]] = msgspec.json.decode(mapped.value)
    return {name: value for name, value in event["data"].items() if name != "deal_id"}


def test_targets_are_exactly_the_fields_of_the_contract() -> None:
    for kind, fields in TARGETS.items():
        (form,) = {known.form for known in TYPES.values() if known.kind is kind}
        assert fields.keys() | {form.id_field} == form.known


@pytest.mark.parametrize(
    ("field", "cell", "expected"),
    [
        ('stage = "c"', " proposal ", {"stage": "proposal"}),
        ('stage = "c"', "  ", {}),
        ('status = { column = "c", values = { Gewonnen = "won" } }', "Gewonnen", {"status": "won"}),
        ('stage = { column = "c", values = { a = "b" } }', "kept", {"stage": "kept"}),
        ('stage = { column = "c", values = { a = "b" }, other = "rest" }', "z", {"stage": "rest"}),
        ('stage = { column = "c", default = "new" }', "", {"stage": "new"}),
        ('currency = { value = "EUR" }', "", {"currency": "EUR"}),
        ('amount = "c"', "12500.50", {"amount": "12500.50"}),
        ('amount = "c"', "1e3", {"amount": "1000"}),
        ('amount = { column = "c", scale = "0.01" }', "12345", {"amount": "123.45"}),
        ('probability = { column = "c", scale = "0.01" }', "35", {"probability": 0.35}),
        ('products = "c"', "GTX Pro", {"products": ["GTX Pro"]}),
        ('products = { column = "c", split = ";" }', "a; b;", {"products": ["a", "b"]}),
        ('created_at = "c"', "2024-07-01", {"created_at": "2024-06-30T22:00:00.000Z"}),
        ('created_at = "c"', "2024-01-31 10:30:00", {"created_at": "2024-01-31T09:30:00.000Z"}),
        ('created_at = "c"', "2024-01-31T10:30:00+05:30", {"created_at": "2024-01-31T05:00:00.000Z"}),
        (
            'created_at = { column = "c", zone = "UTC" }',
            "2024-01-31",
            {"created_at": "2024-01-31T00:00:00.000Z"},
        ),
        (
            'created_at = { column = "c", format = "%d.%m.%Y" }',
            "31.01.2024",
            {"created_at": "2024-01-30T23:00:00.000Z"},
        ),
        (
            'created_at = { column = "c", format = "epoch_ms" }',
            "1700000000123",
            {"created_at": "2023-11-14T22:13:20.123Z"},
        ),
        (
            'expected_close_on = { column = "c", format = "%m/%d/%y" }',
            "03/09/24",
            {"expected_close_on": "2024-03-09"},
        ),
    ],
)
def test_a_cell_becomes_the_field_its_target_asks_for(
    field: str, cell: str, expected: dict[str, object]
) -> None:
    assert data_of(one_rule(field), {"c": cell}) == expected


def test_midnight_that_a_clock_change_skips_is_the_days_first_moment() -> None:
    mapping = one_rule('created_at = { column = "c", zone = "America/Sao_Paulo" }')
    assert data_of(mapping, {"c": "2017-10-15"}) == {"created_at": "2017-10-15T03:00:00.000Z"}


def test_numbers_with_other_marks_are_read_as_the_table_says() -> None:
    mapping = one_rule('amount = "c"', table='decimal_mark = ","\nthousands_mark = "."')
    assert data_of(mapping, {"c": "1.234.567,89"}) == {"amount": "1234567.89"}


@pytest.mark.parametrize("cell", ["12,50", "1,2345", ",500", "1,2,345", "1,000,00", "1.5,000"])
def test_marks_that_part_no_thousands_are_not_taken_for_such(cell: str) -> None:
    mapping = one_rule('amount = "c"', table='thousands_mark = ","')
    with pytest.raises(RowError, match="is not a number"):
        data_of(mapping, {"c": cell})


def test_thousands_and_lakhs_are_read() -> None:
    mapping = one_rule('amount = "c"', table='thousands_mark = ","')
    for cell, amount in (("12,500.00", "12500.00"), ("12,34,567", "1234567"), ("1250", "1250")):
        assert data_of(mapping, {"c": cell}) == {"amount": amount}


def test_words_for_nothing_count_as_an_empty_cell() -> None:
    mapping = one_rule('stage = "c"', table='empty = ["NULL", "n/a"]')
    assert data_of(mapping, {"c": "n/a"}) == {}


def test_the_first_column_with_something_in_it_is_taken() -> None:
    mapping = one_rule('stage = { first = ["a", "b"] }')
    assert data_of(mapping, {"a": "", "b": "x"}) == {"stage": "x"}
    assert data_of(mapping, {"a": "y", "b": "x"}) == {"stage": "y"}


@pytest.mark.parametrize(
    ("when", "won", "empty"),
    [
        ('{ s = "won" }', True, False),
        ('{ s = ["won", ""] }', True, True),
        ("{ s = { empty = true } }", False, True),
        ("{ s = { empty = false } }", True, False),
        ('{ s = { not = "won" } }', False, True),
        ('{ s = { not = ["lost"] } }', True, True),
    ],
)
def test_a_condition_decides_whether_the_column_speaks(when: str, won: bool, empty: bool) -> None:
    mapping = one_rule(f'amount = {{ column = "c", when = {when} }}')
    assert ("amount" in data_of(mapping, {"c": "5", "s": "won"})) is won
    assert ("amount" in data_of(mapping, {"c": "5", "s": ""})) is empty


def test_a_lookup_answers_from_the_other_table_and_a_missing_key_with_nothing() -> None:
    other = '[tables.teams]\nfile = "teams.csv"\nkey = "agent"'
    mapping = one_rule('team_id = { column = "c", lookup = "teams.boss" }', lookups=other)
    lookups = {"teams": {"Ann": {"agent": "Ann", "boss": "Maya"}}}
    assert data_of(mapping, {"c": "Ann"}, lookups) == {"team_id": "Maya"}
    assert data_of(mapping, {"c": "Bob"}, lookups) == {}


def test_a_row_whose_condition_fails_makes_no_event() -> None:
    mapping = parse_map(HEAD.format(table="") + 'when = { s = "won" }', "mine")
    mapper = RowMapper(mapping, {}, BERLIN)
    assert mapper.event(mapping.events[0], {"id": "1", "s": "won"}) is not None
    assert mapper.event(mapping.events[0], {"id": "1", "s": "lost"}) is None


@pytest.mark.parametrize(
    ("field", "row", "complaint"),
    [
        ('amount = "c"', {"c": "twelve"}, "amount: 'twelve' is not a number"),
        ('amount = "c"', {"c": "NaN"}, "amount: 'NaN' is not a number"),
        ('amount = "c"', {"c": "1e999999999"}, "amount: '1e999999999' is not a number"),
        ('amount = "c"', {"c": "1e-999999"}, "amount: '1e-999999' is not a number"),
        (
            'created_at = { column = "c", format = "epoch_seconds" }',
            {"c": "1e999999"},
            "created_at: '1e999999' is not a date or time of the form 'epoch_seconds'",
        ),
        (
            'created_at = "c"',
            {"c": "31/01/2024"},
            "created_at: '31/01/2024' is not a date or time in ISO form",
        ),
        ('created_at = { column = "c", format = "%d.%m.%Y" }', {"c": "2024"}, "of the form '%d.%m.%Y'"),
        ('stage = "c"', {"c": "x", "id": " "}, "id: empty"),
    ],
)
def test_a_cell_that_cannot_be_read_says_which_and_why(
    field: str, row: dict[str, str], complaint: str
) -> None:
    with pytest.raises(RowError) as refused:
        data_of(one_rule(field), row)
    assert complaint in str(refused.value)


def test_an_id_depends_on_the_content_alone_and_a_revision_comes_first() -> None:
    def event_id(text: str, stage: str) -> str:
        mapping = parse_map(f'{text}\n[events.fields]\nstage = "c"', "mine")
        mapped = RowMapper(mapping, {}, BERLIN).event(mapping.events[0], {"id": "D", "c": stage})
        assert mapped is not None
        decoded: dict[str, str] = msgspec.json.decode(mapped.value)
        return decoded["id"]

    text = HEAD.format(table="")
    assert event_id(text, "a") == event_id(text, "a") != event_id(text, "b")
    newer = event_id(f"revision = 2\n{text}", "a")
    assert max(newer, event_id(f"revision = 10\n{text}", "a")) != newer


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("[[events]]", "[[events"), "mine: not valid TOML"),
        (("time =", "tiem ="), "tiem"),
        (("sales.deal.updated", "sales.deals.updated"), "did you mean 'sales.deal.updated'?"),
        (('stage = "c"', 'stag = "c"'), "mine: event 1: a deal has no field 'stag'; did you mean 'stage'?"),
        (('stage = "c"', 'deal_id = "c"'), "comes from `id`"),
        (('stage = "c"', 'stage = { colum = "c" }'), "colum"),
        (('stage = "c"', "stage = { }"), "event 1, stage: give exactly one of column, first and value"),
        (('stage = "c"', 'stage = { column = "c", lookup = "x.y" }'), "unknown table 'x'"),
        (('stage = "c"', 'stage = { column = "c", lookup = "t.y" }'), "table 't' has no key"),
        (('stage = "c"', 'created_at = { column = "c", zone = "Mars" }'), "'Mars' is not an IANA zone"),
        (("[tables.t]", '[tables.u]\nfile = "u.csv"\n[tables.t]'), "unknown table ''; there are: t, u"),
    ],
)
def test_a_wrong_map_is_told_where_and_what(change: tuple[str, str], complaint: str) -> None:
    text = (HEAD.format(table="") + '[events.fields]\nstage = "c"').replace(*change)
    with pytest.raises(ColumnMapError) as error:
        parse_map(text, "mine")
    assert complaint in str(error.value)
    assert str(error.value).startswith("mine: ")


def test_a_column_the_file_does_not_have_is_named_with_the_one_that_is_near() -> None:
    mapping = one_rule('amount = { column = "value", when = { stage = "won" } }')
    check_header(mapping, "t", ["id", "value", "stage"], "t.csv")
    with pytest.raises(
        ColumnMapError, match=r"t\.csv: no column 'value' \(event 1, amount\); did you mean 'valeu'"
    ):
        check_header(mapping, "t", ["id", "valeu", "stage"], "t.csv")
    with pytest.raises(ColumnMapError, match="no column 'stage'"):
        check_header(mapping, "t", ["id", "value"], "t.csv")


REFERENCE_MAP = """
[tables.t]
file = "t.csv"

[[events]]
type = "{type}"
time = {{ value = "2024-01-01" }}
{id}
[events.fields]
{fields}
"""


def test_fields_of_reference_records_are_exactly_those_of_the_contract() -> None:
    types = {name: known for name, known in TYPES.items() if known.kind is EntityKind.REFERENCE}
    assert {name: frozenset(fields) for name, fields in REFERENCE_FIELDS.items()} == {
        name: known.form.known for name, known in types.items()
    }


@pytest.mark.parametrize(
    ("event_type", "fields", "row", "expected"),
    [
        (
            "sales.stage.set",
            'stage = "s"\norder = "o"\nprobability = { column = "p", scale = "0.01" }',
            {"s": "Offer", "o": "3", "p": "40"},
            {"stage": "Offer", "order": 3, "probability": 0.4},
        ),
        (
            "sales.market.set",
            'period = "s"\nvalue = "o"\ncurrency = { value = "EUR" }',
            {"s": "2026-Q4", "o": "9000000.50"},
            {"period": "2026-Q4", "value": "9000000.50", "currency": "EUR"},
        ),
    ],
)
def test_a_row_becomes_a_reference_record(
    event_type: str, fields: str, row: dict[str, str], expected: dict[str, object]
) -> None:
    mapping = parse_map(REFERENCE_MAP.format(type=event_type, id="", fields=fields), "mine")
    mapped = RowMapper(mapping, {}, BERLIN).event(mapping.events[0], row)
    assert mapped is not None
    assert isinstance(decode(mapped.value, (), kind=mapped.kind), Event)
    event = msgspec.json.decode(mapped.value)
    assert event["data"] == expected
    assert "subject" not in event


@pytest.mark.parametrize(
    ("event_type", "own_id", "fields", "said"),
    [
        ("sales.rate.set", 'id = "c"', 'rate = "r"', "is identified by its fields; leave `id` out"),
        ("sales.rate.set", "", 'currency = "c"\nrate = "r"', "sales.rate.set needs the field 'valid_from'"),
        ("sales.target.set", "", 'kpi = "c"\nperiod = "p"\nvalu = "v"', "a target has no field 'valu'"),
        (
            "sales.deal.updated",
            "",
            'stage = "c"',
            "`id` is missing; name the column that identifies the deal",
        ),
    ],
)
def test_a_map_that_cannot_identify_a_record_is_told(
    event_type: str, own_id: str, fields: str, said: str
) -> None:
    with pytest.raises(ColumnMapError) as caught:
        parse_map(REFERENCE_MAP.format(type=event_type, id=own_id, fields=fields), "mine")
    assert said in str(caught.value)
