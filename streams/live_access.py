"""`[[access]]` tables in, the grants that hold now out: token files are looked at again while the role runs.

A file with another token closes the door to the old one within a second; one that is gone or holds no token
opens it to nobody. Tables that are added or taken out need a restart.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from metrics.web.access import Grant, Scope, grant_of
from streams.logs import fields
from streams.settings_access import AccessSettings, token_is_fit

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0
_Stamp = tuple[int, int, int]


@dataclass
class _Watched:
    entry: AccessSettings
    grant: Grant | None
    stamp: _Stamp | None = None


class LiveGrants:
    """Called for each request; looks at the files once in `LOOK_SECONDS` at most."""

    def __init__(
        self, entries: Sequence[AccessSettings], now_seconds: Callable[[], float] = time.monotonic
    ) -> None:
        self._watched = [_Watched(entry, entry.as_grant(), _stamp_of(entry.token_file)) for entry in entries]
        self._now_seconds = now_seconds
        self._looked_at = now_seconds()

    def __call__(self) -> Sequence[Grant]:
        now = self._now_seconds()
        if now - self._looked_at >= LOOK_SECONDS:
            self._looked_at = now
            for each in self._watched:
                self._look(each)
        return [each.grant for each in self._watched if each.grant is not None]

    def _look(self, watched: _Watched) -> None:
        entry = watched.entry
        if entry.token_file is None or (stamp := _stamp_of(entry.token_file)) == watched.stamp:
            return
        watched.stamp = stamp
        token = _token_in(entry.token_file)
        watched.grant = grant_of(entry.name, token, Scope(entry.may), entry.rep or "") if token else None
        said = "token changed" if token else "token taken back"
        log.warning(fields(said, access=entry.name, file=entry.token_file))


def _stamp_of(file: Path | None) -> _Stamp | None:
    try:
        found = file.stat() if file is not None else None
    except OSError:
        return None
    return None if found is None else (found.st_mtime_ns, found.st_size, found.st_ino)


def _token_in(file: Path) -> str:
    """Return the token in the file, "" when there is none that could be shown."""
    try:
        token = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""
    return token if token_is_fit(token) else ""
