"""`salesfloor alerts`: what it prints and writes, and what it says when it cannot."""

import shutil
from pathlib import Path

import pytest
import yaml

from metrics.alerts.plan import ALERTS
from streams.alert_files import alertmanager_of, rules_of
from streams.cli import cli
from streams.commands.frame import run
from streams.settings import Settings


def test_rules_are_printed_as_one_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(cli, ["alerts", "rules"]) == 0
    groups = yaml.safe_load(capsys.readouterr().out)["groups"]
    assert [group["name"] for group in groups] == [
        "salesfloor-conversion", "salesfloor-business", "salesfloor-pipeline",
    ]  # fmt: skip
    assert {rule["alert"] for group in groups for rule in group["rules"]} == set(ALERTS)


def test_files_are_written_where_prometheus_reads_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for what in ("rules", "alertmanager"):
        assert run(cli, ["alerts", what, "--output", str(tmp_path / "here")]) == 0
    written = {
        path.relative_to(tmp_path / "here").as_posix(): path.read_text() for path in tmp_path.rglob("*.yml")
    }
    assert written == {**rules_of(Settings()), **alertmanager_of(Settings())}
    assert capsys.readouterr().out.count("wrote ") == len(written)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rules").write_text("a file, not a folder")
    assert run(cli, ["alerts", "rules", "--output", str(tmp_path)]) == 1
    told = capsys.readouterr().err
    assert "cannot be written" in told
    assert "name another --output" in told


def test_settings_under_which_a_rule_sees_nothing_are_a_misuse(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "salesfloor.toml"
    config.write_text('[alerts]\nfunnels = ["no_such"]\n')
    assert run(cli, ["alerts", "check", "--config", str(config)]) == 2
    assert "funnels names 'no_such'" in capsys.readouterr().err


def test_without_the_tools_it_says_where_they_come_from(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    assert run(cli, ["alerts", "check"]) == 1
    assert "promtool is not on the PATH" in capsys.readouterr().err


def test_the_help_says_what_each_does_and_how_it_takes_effect(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(cli, ["alerts", "--help"]) == 0
    told = capsys.readouterr().out
    assert all(word in told for word in ("rules", "alertmanager", "check", "reload", "Examples:"))
