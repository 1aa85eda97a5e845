"""A slot's panes in memory: adds and takes back contributions, knows which panes changed, ages them.

Comes in: contributions. Goes out: pane values by key, exact at every moment. Never reads a clock and
knows no entity, no store.
"""

from metrics.measures import HINDSIGHT_KEY_MIN, hindsight_key, is_level, split_hindsight_key
from metrics.panes import (
    DAY_TIER,
    EXACT,
    FINEST,
    TIERS,
    Cell,
    DayStart,
    Resolution,
    pane_start_ms,
)
from streams.fact_contributions import Contribution, Contributions
from streams.layout import PaneKey, PaneValues

# Coarsening goes this far below the limit, so that it runs now and then and not at every batch; where nothing
# more can be merged it waits until there is so much more, for it looks at every pane.
_COARSEN_TO = 0.9
_COARSEN_AGAIN_AT = 1.1
# As time goes by more of them can be merged, a day's worth or an hour's at once.
_COARSEN_AGAIN_MS = 3_600_000


class PaneStore:
    """Panes of one slot. `changed`, `new_cells` and `gone_cells` collect what the next commit must write."""

    few_cells = 1_024
    """So many cells are not worth looking for those that no pane is of."""

    def __init__(self, *, day_start: DayStart, panes_max: int, resolution: Resolution = FINEST) -> None:
        self._day_start = day_start
        self._panes_max = panes_max
        self.resolution = resolution
        self.panes: dict[PaneKey, PaneValues] = {}
        self.cells: dict[Cell, int] = {}
        self.changed: set[PaneKey] = set()
        self.new_cells: list[tuple[int, Cell]] = []
        self.gone_cells: list[int] = []
        self._next_cell = 0
        self._panes_left = 0
        """How many the last coarsening left."""
        self._coarsened_ms = 0
        """Up to which time it merged what is old enough."""
        self._cells_looked_through = 0
        """How many were left when it was last looked for those that no pane is of."""

    def load_cell(self, number: int, cell: Cell) -> None:
        self.cells[cell] = number
        self._next_cell = max(self._next_cell, number + 1)

    def add(self, contributions: Contributions) -> None:
        self.move([], contributions)

    def retract(self, contributions: Contributions) -> None:
        self.move(contributions, [])

    def move(self, before: Contributions, after: Contributions) -> None:
        """Take back what an entity contributed before and add what it contributes now."""
        # What is new first: a pane that only changes its values is then never gone in between. No entity
        # makes two equal contributions, so lists compare as sets do.
        for contribution in after:
            if contribution not in before:
                self._add(contribution, 1)
        for contribution in before:
            if contribution not in after:
                self._add(contribution, -1)

    def _add(self, contribution: Contribution, sign: int) -> None:
        cell, time_ms, values = contribution
        number = self.cells.get(cell)
        if number is None:
            number = self._new_cell(cell)
        if time_ms >= self.resolution.since_ms[EXACT]:
            self._add_values((number, time_ms, EXACT), values, sign)
        else:
            self._add_coarse(number, time_ms, values, sign)

    def _add_coarse(self, cell: int, time_ms: int, values: PaneValues, sign: int) -> None:
        key = self._key(cell, time_ms)
        values = self._told_from(key.start_ms, time_ms, values)
        if time_ms < self.resolution.since_ms[DAY_TIER]:  # its pane has been forgotten, all but the levels
            values = {each: value for each, value in values.items() if is_level(each)}
        self._add_values(key, values, sign)

    def _add_values(self, key: tuple[int, int, int], values: PaneValues, sign: int = 1) -> None:
        """Add values to one pane, or take them back; a pane and a measure that come to zero are gone."""
        pane = self.panes.get(key)  # type: ignore[call-overload]  # a `PaneKey` is such a tuple
        if pane is None:
            pane = self.panes[tuple.__new__(PaneKey, key)] = {}
        for measure, value in values.items():
            total = pane.get(measure, 0) + sign * value
            if total:
                pane[measure] = total
            else:
                pane.pop(measure, None)
        if not pane:
            del self.panes[key]  # type: ignore[arg-type]
        self.changed.add(key)  # type: ignore[arg-type]

    def _new_cell(self, cell: Cell) -> int:
        number = self._next_cell
        self._next_cell += 1
        self.cells[cell] = number
        self.new_cells.append((number, cell))
        return number

    def forget_cells(self) -> None:
        """Drop cells that no pane is of any more, once they may be as many as the others.

        Else a deal that changes hands for ever would leave one behind each time.
        """
        if len(self.cells) <= 2 * self._cells_looked_through + self.few_cells:
            return
        used = {key.cell for key in self.panes}
        for cell in [cell for cell, number in self.cells.items() if number not in used]:
            self.gone_cells.append(self.cells.pop(cell))
        self.new_cells = [(number, cell) for number, cell in self.new_cells if number in used]
        self._cells_looked_through = len(self.cells)

    def _key(self, cell: int, time_ms: int) -> PaneKey:
        tier = self.resolution.tier_at(time_ms)
        return PaneKey(cell, pane_start_ms(time_ms, tier=tier, day_start=self._day_start), tier)

    def forget_before(self, time_ms: int) -> None:
        """Drop everything but levels before the start of the local day that holds the time."""
        since_ms = self._day_start(time_ms)
        if since_ms <= self.resolution.since_ms[DAY_TIER]:
            return
        for key in [key for key in self.panes if key.start_ms < since_ms]:
            pane = self.panes[key]
            kept = {measure: value for measure, value in pane.items() if is_level(measure)}
            if len(kept) == len(pane):
                continue
            if kept:
                self.panes[key] = kept
            else:
                del self.panes[key]
            self.changed.add(key)
        since = [max(each, since_ms) for each in self.resolution.since_ms[:DAY_TIER]]
        self.resolution = Resolution((*since, since_ms))

    @property
    def is_crowded(self) -> bool:
        """Say whether there are too many panes, and enough new ones that coarsening is worth its time."""
        return len(self.panes) > max(self._panes_max, self._panes_left * _COARSEN_AGAIN_AT)

    def is_aged(self, now_ms: int) -> bool:
        """Say whether there are too many panes, and some are old enough to merge since the last time."""
        later = now_ms - self._coarsened_ms >= _COARSEN_AGAIN_MS
        return self.is_crowded or (later and len(self.panes) > self._panes_max)

    def coarsen(self, *, now_ms: int) -> None:
        """Merge the oldest fine panes into wider ones until there is room, finest width first.

        A width the live windows still need is left alone, so the limit can be passed: then only
        the arrival of new facts grows it.
        """
        goal = int(self._panes_max * _COARSEN_TO)
        for tier in range(DAY_TIER):
            # Each step looks at every pane. Where panes hardly merge, more of them are taken at each.
            reach = 2
            while (surplus := len(self.panes) - goal) > 0:
                if not self._coarsen_tier(tier, now_ms - TIERS[tier].keep_ms, reach * surplus):
                    break
                reach *= 2
        self._panes_left = len(self.panes)
        self._coarsened_ms = now_ms

    def _coarsen_tier(self, tier: int, before_ms: int, count: int) -> bool:
        """Move the frontier of one tier over about so many panes; False when nothing more can move."""
        starts = sorted(key.start_ms for key in self.panes if key.tier == tier and key.start_ms < before_ms)
        if not starts:
            return False
        frontier_ms = min(before_ms, starts[min(len(starts) - 1, count)] + 1)
        frontier_ms = pane_start_ms(frontier_ms, tier=tier + 1, day_start=self._day_start)
        if frontier_ms <= starts[0]:
            # Everything old lies in one wider pane: take the whole of it, if it is past.
            frontier_ms = self._next_pane_ms(starts[0], tier + 1)
            if frontier_ms > before_ms:
                return False
        moving = [key for key in self.panes if self._is_moved_by(key, tier, frontier_ms)]
        since = list(self.resolution.since_ms)
        since[tier] = frontier_ms
        self.resolution = Resolution(tuple(since))
        for key in moving:
            self._move(key)
        return True

    def _is_moved_by(self, key: PaneKey, tier: int, frontier_ms: int) -> bool:
        """Say whether the pane's time, or one from which something of it is known, falls out of a tier."""
        if key.start_ms >= frontier_ms or key.tier == tier:
            return key.start_ms < frontier_ms
        values = self.panes[key]
        if max(values) < HINDSIGHT_KEY_MIN:
            return False
        known = (key.start_ms + split_hindsight_key(each)[1] for each in values if each >= HINDSIGHT_KEY_MIN)
        return any(time_ms < frontier_ms and self.resolution.tier_at(time_ms) == tier for time_ms in known)

    def _next_pane_ms(self, time_ms: int, tier: int) -> int:
        start_ms = pane_start_ms(time_ms, tier=tier, day_start=self._day_start)
        if tier == DAY_TIER:
            return self._day_start(start_ms + 26 * 3_600_000)  # a local day has 23 to 25 hours
        return start_ms + TIERS[tier].width_ms

    def _move(self, key: PaneKey) -> None:
        self.changed.add(key)
        into, values = self._key(key.cell, key.start_ms), self.panes.pop(key)
        self._add_values(into, self._told_from(into.start_ms, key.start_ms, values))

    def _told_from(self, start_ms: int, time_ms: int, values: PaneValues) -> PaneValues:
        """Return the values of a time as its pane holds them; hindsight too begins where a pane does."""
        if max(values, default=0) < HINDSIGHT_KEY_MIN:
            return values
        told: PaneValues = {}
        for key, value in values.items():
            if key >= HINDSIGHT_KEY_MIN:
                number, lag_ms = split_hindsight_key(key)
                key = hindsight_key(number, self._key(0, time_ms + lag_ms).start_ms - start_ms)
            told[key] = told.get(key, 0) + value
        return told
