"""Reference records in, which names count for themselves out: every other name shares `other`. Pure.

A name is listed if a roster record says it, whatever its days are. Without a roster every name is.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from metrics.labels import OTHER
from metrics.panes import Cell
from metrics.reference import Reference, RosterSpell


@dataclass(frozen=True)
class Listed:
    """`names` are the names of each level that is bounded; a level that is not in it takes every name."""

    names: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, levels: Sequence[str], references: Iterable[Reference]) -> "Listed":
        """Return what the roster lists for those of the levels rep, team and region."""
        spells = [record for record in references if type(record) is RosterSpell]
        if not spells:
            return EVERY_NAME
        said = {
            "rep": (spell.rep_id for spell in spells),
            "team": (spell.team_id or "" for spell in spells),
            "region": (spell.region or "" for spell in spells),
        }
        # What says no name stays without one.
        return cls({level: frozenset(said[level]) | {""} for level in levels})

    def cell(self, cell: Cell) -> Cell:
        """Return the cell in which what counts in this one is counted."""
        for level, names in self.names.items():
            if getattr(cell, level) not in names:
                cell = cell._replace(**{level: OTHER})
        return cell


EVERY_NAME: Final = Listed()
