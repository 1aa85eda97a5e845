"""Tokens of the settings: where they may stand, which are refused, and that no message shows one."""

import json
from pathlib import Path

import pytest

from metrics.web.access import Scope, Visitor
from streams.settings import Settings, SettingsError, load_settings

TOKEN, OTHER = "0123456789abcdef0123", "fedcba98765432100123"


def entry(name: str = "lobby", **keys: str) -> dict[str, str]:
    return {"name": name, "token": TOKEN, "may": "wall", **keys}


def error_of(monkeypatch: pytest.MonkeyPatch, *entries: object) -> str:
    monkeypatch.setenv("SALESFLOOR_ACCESS", json.dumps(entries))
    with pytest.raises(SettingsError) as caught:
        load_settings(None, {})
    assert TOKEN not in str(caught.value)
    return str(caught.value)


def without(key: str) -> dict[str, str]:
    return {name: value for name, value in entry().items() if name != key}


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([without("token")], "SALESFLOOR_ACCESS 'lobby' token: is missing; name a file that holds it with"),
        ([entry(token=TOKEN[:15])], "SALESFLOOR_ACCESS 'lobby' token: is shorter than 16 characters; `open"),
        ([entry(token=TOKEN + " x")], "token: has characters that an Authorization header cannot hold"),
        ([entry(token=TOKEN + "é")], "token: has characters that an Authorization header cannot hold"),
        ([without("may")], "SALESFLOOR_ACCESS 'lobby' may: is missing; give it (what it opens"),
        ([entry(may="walls")], "'lobby' may = 'walls': input should be 'all', 'wall', 'metrics' or 'rep'"),
        ([entry(may="rep")], "'lobby': may = 'rep' does not say whose commission it shows; add rep = 'R-9'"),
        ([entry(rep="R-9")], "'lobby': rep says nothing with may = 'wall'; leave it out or say may = 'rep'"),
        ([entry(), entry(token=OTHER)], "SALESFLOOR_ACCESS: 'lobby' is there twice; rename one"),
        ([entry(), entry("hall")], "SALESFLOOR_ACCESS: 'lobby' and 'hall' have the same token; `openssl"),
        ([{**without("token"), "tokn": TOKEN}], "'lobby' tokn: no such key; did you mean token?"),
        ([entry(token_file="somewhere")], "'lobby' token and token_file are both set; keep one of them"),
    ],
)
def test_an_entry_that_cannot_be_used_is_refused_with_the_fix(
    monkeypatch: pytest.MonkeyPatch, entries: list[object], said: str
) -> None:
    assert said in error_of(monkeypatch, *entries)


def test_json_that_cannot_be_read_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SALESFLOOR_ACCESS", f'[{{"token": "{TOKEN}"')
    with pytest.raises(SettingsError, match="SALESFLOOR_ACCESS: is not valid JSON") as caught:
        load_settings(None, {})
    assert TOKEN not in str(caught.value)


def written(tmp_path: Path, text: str) -> Settings:
    (tmp_path / "salesfloor.toml").write_text(text)
    return load_settings(tmp_path / "salesfloor.toml", {})


def test_a_token_comes_from_the_file_beside_the_settings(tmp_path: Path) -> None:
    (tmp_path / "ann.token").write_text(TOKEN + "\n")
    settings = written(
        tmp_path, '[[access]]\nname = "ann"\ntoken_file = "ann.token"\nmay = "rep"\nrep = "R-9"\n'
    )
    grant = settings.access[0].as_grant()
    assert grant.visitor == Visitor(Scope.REP, "R-9", every_commission=False)
    assert TOKEN not in repr(settings)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f'token = "{TOKEN}"', "[[access]] 'lobby' token is a secret and may not stand in the settings file"),
        ('token_file = "nowhere"', "[[access]] 'lobby' token_file = 'nowhere' cannot be read: No such file"),
        ('token_file = "empty"', "[[access]] 'lobby' token_file = 'empty' is empty; put the secret into it"),
        ('token_file = "short"', "[[access]] 'lobby' token: is shorter than 16 characters"),
    ],
)
def test_a_file_of_settings_holds_no_token_itself(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "short").write_text(TOKEN[:15])
    with pytest.raises(SettingsError) as caught:
        written(tmp_path, f'[[access]]\nname = "lobby"\nmay = "wall"\n{text}\n')
    assert said in str(caught.value)
    assert TOKEN[:15] not in str(caught.value)


def test_no_entry_is_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SALESFLOOR_ACCESS", "")
    assert load_settings(None, {}).access == ()


def test_only_who_may_see_all_sees_every_commission(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [entry(), entry("office", token=OTHER, may="all")]
    monkeypatch.setenv("SALESFLOOR_ACCESS", json.dumps(entries))
    grants = [each.as_grant() for each in load_settings(None, {}).access]
    assert [grant.visitor.every_commission for grant in grants] == [False, True]
