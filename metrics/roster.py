"""Roster records in, who is in which team and region when out. A spell it cannot use is named."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from metrics.calendar import Calendar
from metrics.reference import Reference, ReferenceProblem, RosterSpell

ALWAYS_MS: Final = -(1 << 43)
FOR_EVER_MS: Final = 1 << 43
"""About 278 years around 1970: what a spell without a first or last day gets."""


@dataclass(frozen=True, slots=True)
class Spell:
    """A rep's place over [start, end)."""

    rep: str
    team: str
    region: str
    start_ms: int
    end_ms: int

    def holds(self, time_ms: int) -> bool:
        return self.start_ms <= time_ms < self.end_ms


class Roster:
    """Of two spells of one rep that overlap, the one that starts first stands; the other is a problem."""

    def __init__(self, references: Iterable[Reference], calendar: Calendar) -> None:
        by_rep: dict[str, list[RosterSpell]] = {}
        for record in references:
            if isinstance(record, RosterSpell):
                by_rep.setdefault(record.rep_id, []).append(record)
        self.by_rep: dict[str, tuple[Spell, ...]] = {}
        self.names: dict[str, str] = {}
        """Rep id -> the name in the rep's last spell that gives one."""
        problems: list[ReferenceProblem] = []
        for rep, records in sorted(by_rep.items()):
            # No first day comes before every other; ids tell the spells of a rep apart by their first day.
            records.sort(key=lambda record: (record.active_from is not None, record.active_from or 0))
            self.by_rep[rep] = _accepted(records, calendar, problems)
            for record in records:
                if record.name:
                    self.names[rep] = record.name
        self.problems = tuple(problems)

    @property
    def spells(self) -> Iterable[Spell]:
        return (spell for spells in self.by_rep.values() for spell in spells)

    def at(self, rep: str, time_ms: int) -> Spell | None:
        return next((spell for spell in self.by_rep.get(rep, ()) if spell.holds(time_ms)), None)


def _accepted(
    records: list[RosterSpell], calendar: Calendar, problems: list[ReferenceProblem]
) -> tuple[Spell, ...]:
    accepted: list[tuple[Spell, RosterSpell]] = []
    for record in records:
        start_ms = ALWAYS_MS if record.active_from is None else calendar.instant_ms(record.active_from)
        end_ms = FOR_EVER_MS if record.active_to is None else calendar.instant_ms(record.active_to)
        if accepted and start_ms < accepted[-1][0].end_ms:
            last = accepted[-1][1]
            until = "has no active_to" if last.active_to is None else f"lasts until {last.active_to}"
            problem = (
                f"rep {record.rep_id!r} begins on {record.active_from} while the spell before {until};"
                f" end that one by then, with active_to = {record.active_from}"
            )
            problems.append(ReferenceProblem(record.id, problem))
            continue
        spell = Spell(record.rep_id, record.team_id or "", record.region or "", start_ms, end_ms)
        accepted.append((spell, record))
    return tuple(spell for spell, _ in accepted)
