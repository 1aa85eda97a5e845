"""The settings model in, the text of `docs/settings.md` out. Never reads or writes a file.

Print it with `python -m streams.settings_doc`; a test fails when the committed page says something else.
"""

import json
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from streams.settings import SHORT_FORMS, Settings
from streams.settings_sources import Location, env_name, is_secret, leaves, table_of

_INTRO = """# Settings

`salesfloor` reads `salesfloor.toml` in the current directory, or the file named by `--config` or
`SALESFLOOR_CONFIG`. Every key has a default, so the file may be empty or missing. What stands higher wins:

1. an option on the command line (`--kafka`, `--redis`, …)
2. an environment variable: `SALESFLOOR_<SECTION>__<KEY>`, such as `SALESFLOOR_FLOOR__ZONE=Asia/Singapore`;
   `SALESFLOOR_KAFKA` and `SALESFLOOR_REDIS` are short for the two addresses. Lists are comma-separated or
   JSON, tables are JSON.
3. the file
4. the default

Secrets never stand in the settings file. Set them in the environment, or put each into a file of its own and
name that file: `token_file`, `sasl_password_file`, `url_file`. A relative name starts from the settings
file's directory. A source names its secrets by `secret_env` or `secret_files`; only the gateway reads them.

`salesfloor check` reads everything once and names each key, its value and the fix when something is wrong.
Changing `clock`, `[floor] zone`, `currency`, `[worker] retention_days` or
`activity_horizon_days` changes what the stored sums mean: workers then wait until `salesfloor rebuild` has
folded the topics again.

## All keys with their defaults
"""


def render() -> str:
    return f"{_INTRO}\n```toml\n{render_example()}```\n\n## Environment variables\n\n{_render_table()}"


def render_example() -> str:
    """Return a settings file that says every default, with what has no default commented out."""
    lines: list[str] = []
    section = ""
    for location, field in leaves(Settings):
        if (table := table_of(field)) is not None:
            lines += ["", *_table_example(location[-1], field, table)]
            continue
        if location[:-1] and location[0] != section:
            section = location[0]
            lines += ["", f"[{section}]"]
        lines += [f"# {field.description}{_limits(field)}"] if field.description else []
        lines.append(_assignment(location[-1], field))
    return "\n".join(lines) + "\n"


def _table_example(name: str, field: FieldInfo, table: type[BaseModel]) -> Iterator[str]:
    """Show a list of tables commented out: there are none by default."""
    yield f"# {field.description}: one [[{name}]] table for each"
    yield f"# [[{name}]]"
    for key, inner in table.model_fields.items():
        default = None if inner.is_required() else inner.get_default(call_default_factory=True)
        shown = "…" if default is None else _toml(default)
        yield f"# {inner.alias or key} = {shown}  # {inner.description}{_limits(inner)}"


def _assignment(key: str, field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(default, SecretStr):
        default = default.get_secret_value()
    if default is None:
        return f"# {key} = …{' only from the environment or the file below' if is_secret(field) else ''}"
    return f"{key} = {_toml(default)}"


def _toml(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(_toml(item) for item in value)}]"
    if isinstance(value, dict):
        pairs = ", ".join(f"{json.dumps(key)} = {_toml(item)}" for key, item in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    return json.dumps(value)


def _limits(field: FieldInfo) -> str:
    bounds: dict[str, Any] = {}
    for constraint in field.metadata:
        for name in ("ge", "le", "pattern"):
            if (bound := getattr(constraint, name, None)) is not None:
                bounds[name] = bound
    said = []
    if "ge" in bounds:
        upper = f"to {bounds['le']}" if "le" in bounds else "or more"
        said.append(f"{bounds['ge']} {upper}")
    said += [f"matches {bounds['pattern']}"] if "pattern" in bounds else []
    if choices := _choices(field.annotation):
        said.append(", ".join(choices))
    return f" ({'; '.join(said)})" if said else ""


def _choices(annotation: object) -> list[str]:
    literals = [item for item in get_args(annotation) if item is not Ellipsis]
    nested = [choice for item in literals if not isinstance(item, str) for choice in _choices(item)]
    return [item for item in literals if isinstance(item, str)] or nested


def _render_table() -> str:
    short = {location: f"SALESFLOOR_{name}" for name, location in SHORT_FORMS.items()}
    return "".join(["| variable | key |\n|---|---|\n", *_rows(short)])


def _rows(short: dict[Location, str]) -> Iterator[str]:
    for location, _field in leaves(Settings):
        *sections, key = location
        names = [short[location]] if location in short else []
        names.append(env_name(location))
        shown = " or ".join(f"`{name}`" for name in names)
        yield f"| {shown} | {'`[' + sections[0] + ']` ' if sections else ''}`{key}` |\n"


if __name__ == "__main__":
    print(render(), end="")
