"""Files, variables and options in, one merged tree of plain values out, and errors a person can act on.

Each source is a `Layer`: a tree by section and key that remembers what to call itself in a message.
Knows nothing about what a key means; never puts the value of a secret into a message.
"""

import difflib
import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo

ENV_PREFIX = "SALESFLOOR_"
_SEPARATOR = "__"
_FILE_SUFFIX = "_file"
_LONGEST_SHOWN = 80

Tree = dict[str, Any]
Location = tuple[str, ...]


class SettingsError(Exception):
    """The settings cannot be used. The message names each key, its value and the fix."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One source of settings. `name` is a file's path, "environment" or "command line"."""

    name: str
    tree: Tree
    names: Mapping[Location, str]
    """Location -> what the source itself calls it, where that is not `[section] key`."""

    def call(self, location: Location) -> str:
        for end in range(len(location), 0, -1):
            if (own_name := self.names.get(location[:end])) is not None:
                return own_name
        *sections, key = location
        section = f"[{'.'.join(sections)}] " if sections else ""
        return f"{self.name}: {section}{key}"


# --- the model, looked at as a tree -------------------------------------------------------------


def is_secret(field: FieldInfo) -> bool:
    annotation = field.annotation
    return annotation is SecretStr or SecretStr in get_args(annotation)


def section_of(field: FieldInfo) -> type[BaseModel] | None:
    annotation = field.annotation
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def table_of(field: FieldInfo) -> type[BaseModel] | None:
    """Return what each `[[table]]` of a list of tables holds; None for any other field."""
    inner = [each for each in get_args(field.annotation) if each is not Ellipsis]
    one = inner[0] if len(inner) == 1 else None
    return one if isinstance(one, type) and issubclass(one, BaseModel) else None


def leaves(model: type[BaseModel], at: Location = ()) -> Iterator[tuple[Location, FieldInfo]]:
    """Yield every key of the model with its place, sections before what is in them."""
    for name, field in model.model_fields.items():
        section = section_of(field)
        if section is None:
            yield (*at, name), field
        else:
            yield from leaves(section, (*at, name))


def secrets_of(table: type[BaseModel]) -> list[str]:
    return [key for key, field in table.model_fields.items() if is_secret(field)]


def _secrets_in_tables(tree: Tree, model: type[BaseModel]) -> Iterator[tuple[str, str, str, Tree]]:
    """Yield list, what to call the table, key and table for every secret a table of a list may hold."""
    for (name, *rest), field in leaves(model):
        table, entries = table_of(field), tree.get(name)
        if rest or table is None or not isinstance(entries, list):
            continue
        for index, entry in enumerate(entries):
            for key in secrets_of(table) if isinstance(entry, dict) else ():
                yield name, _called(entry, index), key, entry


# --- sources ------------------------------------------------------------------------------------


def read_toml(path: Path, model: type[BaseModel]) -> Layer:
    """Read a settings file. Secrets may not stand in it, only the files that hold them."""
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(
            f"{path}: no such file; give --config an existing file, or leave it out"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: is not valid TOML: {error}") from None
    for location, field in leaves(model):
        value = _lookup(tree, location)
        if is_secret(field) and value is not None and not _is_open_address(location[-1], value):
            section, key = location
            raise SettingsError(
                f"{path}: [{section}] {key} is a secret and may not stand in the settings file; "
                f"name a file that holds it with {key}{_FILE_SUFFIX}, or set {env_name(location)}"
            )
    for name, called, key, entry in _secrets_in_tables(tree, model):
        if key in entry:
            raise SettingsError(
                f"{path}: [[{name}]] {called} {key} is a secret and may not stand in the settings file; "
                f"name a file that holds it with {key}{_FILE_SUFFIX}, or set {env_name((name,))}"
            )
    return _with_secret_files(Layer(str(path), tree, {}), model, base=path.parent)


def read_environment(
    environ: Mapping[str, str],
    model: type[BaseModel],
    short_forms: Mapping[str, Location],
    not_settings: frozenset[str] = frozenset(),
) -> Layer:
    """Take every `SALESFLOOR_…` variable that is ours. Others (a Kubernetes service's) are left alone,
    except where one looks like a misspelt name of ours."""
    fields = dict(leaves(model))
    by_name = {env_name(location): location for location in fields}
    by_name |= {f"{ENV_PREFIX}{short}": location for short, location in short_forms.items()}
    tree: Tree = {}
    names: dict[Location, str] = {}
    for variable in sorted(environ, key=lambda name: (-len(name), name)):
        if not variable.startswith(ENV_PREFIX):
            continue
        location = by_name.get(variable)
        if location is None and variable not in not_settings:
            _refuse_misspelt(variable, environ[variable], by_name)
        if location is None:
            continue
        if location in names:
            raise SettingsError(f"{names[location]} and {variable} set the same thing; unset one of them")
        _put(tree, location, _parse_variable(variable, environ[variable], fields[location]))
        names[location] = variable
    return _with_secret_files(Layer("environment", tree, names), model, base=Path())


def from_options(overrides: Tree) -> Layer:
    """Take what the command line said; None means that an option was not given."""
    tree = {
        section: {key: value for key, value in values.items() if value is not None}
        if isinstance(values, dict)
        else values
        for section, values in overrides.items()
        if values is not None
    }
    return Layer("command line", tree, {})


def merge(layers: list[Layer]) -> Tree:
    """Lay the layers over each other; the first one that says something about a key decides."""
    merged: Tree = {}
    for layer in reversed(layers):
        for section, values in layer.tree.items():
            below = merged.get(section)
            both = isinstance(values, dict) and isinstance(below, dict)
            merged[section] = {**below, **values} if both else values  # type: ignore[dict-item]
    return merged


def env_name(location: Location) -> str:
    return ENV_PREFIX + _SEPARATOR.join(location).upper()


def _refuse_misspelt(variable: str, text: str, known: Mapping[str, Location]) -> None:
    """Refuse a name that is meant for us but is no setting. Kubernetes sets `SALESFLOOR_GATEWAY_PORT=tcp://…`
    and the like for a service of that name: those are not meant for us."""
    short = [name for name in known if _SEPARATOR not in name]
    flat = {name.replace(_SEPARATOR, "_"): name for name in known}
    if _SEPARATOR in variable:
        hint = "; unset it, or see docs/settings.md for the names"
        close = difflib.get_close_matches(variable, known, n=1, cutoff=0.8)
    else:
        hint = ""
        close = [flat[variable]] if variable in flat and not text.startswith("tcp://") else []
        close = close or difflib.get_close_matches(variable, short, n=1, cutoff=0.93)
    if close:
        hint = f"; did you mean {close[0]}?"
    if hint:
        raise SettingsError(f"{variable}: no such setting{hint}")


def _parse_variable(variable: str, text: str, field: FieldInfo) -> object:
    """Turn a variable's text into what TOML would hold: lists may be comma-separated, tables are JSON."""
    holder = str(field.annotation)
    if not holder.startswith(("tuple", "dict")):
        return text
    if text.lstrip()[:1] in ("[", "{"):
        try:
            return json.loads(text)
        except ValueError as error:
            table = table_of(field)
            shown = "" if table and secrets_of(table) else f" {_shown(text)}"
            raise SettingsError(f"{variable}:{shown} is not valid JSON: {error}") from None
    if holder.startswith("tuple"):
        return [part.strip() for part in text.split(",") if part.strip()]
    raise SettingsError(f'{variable}: {_shown(text)} is not a JSON object; write {{"name": value}}')


def _with_secret_files(layer: Layer, model: type[BaseModel], *, base: Path) -> Layer:
    """Put the content of each `<secret>_file` in the secret's place, in the same layer."""
    names = dict(layer.names)
    for location, field in leaves(model):
        file_location = (*location[:-1], location[-1] + _FILE_SUFFIX)
        file_name = _lookup(layer.tree, file_location) if is_secret(field) else None
        if not isinstance(file_name, str):
            continue
        label = layer.call(file_location)
        if _lookup(layer.tree, location) is not None:
            raise SettingsError(f"{label} and {layer.call(location)} are both set; keep one of them")
        _put(layer.tree, location, secret_in(base / Path(file_name).expanduser(), label, file_name))
        names[location] = label
    for name, called, key, entry in _secrets_in_tables(layer.tree, model):
        file_name = entry.get(key + _FILE_SUFFIX)
        if not isinstance(file_name, str):
            continue
        where = f"{names.get((name,), f'{layer.name}: [[{name}]]')} {called}"
        if key in entry:
            raise SettingsError(f"{where} {key} and {key}{_FILE_SUFFIX} are both set; keep one of them")
        entry[key] = secret_in(
            base / Path(file_name).expanduser(), f"{where} {key}{_FILE_SUFFIX}", file_name
        )
    return Layer(layer.name, layer.tree, names)


def secret_in(path: Path, label: str, called: str) -> str:
    """Return a file's only content. Raises `SettingsError`, which names the file as the settings do."""
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SettingsError(f"{label} = {called!r} cannot be read: {reason}") from None
    if not secret:
        raise SettingsError(f"{label} = {called!r} is empty; put the secret into it")
    return secret


# --- errors -------------------------------------------------------------------------------------


def explain(error: ValidationError, layers: list[Layer], model: type[BaseModel]) -> str:
    """Say each thing that is wrong on a line of its own: where it was set, to what, and what would do."""
    return "\n".join(_explain_one(dict(detail), layers, model) for detail in error.errors())


def _explain_one(detail: dict[str, Any], layers: list[Layer], model: type[BaseModel]) -> str:
    tables = model.model_fields.get(str(detail["loc"][0])) if detail["loc"] else None
    if tables is not None and (table := table_of(tables)) is not None:
        return _explain_table(detail, layers, table)
    location = tuple(str(part) for part in detail["loc"][:2])  # beyond it: inside a list or table
    setter = next((layer for layer in layers if _lookup(layer.tree, location) is not None), None)
    label = setter.call(location) if setter else ".".join(location)
    if detail["type"] in ("model_type", "model_attributes_type"):
        return (
            f"{label} = {_shown(detail['input'])}: is a section; write [{location[0]}] and its keys below it"
        )
    if detail["type"] == "extra_forbidden":
        return f"{label}: no such setting{_did_you_mean(location, model)}"
    message = detail["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    field = dict(leaves(model)).get(location)
    if field is None:  # about a whole section
        return f"{label}: {message}"
    shown = "" if is_secret(field) else f" = {_shown(detail['input'])}"
    return f"{label}{shown}: {message}{_default_hint(field)}"


def _explain_table(detail: dict[str, Any], layers: list[Layer], table: type[BaseModel]) -> str:
    """Do the same for one of a list of tables, which is called by its place and, if it has one, its name."""
    name, *rest = detail["loc"]
    setter = next((layer for layer in layers if _lookup(layer.tree, (name,)) is not None), None)
    where = f"{setter.name}: [[{name}]]" if setter else str(name)
    if setter is not None and (own_name := setter.names.get((name,))) is not None:
        where = own_name
    message = detail["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:] if not message.startswith("KPI") else message
    if not rest or not isinstance(rest[0], int):
        return f"{where}: {message}"
    tree = _lookup(setter.tree, (name,)) if setter else None
    entry = tree[rest[0]] if isinstance(tree, list) and rest[0] < len(tree) else None
    where += f" {_called(entry, rest[0])}"
    if len(rest) == 1:
        return f"{where}: {message}"
    key = str(rest[1])
    where += "".join(f" {key} number {part + 1}" for part in rest[2:3] if isinstance(part, int))
    if len(rest) > 3:
        key, table = str(rest[3]), _inner(table, key)
    if detail["type"] == "extra_forbidden":
        close = difflib.get_close_matches(key, table.model_fields, n=1, cutoff=0.5)
        return f"{where} {key}: no such key; " + (
            f"did you mean {close[0]}?" if close else f"there is {', '.join(table.model_fields)}"
        )
    if detail["type"] == "missing":
        what = table.model_fields[key].description if key in table.model_fields else None
        return f"{where} {key}: is missing; give it" + (f" ({what})" if what else "")
    shown = "" if key in secrets_of(table) else f" = {_shown(detail['input'])}"
    return f"{where} {key}{shown}: {message}"


def _inner(table: type[BaseModel], key: str) -> type[BaseModel]:
    """Return what each table of a list within a table holds."""
    field = table.model_fields.get(key)
    return (table_of(field) if field else None) or table


def _called(entry: object, index: int) -> str:
    """Return what to call one of a list of tables: its name, if it has one, or its place."""
    name = entry.get("name") if isinstance(entry, dict) else None
    return _shown(name) if isinstance(name, str) else f"number {index + 1}"


def _default_hint(field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=True, validated_data={})
    if is_secret(field) or default is None or isinstance(default, dict | tuple):
        return ""
    return f" (default: {default})"


def _did_you_mean(location: Location, model: type[BaseModel]) -> str:
    siblings = {known[-1]: known for known, _ in leaves(model) if known[:-1] == location[:-1]}
    siblings |= {known[0]: known[:1] for known, _ in leaves(model) if len(location) == 1 and len(known) == 2}
    if close := difflib.get_close_matches(location[-1], siblings, n=1, cutoff=0.55):
        return f"; did you mean {close[0]}?"
    elsewhere = [known for known, _ in leaves(model) if known[-1] == location[-1]]
    if elsewhere:
        return f"; did you mean [{elsewhere[0][0]}] {elsewhere[0][-1]}?"
    return f"; there is {', '.join(siblings)}" if siblings else ""


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"


def _is_open_address(key: str, value: object) -> bool:
    """Say whether this is an address without a password in it, which may stand in the open."""
    return key == "url" and isinstance(value, str) and "@" not in value and "password=" not in value


# --- trees --------------------------------------------------------------------------------------


def _lookup(tree: Tree, location: Location) -> object | None:
    node: object = tree
    for key in location:
        node = node.get(key) if isinstance(node, dict) else None
    return node


def _put(tree: Tree, location: Location, value: object) -> None:
    *sections, key = location
    for section in sections:
        tree = tree.setdefault(section, {})
    tree[key] = value
