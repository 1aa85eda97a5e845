"""Checked `[[sources]]` in, `Source`s with their secrets and maps out. Reads files and the environment, once.

A secret's value is in no message.
"""

from collections.abc import Mapping
from dataclasses import replace
from importlib import resources
from zoneinfo import ZoneInfo

from streams.columns import ColumnMap, ColumnMapError, parse_map, sources_of
from streams.gateway.json_rows import fitted, with_origin
from streams.gateway.model import Source
from streams.gateway.vendors import VENDORS
from streams.publish_input import InputError, load_map
from streams.settings import Settings, SettingsError
from streams.settings_gateway import SourceSettings
from streams.settings_sources import secret_in


def open_sources(settings: Settings, environ: Mapping[str, str]) -> dict[str, Source]:
    """Return the sources by name; raise `SettingsError` with a line for each that cannot be used."""
    sources: dict[str, Source] = {}
    wrong: list[str] = []
    for told in settings.sources:
        try:
            sources[told.name] = _source(told, settings, environ)
        except SettingsError as error:
            wrong.append(f"[[sources]] {told.name!r} {error}")
    if wrong:
        raise SettingsError("\n".join(wrong))
    return sources


def _source(told: SourceSettings, settings: Settings, environ: Mapping[str, str]) -> Source:
    vendor = VENDORS[told.kind]
    secrets = _secrets(told, environ)
    for secret in secrets:
        if vendor.unfit_secret is not None and (wrong := vendor.unfit_secret(secret)):
            raise SettingsError(f"secret_env or secret_files: {wrong}")
    source = Source(
        name=told.name,
        kind=told.kind,
        account=told.account,
        secrets=secrets,
        public_url=told.public_url,
        signatures=told.signatures or vendor.signatures[:1],
        zone=ZoneInfo(told.zone) if told.zone else settings.floor.tzinfo,
        currency=told.currency,
        stage_status={**vendor.stage_status, **told.stage_status},
        stage_names=told.stage_names,
        pipeline_names=told.pipeline_names,
        reps=told.reps,
        activity_kinds={**vendor.activity_kinds, **told.activity_kinds},
        lead_steps={**vendor.lead_steps, **told.lead_steps},
        options={**vendor.options, **told.options},
        topics=told.topics,
    )
    mapping = _mapping(told)
    return source if mapping is None else replace(source, mapping=fitted(mapping, source))


def shipped_map(kind: str) -> ColumnMap:
    """Return the column map that a kind of source brings along."""
    text = (resources.files("streams.gateway") / "maps" / f"{kind}.toml").read_text(encoding="utf-8")
    return parse_map(text, kind)


def _mapping(told: SourceSettings) -> ColumnMap | None:
    if not told.map and not VENDORS[told.kind].ships_map:
        return None
    try:
        mapping = load_map(told.map) if told.map else shipped_map(told.kind)
    except (ColumnMapError, InputError) as error:
        raise SettingsError(f"map: {error}") from None
    if any(source.lookup for rule in mapping.events for source in sources_of(rule).values()):
        raise SettingsError(
            f"map: {told.map!r} looks values up in other tables, which a webhook does not bring"
        )
    return with_origin(mapping, told.kind, told.account or told.name)


def _secrets(told: SourceSettings, environ: Mapping[str, str]) -> tuple[str, ...]:
    secrets = []
    for variable in told.secret_env:
        secret = environ.get(variable, "").strip()
        if not secret:
            raise SettingsError(f"secret_env: the variable {variable} is not set; set it to the secret")
        secrets.append(secret)
    secrets += [secret_in(file, "secret_files", str(file)) for file in told.secret_files]
    return tuple(secrets)
