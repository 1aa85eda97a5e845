"""Columns of changes or of the log in, plain rows with the keys of panes out: comparable with panes."""

from collections.abc import Iterator

from metrics.measures import HINDSIGHT_KEY_MIN, hindsight_key, split_hindsight_key, split_histogram_key
from metrics.panes import PaneLog
from streams.pane_log import Rows

PlainRow = tuple[int, int, int, int]
"""start_ms, cell, key, value."""


def number_of(key: int) -> int:
    """Return the number of the measure that any key speaks of."""
    if key >= HINDSIGHT_KEY_MIN:
        return split_hindsight_key(key)[0]
    return key if key < 1024 else split_histogram_key(key)[0]


def rows_of_log(log: PaneLog) -> Iterator[PlainRow]:
    yield from zip(*(column.tolist() for column in log[:4]), strict=True)
    for start_ms, known_ms, cell, number, value in zip(*(c.tolist() for c in log.hindsight), strict=True):
        yield start_ms, cell, hindsight_key(number, known_ms - start_ms), value


def rows_of_changes(rows: Rows) -> Iterator[PlainRow]:
    yield from zip(rows.start_ms, rows.cell, rows.key, rows.value, strict=True)
    for start_ms, known_ms, cell, number, value in rows.hindsight:
        yield start_ms, cell, hindsight_key(number, known_ms - start_ms), value
