"""A question "which records count?" in, the number with its records out, from the state in the store.

Reads every slot's checkpoint as one commit left it, computes the number from those very images, and lists
the contributions of the entities in them. Keeps nothing, logs no record, takes no slot.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from typing import Final

from metrics.calendar import rfc3339
from metrics.edges import PaneEdges, plan_windows
from metrics.formula import Binary, Expression, FormulaError, KpiUnit, Quantile, leaves_in
from metrics.kpi import Catalogue, Kpi
from metrics.kpi_snapshot import JsonValue, KpiSnapshot
from metrics.listed import EVERY_NAME, Listed
from metrics.measures import Kind, Unit
from metrics.money import exponent_of
from metrics.panes import Cell
from metrics.segments import Place, Segments, Span
from metrics.snapshot import Filters, PaneImage, SnapshotConfig, Snapshotter
from metrics.web.answers import NoSnapshot
from metrics.web.explain import ExplainAsk, checked
from metrics.web.query import BadAsk
from streams import layout
from streams.board import BoardFollower
from streams.contribute import contribute
from streams.definition import differences, settings_under
from streams.explain import (
    WEIGHTED,
    Counted,
    Entry,
    Listing,
    Part,
    Question,
    Term,
    details_of,
    list_entries,
    merged,
    named,
    parts_of,
)
from streams.following import following
from streams.joins import Joins
from streams.rules import FoldRules
from streams.settings import Settings, snapshot_config_of
from streams.settings_rules import fold_rules
from streams.stores.base import SlotImage, StoreUnavailable
from streams.stores.images import ImageStore
from streams.stores.redis import RedisStore
from streams.switching import generation_of

_TOTAL_OF: Final = "explained_"
_KPI_UNIT: Final = {Unit.COUNT: KpiUnit.COUNT, Unit.MONEY: KpiUnit.MONEY, Unit.DURATION: KpiUnit.SECONDS}
_KIND_OF_JOIN: Final = {"Customers": "account", "LeadJoin": "lead"}


class StoredExplainer:
    """An `ExplainSource` over a store. One question at a time: each reads everything there is."""

    def __init__(self, settings: Settings, store: RedisStore, now_ms: Callable[[], int]) -> None:
        self._settings = settings
        self._store = store
        self._now_ms = now_ms
        self._one_at_a_time = asyncio.Lock()

    async def explain(self, ask: ExplainAsk) -> dict[str, JsonValue]:
        async with self._one_at_a_time:
            try:
                return await self._explain(ask)
            except StoreUnavailable as error:
                raise NoSnapshot(str(error)) from error

    async def _explain(self, ask: ExplainAsk) -> dict[str, JsonValue]:
        shown = await self._store.shown()
        if shown is None:
            raise NoSnapshot("Redis holds no salesfloor state yet; start a worker")
        under = settings_under(shown, self._settings)
        if under is None:
            raise NoSnapshot(f"the state cannot be read here: {differences(shown, self._settings)}")
        store = self._store.of_generation(await generation_of(shown, self._store), version=shown.version)
        try:
            images = [await store.read_image(slot) for slot in range(shown.slots)]
        finally:
            await store.close()
        follower = following(
            ImageStore(images),
            fold_rules(under),
            slots=shown.slots,
            definition_version=shown.version,
            roster_only=under.metrics.roster_only,
        )
        await follower.load()
        if not follower.state().ready:
            raise NoSnapshot("not every partition has state yet")
        return await asyncio.to_thread(self._answer, ask, under, images, follower)

    def _answer(
        self,
        ask: ExplainAsk,
        under: Settings,
        images: list[SlotImage],
        follower: BoardFollower,
    ) -> dict[str, JsonValue]:
        newest_ms = follower.state().newest_event_ms
        # The end of a window is not in it: to show the newest event too, look one millisecond later.
        now_ms = self._now_ms() if under.clock == "wall" or newest_ms is None else newest_ms + 1
        at_ms = now_ms if ask.at_ms is None else ask.at_ms
        config = snapshot_config_of(under)
        explained = Explained(config, ask, at_ms, PaneImage.of(follower), follower.listed)
        rules, cells = fold_rules(under), follower.cells()
        return explained.answer(lambda: counted_in(images, rules, cells, follower.joins))


class Explained:
    """One number, its parts and what belongs to them."""

    def __init__(
        self,
        config: SnapshotConfig,
        ask: ExplainAsk,
        at_ms: int,
        image: PaneImage,
        listed: Listed = EVERY_NAME,
    ) -> None:
        self.ask = ask = checked(ask, config.catalogue)
        self._at_ms = at_ms
        self._config = config
        self.kpi = config.catalogue[ask.kpi]
        self.parts = parts_of(_sides(config.catalogue, self.kpi))
        catalogue, self._totals = _with_totals(config.catalogue, self.parts, ask.level)
        whole = replace(config.for_named(), catalogue=catalogue, levels=(ask.level,))
        filters = Filters(
            levels=(ask.level,),
            kpis=(self.kpi.name, *self._totals),
            windows=None if ask.window is None else (ask.window,),
            keys=frozenset({(ask.level, ask.key)}),
        )
        self._snapshot = Snapshotter(whole).take_kpis(image, at_ms, filters=filters, strict=True)
        start_ms, self._window = self._bounds()
        own = tuple(part for part in self.parts if not part.at)
        question = Question(own, ask.level, ask.key, start_ms, at_ms, image.references, config.ground, listed)
        self._elsewhere = self._spans_elsewhere(image)
        self._questions = {
            "": question,
            **{
                at: replace(
                    question,
                    parts=tuple(part for part in self.parts if part.at == at),
                    start_ms=span.start_ms,
                    end_ms=span.end_ms,
                )
                for at, span in self._elsewhere.items()
                if span is not None
            },
        }

    def _spans_elsewhere(self, image: PaneImage) -> dict[str, Span | None]:
        """Return what stands behind each `@` as the number was computed; None where nothing can be told."""
        config, window = self._config, self.ask.window
        elsewhen = config.catalogue.elsewhen_of(self.kpi)
        names = () if window is None else (window,)
        plan = plan_windows(self._at_ms, config.calendar, names, image.resolutions, strict=True)
        edges = PaneEdges(image.resolutions, config.calendar)
        segments = Segments.of(
            plan, self._at_ms, elsewhen=elsewhen, calendar=config.calendar, edges=edges, strict=True
        )
        return {at: segments.first(Place(now=window is None, at=at)) for at in sorted(elsewhen)}

    def _bounds(self) -> tuple[int, JsonValue]:
        for left_out in self._snapshot.left_out:
            if left_out.window == self.ask.window and not left_out.previous_only:
                raise BadAsk(f"this number cannot be told exactly: {left_out.reason}")
        keys = self._snapshot.keys[self.ask.level].labels
        if self.ask.level != "floor" and self.ask.key not in keys:
            at = rfc3339(self._at_ms)
            raise BadAsk(f"no {self.ask.level} {self.ask.key!r} has anything counted at {at}")
        for window in self._snapshot.windows:
            if window.name == self.ask.window:
                return window.start_ms, _window_told(window.name, Span(window.start_ms, window.end_ms))
        return self._at_ms, None

    def answer(self, counted: Callable[[], Iterable[Counted]]) -> dict[str, JsonValue]:
        """Answer from everything that counts, which is gone through once for each window."""
        listing = merged((at, list_entries(counted(), asked)) for at, asked in self._questions.items())
        ask, pages = self.ask, max(1, -(-len(listing.entries) // self.ask.limit))
        if ask.page > pages:
            raise BadAsk(f"page={ask.page}: there are {pages}")
        first = (ask.page - 1) * ask.limit
        found: dict[str, JsonValue] = {
            "kpi": self.kpi.name,
            "sentence": self.kpi.sentence,
            "formula": self.kpi.formula,
            "unit": self.kpi.unit.value,
            "level": ask.level,
            "key": {} if ask.level == "floor" else {ask.level: ask.key},
            "as_of": rfc3339(self._at_ms),
            "definition_version": self._snapshot.state.definition_version,
            "window": self._window,
            "reporting_currency": self._config.currency,
            "parts": [self._part(part, listing) for part in self.parts],
            "without_a_rate": listing.unrated,
            "other_windows": [_window_told(at, span) for at, span in self._elsewhere.items()],
            "records_total": len(listing.entries),
            "page": ask.page,
            "pages": pages,
            "records": [self._record(entry) for entry in listing.entries[first : first + ask.limit]],
        }
        if self.kpi.quantiles:
            found["quantiles"] = {f"{q:g}": self._value(self.kpi.name, q) for q in self.kpi.quantiles}
        else:
            found["value"] = self._value(self.kpi.name)
        return found

    def _value(self, kpi: str, quantile: float | None = None) -> float | None:
        return _told(self._snapshot, kpi, self.ask, quantile)

    def _part(self, part: Part, listing: Listing) -> JsonValue:
        """Of what is shown, what is listed; the rest are older records, no longer listed."""
        name = part.name
        if name not in listing.sums:  # its window cannot be told, and so neither can the number
            return {"measure": name, "of": list(part.sides), "unit": part.measure.unit.value}
        listed = listing.sums[name]
        scale = 1 if part.measure.kind is Kind.HISTOGRAM else self._scale(part.measure.unit)
        found: dict[str, JsonValue] = {
            "measure": name,
            "of": list(part.sides),
            "unit": part.measure.unit.value,
            "listed": _scaled(listed, scale),
        }
        total = self._value(_total_of(part)) if _total_of(part) in self._totals else None
        if total is not None:
            # Beyond 2**53 the total is the nearest float, and means the exact sum it is nearest to.
            near = float(listed / scale) == total
            exact = listed if near else Fraction(repr(total)) * scale
            found["value"] = _scaled(exact, scale)
            found["no_longer_listed"] = _scaled(exact - listed, scale)
        return found

    def _record(self, entry: Entry) -> JsonValue:
        measures = {part.name: part.measure for part in self.parts}
        whose = {name: value for name, value in zip(Cell._fields, entry.cell, strict=True) if value}
        contributions: dict[str, JsonValue] = {
            name: _scaled(value, self._scale(measures[name].unit)) for name, value in entry.values.items()
        }
        record: dict[str, JsonValue] = {"kind": entry.kind, "id": entry.id, "time": rfc3339(entry.time_ms)}
        return {**record, **entry.details, **whose, "contributions": contributions}

    def _scale(self, unit: Unit) -> int:
        if unit is Unit.MONEY:
            return int(10 ** (exponent_of(self._config.currency) or 0))
        return 1000 if unit is Unit.DURATION else 1


def _told(snapshot: KpiSnapshot, kpi: str, ask: ExplainAsk, quantile: float | None) -> float | None:
    key = ask.key or "all"
    # Beside a number that tells what is now, what `@90d` says is the same whatever the window.
    for window in (ask.window, None, *(each.name for each in snapshot.windows[:1])):
        value = snapshot.value(kpi, ask.level, key, window, quantile=quantile)
        if value is not None:
            return value
    return None


def _scaled(value: Fraction, scale: int) -> float | int | str:
    """Return a JSON number where it says exactly what is meant, else a decimal text."""
    exact = value / scale
    if exact.denominator == 1 and scale == 1:
        return int(exact)
    near = float(exact)
    if Fraction(repr(near)) == exact:
        return near
    with localcontext(Context(prec=60)):
        return str(Decimal(exact.numerator) / exact.denominator)


def _window_told(name: str, span: Span | None) -> JsonValue:
    """Tell a window; without its edges where the panes cannot tell it."""
    if span is None:
        return {"name": name}
    return {"name": name, "start": rfc3339(span.start_ms), "end": rfc3339(span.end_ms)}


def _sides(catalogue: Catalogue, kpi: Kpi) -> list[tuple[str, frozenset[Term]]]:
    expression = kpi.expression
    if isinstance(expression, Binary) and expression.operator == "/":
        top, bottom = _measures(catalogue, expression.left), _measures(catalogue, expression.right)
        return [("numerator", top), ("denominator", bottom)]
    return [("value", _measures(catalogue, expression))]


def _measures(catalogue: Catalogue, expression: Expression, at: str = "") -> frozenset[Term]:
    found: set[Term] = set()
    for leaf in leaves_in(expression):
        when = leaf.at or at
        if isinstance(leaf, Quantile):
            found.add((leaf.histogram, when))
        elif leaf.name in catalogue:
            found |= _measures(catalogue, catalogue[leaf.name].expression, when)
        else:
            found.add((leaf.name, when))
    return frozenset(found)


def _total_of(part: Part) -> str:
    return f"{_TOTAL_OF}{part.measure.name}_at_{part.at}" if part.at else _TOTAL_OF + part.measure.name


def _with_totals(catalogue: Catalogue, parts: tuple[Part, ...], level: str) -> tuple[Catalogue, list[str]]:
    """Add a KPI for each part that is a number of its own, so that it is summed as everything else is."""
    names: list[str] = []
    for part in parts:
        measure = part.measure
        formula = part.name
        if measure is WEIGHTED:
            formula += f" + {named(f'{measure.name}_millionths', part.at)} / 1000000"
        total = Kpi(_total_of(part), part.name, formula, _KPI_UNIT[measure.unit], (level,))
        try:
            catalogue = catalogue.with_custom([total])
        except FormulaError:
            continue  # a histogram is no number
        names.append(total.name)
    return catalogue, names


def counted_in(
    images: list[SlotImage], rules: FoldRules, cells: Sequence[Cell], joins: Joins
) -> Iterator[Counted]:
    for image in images:
        for name, packed in image.entities.items():
            entity = layout.entity_of_field(name)
            if entity is None:
                continue
            kind, entity_id = entity
            state = layout.unpack_entity(kind, packed)
            contributions = contribute(state, rules)
            if contributions:
                details = details_of(state)
                for cell, time_ms, values in contributions:
                    yield Counted(kind.value, entity_id, cell, time_ms, values, details)
    for join, joined_id, rows in joins.held():
        kind_of = _KIND_OF_JOIN.get(type(join).__name__, "deal")
        for start_ms, cell_number, key, value in rows:
            yield Counted(kind_of, joined_id, cells[cell_number], start_ms, {key: value}, {})
