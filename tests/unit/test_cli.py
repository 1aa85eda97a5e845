"""The command line: help with examples, errors as one clear line, exit codes a script can rely on."""

import json
import os
from pathlib import Path

import pytest

from streams.cli import cli
from streams.commands.frame import run

COMMANDS = sorted(cli.commands)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("SALESFLOOR_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_all_promised_commands_are_there() -> None:
    running = ["demo", "simulate", "run", "worker", "metrics", "gateway"]
    others = [
        "publish",
        "snapshot",
        "kpis",
        "topics",
        "alerts",
        "schemas",
        "verify",
        "incomplete",
        "rebuild",
        "check",
    ]
    assert sorted([*running, *others]) == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example_that_names_the_command(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(cli, [command, "--help"]) == 0
    examples = capsys.readouterr().out.partition("Examples:")[2]
    assert f"salesfloor {command}" in examples


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["serve"], "No such command"),
        (["run", "--port", "1"], "No such option"),
        (["metrics", "--port", "70000"], "70000 is not in the range"),
        (["run", "--simulate"], "needs --embedded"),
        (["run", "--kafka-port", "1"], "belong to --embedded"),
        (["demo", "--kafka", "broker:9092"], "leave out --kafka"),
        (["check", "--config", "nowhere.toml"], "nowhere.toml: no such file"),
        (["check", "--kafka", "broker"], "write host:port"),
        (["gateway", "--host", "0.0.0.0"], "SALESFLOOR_GATEWAY__TOKEN"),
        (["snapshot", "--at", "yesterday"], "2026-11-21T09:30:00Z"),
        (["snapshot", "--kpi", "revenu"], "did you mean revenue"),
        (["snapshot", "--level", "squad"], "unknown level 'squad'"),
        (["publish", "nowhere.jsonl"], "nowhere.jsonl"),
        (["publish", "x.csv", "--map", "nowhere.toml"], "nowhere.toml"),
    ],
)
def test_mistake_ends_with_2_and_says_what_to_do(
    arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(cli, arguments) == 2
    said = capsys.readouterr().err
    assert expected in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["snapshot"], "Redis at redis://127.0.0.1:{port}/0 does not answer"),
        (["topics"], "Kafka at 127.0.0.1:{port} does not answer"),
        (["check", "--connect"], "Kafka at 127.0.0.1:{port} does not answer"),
        (["publish", "events.jsonl"], "Kafka at 127.0.0.1:{port} does not answer"),
    ],
)
@pytest.mark.filterwarnings("ignore::ResourceWarning:aiokafka.*")
def test_kafka_or_redis_away_ends_with_1_and_says_who(
    arguments: list[str], expected: str, unused_tcp_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("events.jsonl").write_text("")
    address = f"127.0.0.1:{unused_tcp_port}"
    assert run(cli, [*arguments, "--kafka", address, "--redis", f"redis://{address}/0"]) == 1
    said = capsys.readouterr().err
    assert expected.format(port=unused_tcp_port) in said
    assert "Traceback" not in said


def test_debug_shows_where_an_error_came_from(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(cli, ["check", "--config", "nowhere.toml", "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_error_of_a_kind_nobody_expected_is_one_line_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_args: object, **_options: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("streams.commands.numbers.kpis", broken)
    assert run(cli, ["kpis"]) == 1
    said = capsys.readouterr().err
    assert said == "Error: unexpected ZeroDivisionError: division by zero (--debug shows where)\n"


def test_check_without_any_file_is_fine(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(cli, ["check"]) == 0
    assert capsys.readouterr().out == "settings are fine\n"


def test_check_as_json_shows_no_secret(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SALESFLOOR_GATEWAY__TOKEN", "hunter2")
    assert run(cli, ["check", "--json"]) == 0
    said = capsys.readouterr().out
    assert json.loads(said)["settings"]["floor"]["zone"] == "UTC"
    assert "hunter2" not in said


def test_kpis_as_json_have_what_a_program_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(cli, ["kpis", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    revenue = listed[0]
    assert revenue["name"] == "revenue"
    assert {"quota_attainment", "pace_expected", "forecast_commit"} <= {each["name"] for each in listed}
    for each in listed:
        assert each.keys() == revenue.keys()
    assert revenue.keys() == {"name", "sentence", "formula", "unit", "levels", "quantiles", "gauges"}


def test_kpis_for_people_name_sentence_and_formula(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(cli, ["kpis"]) == 0
    said = capsys.readouterr().out
    assert "Share won of the deals closed in the window." in said
    assert "= deals_won / deals_closed" in said
