"""Sources in the settings: what is accepted, what is said about what is not, and where secrets come from."""

from pathlib import Path

import pytest

from streams.commands import records
from streams.gateway.apis import Api, open_apis
from streams.gateway.model import Source
from streams.gateway.sources import open_sources
from streams.settings import SettingsError, load_settings

HUBSPOT = {
    "name": '"hubspot"',
    "kind": '"hubspot"',
    "public_url": '"https://hooks.example.com/hooks/hubspot"',
    "secret_env": '["HUBSPOT_SECRET"]',
}


TOKEN = {"api_token_env": '"HUBSPOT_TOKEN"'}
LOOKING_UP = """
[tables.body]
[tables.people]
key = "id"
[[events]]
table = "body"
type = "sales.deal.updated"
id = "id"
time = "@received"
[events.fields]
rep_id = { column = "owner", lookup = "people.rep" }
"""


def written(folder: Path, *tables: dict[str, str]) -> Path:
    lines = [
        line
        for table in tables
        for line in ("[[sources]]", *(f"{key} = {told}" for key, told in table.items()))
    ]
    path = folder / "salesfloor.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def opened(path: Path, **environ: str) -> dict[str, Source]:
    return open_sources(load_settings(path), environ)


def opened_apis(path: Path, **environ: str) -> dict[str, Api]:
    return open_apis(load_settings(path), environ)


def test_source_has_the_vendors_defaults_under_its_own_maps(tmp_path: Path) -> None:
    own = {"stage_status": '{ "81234" = "won" }', "reps": '{ "910901" = "R-9" }', "account": '"62515"'}
    source = opened(written(tmp_path, {**HUBSPOT, **own}), HUBSPOT_SECRET="s3cret")["hubspot"]
    assert (source.stage_status["81234"], source.stage_status["closedlost"]) == ("won", "lost")
    assert (source.rep("910901"), source.rep("7")) == ("R-9", "7")
    assert (source.secrets, source.signatures, source.zone.key) == (("s3cret",), ("v3",), "UTC")


def test_two_secrets_are_valid_while_one_is_changed(tmp_path: Path) -> None:
    (tmp_path / "old.secret").write_text("old\n", encoding="utf-8")
    path = written(tmp_path, {**HUBSPOT, "secret_files": '["old.secret"]'})
    assert opened(path, HUBSPOT_SECRET="new")["hubspot"].secrets == ("new", "old")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"kind": '"hubspt"'}, "'hubspot' kind = 'hubspt': is no kind of source; there is "),
        ({"name": '"Hub Spot"'}, "name = 'Hub Spot'"),
        ({"name": '"events"'}, "POST /events"),
        ({"secrets": '["s3cret"]'}, "secrets: no such key; did you mean secret_"),
        ({"secret_env": "[]"}, "names no secret; set secret_env"),
        ({"secret_env": '["A", "B", "C"]'}, "names 3 secrets; at most 2"),
        ({"signatures": '["v9"]'}, "accepts the signature 'v9'; hubspot has v3, v2, v1"),
        ({"public_url": '""'}, "set public_url"),
        ({"public_url": '"hooks.example.com"'}, "is not an address"),
        ({"stage_status": '{ a = "gone" }'}, "input should be 'open', 'won' or 'lost'"),
        ({"options": '{ goal = "x" }'}, "has the option 'goal'; hubspot knows lead_object, goal_kpi"),
        ({"zone": '"Berlin"'}, "is not an IANA zone"),
        ({"currency": '"EURO"'}, "is not an ISO 4217 code"),
        ({"kind": '"generic"'}, "has no map"),
        ({"topics": '["crm.deals"]'}, "is hubspot, which is not read from topics; kinds that can"),
        ({"topics": '["sales.deals"]'}, "names 'sales.deals', which is salesfloor's own"),
        ({"topics": '["crm deals"]'}, "names 'crm deals', which cannot be a Kafka topic"),
        ({"api_base_url": '"https://api.example.com"'}, "and no token; set api_token_env or api_token_file"),
        ({**TOKEN, "api_token_file": '"t"'}, "names api_token_env and api_token_file; keep one"),
        ({**TOKEN, "api_base_url": '"http://api.example.com"'}, "is not an address of an API"),
        ({**TOKEN, "api_base_url": '"https://me@api.example.com"'}, "is not an address of an API"),
        ({**TOKEN, "kind": '"salesforce"'}, "where each customer has an address; set api_base_url"),
        ({**TOKEN, "kind": '"cloudevents"'}, "cloudevents is not fetched from; kinds that are: hubspot"),
    ],
)
def test_what_cannot_be_used_is_named_with_the_fix(
    tmp_path: Path, changed: dict[str, str], said: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(written(tmp_path, {**HUBSPOT, **changed}))
    assert said in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_names_are_unique(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="number 2 has the name of number 1, 'hubspot'; rename one"):
        load_settings(written(tmp_path, HUBSPOT, HUBSPOT))


def test_missing_secret_or_map_stops_the_gateway_alone_and_every_one_is_named(tmp_path: Path) -> None:
    files = {"secret_env": "[]", "secret_files": '["no.secret"]'}
    mapped = {"name": '"shop"', "kind": '"generic"', "secret_env": '["SHOP"]', "map": '"no.toml"'}
    path = written(tmp_path, HUBSPOT, {**HUBSPOT, **files, "name": '"second"'}, mapped)
    load_settings(path)
    with pytest.raises(SettingsError) as caught:
        opened(path, SHOP="x")
    first, second, third = str(caught.value).splitlines()
    assert first.endswith(
        "'hubspot' secret_env: the variable HUBSPOT_SECRET is not set; set it to the secret"
    )
    assert f"{tmp_path}/no.secret' cannot be read: No such file" in second
    assert f"{tmp_path}/no.toml" in third


def test_secret_of_the_wrong_form_is_refused_without_being_said(tmp_path: Path) -> None:
    (tmp_path / "map.toml").write_text(
        '[tables.body]\n[[events]]\ntype = "sales.deal.updated"\nid = "id"\ntime = "@received"\n',
        encoding="utf-8",
    )
    told = {"name": '"s"', "kind": '"standard-webhooks"', "secret_env": '["WH"]', "map": '"map.toml"'}
    path = written(tmp_path, told)
    assert opened(path, WH="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    with pytest.raises(SettingsError, match="it begins with whsec_") as caught:
        opened(path, WH="hunter2")
    assert "hunter2" not in str(caught.value)


def test_map_that_looks_into_other_tables_is_refused(tmp_path: Path) -> None:
    (tmp_path / "map.toml").write_text(LOOKING_UP, encoding="utf-8")
    path = written(tmp_path, {"name": '"g"', "kind": '"generic"', "secret_env": '["G"]', "map": '"map.toml"'})
    with pytest.raises(SettingsError, match="other tables"):
        opened(path, G="x")


def test_check_says_that_the_gateway_would_not_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HUBSPOT_SECRET", raising=False)
    records.check(load_settings(written(tmp_path, HUBSPOT)), connect=False, as_json=False)
    shown = capsys.readouterr()
    assert shown.out == "settings are fine\n"
    assert "Warning: salesfloor gateway would not start" in shown.err
    assert "HUBSPOT_SECRET is not set" in shown.err


def test_api_of_a_source_with_a_token_is_the_vendors_own_unless_said(tmp_path: Path) -> None:
    own = {**HUBSPOT, **TOKEN, "name": '"own"', "api_base_url": '"https://api.example.com/"'}
    path = written(tmp_path, HUBSPOT | {"name": '"none"'}, {**HUBSPOT, **TOKEN}, own)
    apis = opened_apis(path, HUBSPOT_TOKEN=" pat-1\n")
    assert {name: api.base_url for name, api in apis.items()} == {
        "hubspot": "https://api.hubapi.com",
        "own": "https://api.example.com",
    }
    assert apis["own"].token() == "pat-1"
    assert "pat-1" not in repr(apis)


def test_token_in_a_file_is_read_anew_each_time(tmp_path: Path) -> None:
    (tmp_path / "api.token").write_text("first\n", encoding="utf-8")
    api = opened_apis(written(tmp_path, {**HUBSPOT, "api_token_file": '"api.token"'}))["hubspot"]
    assert api.token() == "first"
    (tmp_path / "api.token").write_text("second\n", encoding="utf-8")
    assert api.token() == "second"


def test_missing_or_unfit_api_token_stops_the_gateway_and_is_not_said(tmp_path: Path) -> None:
    path = written(tmp_path, {**HUBSPOT, **TOKEN}, {**HUBSPOT, "name": '"f"', "api_token_file": '"no"'})
    with pytest.raises(SettingsError) as caught:
        opened_apis(path, HUBSPOT_TOKEN="Bearer hunter2")
    first, second = str(caught.value).splitlines()
    assert first.startswith("[[sources]] 'hubspot' api_token_env: what HUBSPOT_TOKEN holds is no API token")
    assert "/no' cannot be read: No such file" in second
    assert "hunter2" not in str(caught.value)
    with pytest.raises(SettingsError, match="HUBSPOT_TOKEN is not set"):
        opened_apis(path)
