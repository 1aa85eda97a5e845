"""Settings: precedence, and errors that name the key, the value and the fix."""

from pathlib import Path

import pytest

from metrics.catalogue import BUILT_IN
from metrics.gauge_windows import BY_DEFAULT
from metrics.windows import WINDOW_NAMES
from streams.settings import Settings, SettingsError, calendar_of, load_settings, snapshot_config_of
from streams.settings_doc import render, render_example


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    for name in [name for name in os.environ if name.startswith("SALESFLOOR_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "salesfloor.toml"
    path.write_text(text)
    return path


def error_of(path: Path | None = None, **overrides: object) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(path, overrides)
    return str(caught.value)


def test_without_file_or_environment_the_defaults_hold() -> None:
    assert load_settings(None, {}) == Settings()


def test_file_in_the_current_directory_is_read(tmp_path: Path) -> None:
    write(tmp_path, '[floor]\nzone = "Asia/Singapore"\n')
    assert load_settings(None, {}).floor.zone == "Asia/Singapore"


def test_option_beats_environment_beats_file_beats_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, '[kafka]\nbootstrap = "file:1"\ngroup = "file"\npartitions = 7\n')
    monkeypatch.setenv("SALESFLOOR_KAFKA", "env:2")
    monkeypatch.setenv("SALESFLOOR_KAFKA__GROUP", "env")
    kafka = load_settings(None, {"kafka": {"bootstrap": "option:3", "group": None}}).kafka
    assert (kafka.bootstrap, kafka.group, kafka.partitions) == ("option:3", "env", 7)
    assert kafka.replication == 1


def test_short_environment_names_set_the_two_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SALESFLOOR_KAFKA", "broker:9093")
    monkeypatch.setenv("SALESFLOOR_REDIS", "127.0.0.1:6380")
    settings = load_settings(None, {})
    assert settings.kafka.bootstrap == "broker:9093"
    assert settings.redis.url.get_secret_value() == "redis://127.0.0.1:6380/0"


def test_environment_lists_may_be_comma_separated_and_tables_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SALESFLOOR_METRICS__WINDOWS", "1h, today")
    monkeypatch.setenv("SALESFLOOR_FLOOR__HOLIDAYS", '["2026-12-25"]')
    monkeypatch.setenv("SALESFLOOR_FLOOR__STAGE_PROBABILITY", '{"proposal": 0.5}')
    settings = load_settings(None, {})
    assert settings.metrics.windows == ("1h", "today")
    assert settings.floor.holidays[0].isoformat() == "2026-12-25"
    assert settings.floor.stage_probability == {"proposal": 0.5}


def test_two_variables_for_one_key_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SALESFLOOR_KAFKA", "a:1")
    monkeypatch.setenv("SALESFLOOR_KAFKA__BOOTSTRAP", "b:2")
    message = error_of()
    assert "SALESFLOOR_KAFKA " in message
    assert "SALESFLOOR_KAFKA__BOOTSTRAP" in message


def test_config_variable_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "other.toml"
    other.write_text('clock = "event"')
    monkeypatch.setenv("SALESFLOOR_CONFIG", str(other))
    assert load_settings(None, {}).clock == "event"


def test_missing_file_is_named(tmp_path: Path) -> None:
    assert f"{tmp_path}/nowhere.toml: no such file" in error_of(tmp_path / "nowhere.toml")


def test_toml_syntax_error_names_the_line(tmp_path: Path) -> None:
    message = error_of(write(tmp_path, '[floor]\nzone = "UTC\n'))
    assert "salesfloor.toml" in message
    assert "line 2" in message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[flor]\nzone = "UTC"', "flor: no such setting; did you mean floor?"),
        ('[floor]\ntime_zone = "UTC"', "[floor] time_zone: no such setting; did you mean zone?"),
        ('zone = "UTC"', "zone: no such setting; did you mean [floor] zone?"),
        ('kafka = "localhost:9092"', "kafka = 'localhost:9092': is a section; write [kafka]"),
        ('[kafka]\npartitions = "many"', "[kafka] partitions = 'many': input should be a valid integer"),
        ("[kafka]\npartitions = 0", "[kafka] partitions = 0: input should be greater than or equal to 1"),
        ('[kafka]\nbootstrap = "localhost"', "write host:port"),
        ('[floor]\nzone = "Berlin"', "[floor] zone = 'Berlin': is not an IANA zone; use a name such as"),
        ('[floor]\ncurrency = "EURO"', "[floor] currency = 'EURO': is not an ISO 4217 code"),
        ('[floor]\nweek_start = "funday"', "[floor] week_start = 'funday': input should be 'monday'"),
        ('[metrics]\nwindows = ["1h", "2h"]', "= '2h': input should be '5m'"),
        ("[worker]\nretention_days = 10", "activity_horizon_days is longer than retention_days; lower it"),
        ('[redis]\nurl = "http://x"', "[redis] url: is not a Redis address"),
        ('[redis]\nurl = "redis+sentinel://a:1"', "[redis] url: name the master behind the sentinels"),
    ],
)
def test_error_names_key_value_and_fix(tmp_path: Path, text: str, expected: str) -> None:
    assert expected in error_of(write(tmp_path, text))


def test_every_fault_gets_its_own_line(tmp_path: Path) -> None:
    message = error_of(write(tmp_path, '[floor]\nzone = "Berlin"\ncurrency = "EURO"\n'))
    assert len(message.splitlines()) == 2


def test_fault_in_a_variable_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SALESFLOOR_FLOOR__ZONE", "Mars")
    assert error_of().startswith("SALESFLOOR_FLOOR__ZONE = 'Mars': is not an IANA zone")


@pytest.mark.parametrize(
    ("misspelt", "right"),
    [
        ("SALESFLOOR_FLOOR__ZOEN", "SALESFLOOR_FLOOR__ZONE"),
        ("SALESFLOOR_FLOOR_ZONE", "SALESFLOOR_FLOOR__ZONE"),
        ("SALESFLOOR_KAFAK", "SALESFLOOR_KAFKA"),
    ],
)
def test_misspelt_variable_is_refused_with_the_right_name(
    monkeypatch: pytest.MonkeyPatch, misspelt: str, right: str
) -> None:
    monkeypatch.setenv(misspelt, "UTC")
    assert f"did you mean {right}?" in error_of()


def test_variables_of_a_kubernetes_service_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SALESFLOOR_GATEWAY_PORT", "tcp://10.0.0.1:8401")
    monkeypatch.setenv("SALESFLOOR_REDIS_SERVICE_HOST", "10.0.0.2")
    assert load_settings(None, {}) == Settings()


# --- secrets


def test_secret_in_the_settings_file_is_refused_without_showing_it(tmp_path: Path) -> None:
    message = error_of(write(tmp_path, '[gateway]\ntoken = "hunter2"'))
    assert "token_file" in message
    assert "SALESFLOOR_GATEWAY__TOKEN" in message
    assert "hunter2" not in message


def test_redis_address_with_a_password_is_refused_in_the_file(tmp_path: Path) -> None:
    message = error_of(write(tmp_path, '[redis]\nurl = "redis://:hunter2@host:6379/0"'))
    assert "url_file" in message
    assert "hunter2" not in message


def test_secret_is_read_from_a_file_beside_the_settings_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hunter2\n")
    path = write(tmp_path, '[gateway]\ntoken_file = "token"')
    token = load_settings(path, {}).gateway.token
    assert token is not None
    assert token.get_secret_value() == "hunter2"


def test_secret_file_that_is_missing_or_empty_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, '[gateway]\ntoken_file = "token"')
    assert "[gateway] token_file = 'token' cannot be read: No such file" in error_of(path)
    (tmp_path / "token").write_text("\n")
    assert "is empty" in error_of(path)


def test_wrong_secret_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SALESFLOOR_REDIS", "amqp://:hunter2@host")
    message = error_of()
    assert message.startswith("SALESFLOOR_REDIS: is not a Redis address")
    assert "hunter2" not in message


def test_settings_print_no_secret() -> None:
    settings = Settings.model_validate({"gateway": {"token": "hunter2"}})
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in str(settings)


# --- what is derived from them, and the page about them


def test_calendar_takes_every_calendar_key() -> None:
    floor = Settings.model_validate(
        {
            "floor": {
                "zone": "Asia/Tehran",
                "week_start": "saturday",
                "fiscal_year_start_month": 4,
                "business_days": ["saturday", "sunday"],
                "holidays": ["2026-03-21"],
            }
        }
    ).floor
    calendar = calendar_of(floor)
    assert (calendar.zone.key, calendar.week_start) == ("Asia/Tehran", "saturday")
    assert calendar.fiscal_year_start_month == 4
    assert calendar.business_days == {"saturday", "sunday"}
    assert [day.isoformat() for day in calendar.holidays] == ["2026-03-21"]


def test_page_about_settings_says_what_the_model_says() -> None:
    page = Path(__file__).parents[2] / "docs" / "settings.md"
    assert page.read_text() == render(), "run: python -m streams.settings_doc > docs/settings.md"


def test_example_on_the_page_is_a_settings_file_that_changes_nothing(tmp_path: Path) -> None:
    assert load_settings(write(tmp_path, render_example()), {}) == Settings()


def test_definition_version_changes_with_what_the_panes_hold_only() -> None:
    plain = Settings().definition_version
    assert Settings.model_validate({"floor": {"zone": "Asia/Tokyo"}}).definition_version != plain
    assert Settings.model_validate({"metrics": {"port": 1}}).definition_version == plain


def test_windows_of_one_level_leave_the_others_as_they_are(tmp_path: Path) -> None:
    file = write(tmp_path, '[metrics.windows_of]\nrep = ["1h"]\n[metrics.previous_of]\nfloor = []\n')
    shown = snapshot_config_of(load_settings(file, {})).gauge_windows
    revenue = BUILT_IN["revenue"]
    assert shown.of(revenue, "rep", WINDOW_NAMES) == ("1h",)
    assert shown.of(revenue, "team", WINDOW_NAMES) == BY_DEFAULT.of(revenue, "team", WINDOW_NAMES)
    assert shown.of(revenue, "floor", WINDOW_NAMES) == WINDOW_NAMES
    assert shown.of(revenue, "floor", WINDOW_NAMES, previous=True) == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[metrics]\nwindows = ["today"]\nwindows_of = { rep = ["1h"] }', "names for rep '1h'"),
        ('[metrics]\nwindows = ["today"]\nprevious_of = { rep = ["1h"] }', "names for rep '1h'"),
        (
            '[metrics]\nwindows = ["today"]\n'
            '[[kpis]]\nname = "x"\nsentence = "X."\nformula = "won"\nunit = "count"\nwindows = ["1h"]',
            "KPI 'x': windows names '1h'",
        ),
    ],
)
def test_a_window_that_no_snapshot_holds_cannot_be_a_gauge(tmp_path: Path, text: str, said: str) -> None:
    message = error_of(write(tmp_path, text))
    assert said in message
    assert "which [metrics] windows leaves out; add it there" in message
