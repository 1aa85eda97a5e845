"""A file, a directory of tables or standard input in; numbered events ready to send, or refused lines, out.

A line that cannot be used is a `Refused` with file, line number and reason and never stops the others.
What makes the whole input unusable is an `InputError`. Reads files; knows no Kafka.
"""

import csv
import gzip
import io
import shutil
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import IO, NamedTuple, cast
from zoneinfo import ZoneInfo

import msgspec

from streams.column_rows import Row, RowError, RowMapper, content_id
from streams.columns import ColumnMap, Table, check_header, parse_map
from streams.decode import RECORD_BYTES_MAX
from streams.events import Rejected
from streams.routing import route

STDIN = "-"


class InputError(Exception):
    """The input cannot be read at all. The message names the file and the fix."""


class Ready(NamedTuple):
    """An event that a worker will count, and where it goes."""

    file: str
    line: int
    topic: str
    key: bytes
    time_ms: int
    value: bytes


class Refused(NamedTuple):
    file: str
    line: int
    reason: str


def shipped_maps() -> list[str]:
    maps = resources.files("streams") / "maps"
    return sorted(
        entry.name.removesuffix(".toml") for entry in maps.iterdir() if entry.name.endswith(".toml")
    )


def load_map(name_or_path: str) -> ColumnMap:
    """Read a shipped map by its name, or a map file by its path."""
    if name_or_path in shipped_maps():
        text = (resources.files("streams") / "maps" / f"{name_or_path}.toml").read_text(encoding="utf-8")
        return parse_map(text, name_or_path)
    try:
        text = Path(name_or_path).read_text(encoding="utf-8")
    except OSError as error:
        shipped = ", ".join(shipped_maps())
        raise InputError(
            f"map {name_or_path!r}: {error.strerror}; give the path of a TOML file or one of: {shipped}"
        ) from None
    except UnicodeDecodeError:
        raise InputError(f"map {name_or_path!r} is not UTF-8 text") from None
    return parse_map(text, Path(name_or_path).stem)


# --- CloudEvents, one JSON text per line ----------------------------------------------------------


@contextmanager
def open_events(path: str) -> Iterator[IO[bytes]]:
    """Open JSON lines, unpacked and seekable; standard input is spooled so that it can be read twice."""
    if path == STDIN:
        with tempfile.TemporaryFile() as spool:
            shutil.copyfileobj(sys.stdin.buffer, spool)
            spool.seek(0)
            yield spool
        return
    if Path(path).is_dir():
        raise InputError(f"{path} is a directory of tables: name its column map with --map")
    if Path(path).name.removesuffix(".gz").lower().endswith(".csv"):
        raise InputError(
            f"{path} is a table: say with --map what its columns mean; shipped examples are "
            f"{', '.join(shipped_maps())}"
        )
    with _open(Path(path)) as opened:
        yield opened


def json_lines(opened: IO[bytes], name: str) -> Iterator[Ready | Refused]:
    """Yield one answer for each line that is not blank."""
    try:
        for number, line in enumerate(_bounded_lines(opened), 1):
            if line.strip():
                yield _ready(name, number, _with_id(line.strip()))
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise InputError(f"{name}: not gzip, or damaged; the lines before the damage are published") from None


def _ready(file: str, number: int, value: bytes) -> Ready | Refused:
    routed = route(value)
    if isinstance(routed, Rejected):
        return Refused(file, number, f"{routed.reason}: {routed.detail}")
    return Ready(file, number, routed.topic, routed.key, routed.event.time_ms, value)


def _bounded_lines(opened: IO[bytes]) -> Iterator[bytes]:
    """Yield lines; of one that is too long for a record only the beginning, so that memory stays bounded."""
    limit = RECORD_BYTES_MAX + 2
    while line := opened.readline(limit):
        rest = line
        while len(rest) == limit and not rest.endswith(b"\n"):
            rest = opened.readline(limit)
        yield line


def _with_id(value: bytes) -> bytes:
    try:
        members = msgspec.json.decode(value, type=dict[str, msgspec.Raw])
        if "id" in members or len(value) > RECORD_BYTES_MAX:
            return value
        same_for_same_content = msgspec.json.encode(msgspec.json.decode(value), order="sorted")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return value  # routing will say what is wrong with it
    members["id"] = msgspec.Raw(msgspec.json.encode(content_id(same_for_same_content)))
    return msgspec.json.encode(members)


# --- tables through a column map -------------------------------------------------------------------


def mapped_rows(path: str, mapping: ColumnMap, floor_zone: ZoneInfo) -> list[Ready | Refused]:
    """Return the refused rows, then the events of all others in order of event time."""
    files = {name: _files_of(path, mapping, name) for name in mapping.tables}
    lookups: dict[str, dict[str, Row]] = {}
    for name, table in mapping.tables.items():
        if table.key:
            rows = (row for file in files[name] for _, row in _rows(file, mapping, name))
            lookups[name] = {row[table.key].strip(): row for row in rows if row is not None}
    mapper = RowMapper(mapping, lookups, floor_zone)
    refused: list[Ready | Refused] = []
    ready: list[Ready | Refused] = []
    for name in dict.fromkeys(rule.table for rule in mapping.events):
        for file in files[name]:
            for number, row in _rows(file, mapping, name):
                for found in _events_of(mapper, name, row, file.name, number):
                    (refused if isinstance(found, Refused) else ready).append(found)
    ready.sort(key=lambda one: cast(Ready, one).time_ms)
    return refused + ready


def _events_of(
    mapper: RowMapper, table: str, row: Row | None, file: str, number: int
) -> Iterator[Ready | Refused]:
    if row is None:
        yield Refused(file, number, "the row has more or fewer cells than the header")
        return
    for rule in mapper.rules(table):
        try:
            mapped = mapper.event(rule, row)
        except RowError as error:
            yield Refused(file, number, str(error))
            continue
        if mapped is not None:
            yield _ready(file, number, mapped.value)


def _files_of(path: str, mapping: ColumnMap, name: str) -> list[Path]:
    pattern = mapping.tables[name].file
    if path == STDIN:
        raise InputError("a column map needs a file or a directory; standard input takes JSON lines only")
    if not Path(path).is_dir():
        if len(mapping.tables) > 1:
            wanted = ", ".join(table.file for table in mapping.tables.values())
            raise InputError(f"{path}: this map spans several tables; name the directory that holds {wanted}")
        return [Path(path)]
    if found := sorted(Path(path).glob(pattern)):
        return found
    raise InputError(f"{path}: no file {pattern!r}, which the map calls table {name!r}")


def _rows(file: Path, mapping: ColumnMap, name: str) -> Iterator[tuple[int, Row | None]]:
    """Yield (line number, row); None for a row that does not fit the header."""
    table = mapping.tables[name]
    with _open(file) as opened:
        reader = csv.reader(_text(opened, file, table), delimiter=table.delimiter, strict=True)
        try:
            header = [column.strip() for column in next(reader, [])]
            check_header(mapping, name, header, str(file))
            for cells in reader:
                if cells:
                    fits = len(cells) == len(header)
                    yield reader.line_num, dict(zip(header, cells, strict=True)) if fits else None
        except csv.Error as error:
            raise InputError(f"{file}, line {reader.line_num}: not a CSV table: {error}") from None
        except (UnicodeDecodeError, gzip.BadGzipFile, EOFError, zlib.error) as error:
            hint = f"set `encoding` of table {name!r} in the map (it is {table.encoding})"
            raise InputError(f"{file} cannot be read: {type(error).__name__}; {hint}") from None


def _text(opened: IO[bytes], file: Path, table: Table) -> io.TextIOWrapper:
    try:
        return io.TextIOWrapper(opened, encoding=table.encoding, newline="")
    except LookupError:
        raise InputError(f"{file}: unknown encoding {table.encoding!r} in the map; try 'cp1252'") from None


def _open(file: Path) -> IO[bytes]:
    try:
        return cast(IO[bytes], gzip.open(file, "rb")) if file.suffix == ".gz" else file.open("rb")
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}") from None
