"""Settings in, a written definition of what stored sums mean out, and back. Pure.

It is kept beside the state, so that readers can go on showing state of other settings under those settings,
and say what has changed, until a rebuild has switched to the new ones.
"""

import json
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from streams.settings import FOLD_VERSION, Settings
from streams.stores.base import STORE_FORMAT, ForeignFormat, Shown

# Addresses, doors and formulas say nothing about what is stored.
_NOT_DEFINING: Final = frozenset({"access", "kafka", "redis", "gateway", "metrics", "kpis"})
_NOT_DEFINING_KEYS: Final = {
    "floor": frozenset({"name"}),
    "worker": frozenset(
        {"host", "port", "commit_interval_ms", "panes_per_slot_max", "main_loop_timeout_seconds"}
    ),
}
_SAID_MAX: Final = 4

_Tree = dict[str, Any]


def shown_of(settings: Settings, *, slots: int, generation: int | None = None) -> Shown:
    """Return what readers show once state of these settings is in use."""
    return Shown(slots, settings.definition_version, _written(settings), generation)


def _written(settings: Settings) -> str:
    said = {"fold": FOLD_VERSION, "release": _release(), "settings": _tree(settings)}
    return json.dumps(said, sort_keys=True)


@cache
def _release() -> str:
    try:
        return version("salesfloor")
    except PackageNotFoundError:
        return "unknown"


def _tree(settings: Settings) -> _Tree:
    return {name: _plain(name, getattr(settings, name)) for name in _defining()}


def settings_under(shown: Shown, settings: Settings) -> Settings | None:
    """Return the settings with everything that defines stored sums as it was for the state shown.

    None when that cannot be known: another release folded or stored it.
    """
    if shown.format != STORE_FORMAT:
        return None
    if shown.version == settings.definition_version:
        return settings
    tree = _read(shown)
    if tree is None:
        return None
    given = {name: _merged(getattr(settings, name), tree[name]) for name in _defining() if name in tree}
    try:
        found = Settings.model_validate(
            {**{name: getattr(settings, name) for name in Settings.model_fields}, **given}
        )
    except ValidationError:
        return None
    return found if found.definition_version == shown.version else None


def differences(shown: Shown, settings: Settings) -> str:
    """Say, key by key, in what the state shown differs from the settings; for people."""
    tree = _read(shown)
    if tree is None:
        return _of_another_release(shown)
    said = [
        f"{name} {json.dumps(there)}, here {json.dumps(here)}"
        for name, there, here in _compared(tree, _tree(settings))
    ]
    more = len(said) - _SAID_MAX
    return "; ".join(said[:_SAID_MAX]) + (f"; and {more} more" if more > 0 else "")


def _of_another_release(shown: Shown) -> str:
    if shown.format != STORE_FORMAT:
        return str(ForeignFormat(shown.format))
    written = _json_of(shown)
    fold, release = written.get("fold"), written.get("release")
    if not isinstance(fold, int) or fold == FOLD_VERSION:
        return "another release of salesfloor folded it"
    age = "a newer" if fold > FOLD_VERSION else "an older"
    whose = f"{age} release of salesfloor" + (f" ({release})" if isinstance(release, str) else "")
    return f"{whose} folded it: fold {fold}, here {FOLD_VERSION} ({_release()})"


def _compared(there: _Tree, here: _Tree, at: str = "") -> list[tuple[str, Any, Any]]:
    found: list[tuple[str, Any, Any]] = []
    for name in sorted({*there, *here}):
        old, new = there.get(name), here.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            found += _compared(old, new, f"{at}{name}.")
        elif old != new:
            found.append((f"{at}{name}", old, new))
    return found


def _read(shown: Shown) -> _Tree | None:
    written = _json_of(shown)
    if shown.format != STORE_FORMAT or written.get("fold") != FOLD_VERSION:
        return None
    tree = written.get("settings")
    return tree if isinstance(tree, dict) else None


def _json_of(shown: Shown) -> _Tree:
    try:
        written = json.loads(shown.definition)
    except ValueError:
        return {}
    return written if isinstance(written, dict) else {}


def _defining() -> list[str]:
    return [name for name in Settings.model_fields if name not in _NOT_DEFINING]


def _plain(name: str, value: object) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude=set(_NOT_DEFINING_KEYS.get(name, ())))
    if isinstance(value, tuple):
        return [_plain(name, item) for item in value]
    return value


def _merged(section: object, written: Any) -> Any:
    """Return a section as it was written; keys that this release does not know are left out."""
    if not isinstance(section, BaseModel) or not isinstance(written, dict):
        return written
    known = type(section).model_fields
    return {**section.model_dump(), **{name: value for name, value in written.items() if name in known}}
