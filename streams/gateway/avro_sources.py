"""Checked `[[sources]]` in, what is told of their Avro out. Reads schema files and the environment, once."""

from collections.abc import Mapping
from pathlib import Path

from streams.gateway.avro import AvroMissing, AvroSchema, UnfitSchema, have_reader, schema_of
from streams.gateway.schemas import AvroTold
from streams.settings import Settings, SettingsError
from streams.settings_gateway import SourceSettings


def open_schemas(settings: Settings, environ: Mapping[str, str]) -> dict[str, AvroTold]:
    """Return by source name what is needed to read its Avro, of the sources that have some; raise
    `SettingsError` with a line for each that cannot be used."""
    told: dict[str, AvroTold] = {}
    wrong: list[str] = []
    for source in settings.sources:
        try:
            if source.schema_registry or source.avro_schemas:
                told[source.name] = _told(source, environ)
        except SettingsError as error:
            wrong.append(f"[[sources]] {source.name!r} {error}")
    if wrong:
        raise SettingsError("\n".join(wrong))
    return told


def _told(source: SourceSettings, environ: Mapping[str, str]) -> AvroTold:
    try:
        have_reader()
    except AvroMissing as missing:
        key = "schema_registry" if source.schema_registry else "avro_schemas"
        raise SettingsError(f"{key}: {missing}") from None
    login, variable = "", source.schema_registry_login_env
    if variable:
        login = environ.get(variable, "").strip()
        if ":" not in login:
            raise SettingsError(
                f"schema_registry_login_env: set the variable {variable} to user:password of the registry"
            )
    schemas = {topic: _schema(path) for topic, path in source.avro_schemas.items()}
    return AvroTold(source.schema_registry.rstrip("/"), login, schemas)


def _schema(path: Path) -> AvroSchema:
    try:
        return schema_of(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SettingsError(f"avro_schemas: {str(path)!r} cannot be read: {reason}") from None
    except UnfitSchema as unfit:
        raise SettingsError(f"avro_schemas: {str(path)!r} {unfit}") from None
