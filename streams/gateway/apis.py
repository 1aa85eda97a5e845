"""Checked `[[sources]]` in, how their vendors' APIs are reached out. Reads files and the environment.

A token's value is in no message. It is static: salesfloor renews none by OAuth.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from streams.gateway.fetchers import FETCHERS
from streams.settings import Settings, SettingsError
from streams.settings_gateway import SourceSettings
from streams.settings_sources import secret_in


@dataclass(frozen=True, slots=True)
class Api:
    base_url: str
    token: Callable[[], str] = field(repr=False)
    """A token in a file is read anew each time, so another program may renew it there. Raises
    `SettingsError`."""


def open_apis(settings: Settings, environ: Mapping[str, str]) -> dict[str, Api]:
    """Return the APIs by source name, of the sources that have a token; raise `SettingsError` with a line for
    each that cannot be used."""
    apis: dict[str, Api] = {}
    wrong: list[str] = []
    for told in settings.sources:
        if not told.api_token_env and told.api_token_file is None:
            continue
        token = _token(told, environ)
        try:
            token()
        except SettingsError as error:
            wrong.append(f"[[sources]] {told.name!r} {error}")
        apis[told.name] = Api((told.api_base_url or FETCHERS[told.kind].base_url).rstrip("/"), token)
    if wrong:
        raise SettingsError("\n".join(wrong))
    return apis


def _token(told: SourceSettings, environ: Mapping[str, str]) -> Callable[[], str]:
    if told.api_token_file is not None:
        file = told.api_token_file
        return lambda: _from_file(file)
    name, value = told.api_token_env, environ.get(told.api_token_env, "").strip()

    def given() -> str:
        if not value:
            raise SettingsError(f"api_token_env: the variable {name} is not set; set it to the API token")
        return _fit(value, f"api_token_env: what {name} holds")

    return given


def _from_file(file: Path) -> str:
    text = secret_in(file, "api_token_file", str(file))
    return _fit(text, f"api_token_file: what {str(file)!r} holds")


def _fit(token: str, what: str) -> str:
    if not token.isascii() or not token.isprintable() or " " in token:
        raise SettingsError(f"{what} is no API token; it must be one word, without a scheme such as Bearer")
    return token
