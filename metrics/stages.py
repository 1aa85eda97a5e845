"""Stage records and open amounts in, their weighted amounts out: each times its stage's probability.

A deal's own probability is in its contribution already; here come the deals that carry none.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np

from metrics.panes import Cell
from metrics.reference import Reference, ReferenceProblem, Stage
from metrics.sums import COLUMN_OF, Index, Rows

_MILLION: Final = 1_000_000
_UNRATED: Final = COLUMN_OF["open_unrated"]
_WHOLE: Final = COLUMN_OF["open_weighted"]
_MILLIONTHS: Final = COLUMN_OF["open_weighted_millionths"]


class StageChances:
    """The probability of each stage: its record's, else the settings'. Of several pipelines the first by name
    decides, since what is open is known by the stage's name alone; another probability there is a problem."""

    def __init__(self, references: Iterable[Reference], settings: Mapping[str, float]) -> None:
        records = [each for each in references if isinstance(each, Stage) and each.probability is not None]
        records.sort(key=lambda record: (record.stage, record.pipeline or ""))
        found: dict[str, Stage] = {}
        problems: list[ReferenceProblem] = []
        for record in records:
            first = found.setdefault(record.stage, record)
            if record.probability != first.probability:
                problem = (
                    f"stage {record.stage!r} of pipeline {first.pipeline or ''!r} has the probability"
                    f" {first.probability}, here it is {record.probability}; rename one, or send one value"
                )
                problems.append(ReferenceProblem(record.id, problem))
        self.problems = tuple(problems)
        own = {stage: record.probability for stage, record in found.items() if record.probability is not None}
        self.of_stage: dict[str, float] = {**settings, **own}

    def millionths(self, cells: Sequence[Cell]) -> Index:
        chances = [round(self.of_stage.get(cell.stage, 0) * _MILLION) for cell in cells]
        return np.array(chances, dtype=np.int64)


def weighted(rows: Rows, chance_millionths: Index) -> Rows:
    """Return the rows, and behind them the weighted amounts of open deals without a probability of their own.

    Amount times probability is kept exact as whole minor units and the millionths left over.
    """
    own = rows.only(np.flatnonzero((rows.column == _UNRATED) & (chance_millionths[rows.cell] != 0)))
    if not len(own.cell):
        return rows
    chance = chance_millionths[own.cell]
    millions, rest = np.divmod(own.value, _MILLION)
    whole, millionths = np.divmod(rest * chance, _MILLION)
    return rows.and_also(
        _as(own.with_value(millions * chance + whole), _WHOLE), _as(own.with_value(millionths), _MILLIONTHS)
    )


def _as(rows: Rows, column: int) -> Rows:
    return Rows(rows.start_ms, rows.segment, rows.cell, np.full(len(rows.cell), column), rows.value)
