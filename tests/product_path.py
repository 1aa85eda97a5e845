"""Events in, a KPI snapshot out, through everything the product has between them except Kafka.

Decode, merge, contribute and fold in `SlotTable`, commits into a store, `BoardFollower` on the other
side, `take_snapshot` on top; and the comparison of its numbers with the oracle's.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

from metrics.business_hours import minute_of
from metrics.calendar import Calendar
from metrics.kpi_snapshot import KpiSnapshot
from metrics.snapshot import SnapshotConfig, take_snapshot
from oracle.numbers import ERROR_OF_QUANTILE, LEVELS, Answer, Sample
from oracle.windows import WEEKDAYS, Floor
from streams import layout
from streams.board import BoardFollower
from streams.events import EntityKind
from streams.following import following
from streams.rules import FoldRules, JoinRules
from streams.stores.base import Outcome
from streams.stores.memory import MemoryStore
from streams.table import Record, SlotTable
from tests.folding import LogRecord
from tests.histories import DAY_MS, Event, delivery

VERSION = "test"

# What the oracle calls by the KPI's name alone, the catalogue lists as a KPI of its own.
NAME_IN_CATALOGUE: Mapping[tuple[str, float | None], str] = {("sales_cycle", None): "sales_cycle_mean"}
LOOK_ELSEWHERE = {"average_deal_size_growth", "pipeline_velocity"}
NOT_TOLD = set(ERROR_OF_QUANTILE.values())


def calendar_of(floor: Floor) -> Calendar:
    return Calendar(
        floor.zone,
        week_start=floor.week_start,
        fiscal_year_start_month=floor.fiscal_year_start_month,
        business_days=floor.business_days,
        holidays=floor.holidays,
    )


def rules_of(
    floor: Floor, *, panes_max: int = 200_000, activity_horizon_ms: int = 10_000 * DAY_MS
) -> FoldRules:
    return FoldRules(
        calendar=calendar_of(floor),
        currency=floor.currency,
        stage_probability=dict(floor.stage_probability),
        # The oracle knows no horizon: nothing the tests make up is too old.
        retention_ms=10_000 * DAY_MS,
        activity_horizon_ms=activity_horizon_ms,
        panes_max=panes_max,
        joins=JoinRules(
            hours={day: _minutes(floor.hours_of.get(day, floor.hours)) for day in WEEKDAYS},
            response_sla_ms=floor.response_sla_minutes * 60_000,
            stalled_after_ms=floor.stalled_after_days * DAY_MS,
        ),
    )


def _minutes(hours: tuple[str, str]) -> tuple[int, int]:
    return minute_of(hours[0]), minute_of(hours[1])


class ProductPath:
    def __init__(
        self,
        floor: Floor,
        *,
        now_ms: int,
        slots: int = 2,
        panes_max: int = 200_000,
        activity_horizon_ms: int = 10_000 * DAY_MS,
        roster_only: Sequence[str] = (),
    ) -> None:
        self.floor = floor
        self.now_ms = now_ms
        self.slots = slots
        self.store = MemoryStore(version=VERSION)
        self._rules = rules_of(floor, panes_max=panes_max, activity_horizon_ms=activity_horizon_ms)
        self.roster_only = roster_only
        self.follower = self.new_follower()
        self.config = SnapshotConfig(
            calendar=calendar_of(floor),
            currency=floor.currency,
            stage_probability=dict(floor.stage_probability),
        )
        self._tables: list[SlotTable] = []
        self._ends: dict[tuple[str, int], int] = {}

    def new_follower(self) -> BoardFollower:
        return following(
            self.store,
            self._rules,
            slots=self.slots,
            definition_version=VERSION,
            roster_only=self.roster_only,
        )

    async def arrive(self, events: Iterable[Event]) -> None:
        """Fold the events in this order of arrival, commit, and let the follower see it."""
        await self.arrive_raw([delivery(event, slots=self.slots) for event in events])

    async def arrive_raw(
        self, deliveries: Sequence[tuple[str, int, bytes]], *, dead_letters: bool = False
    ) -> None:
        if not self._tables:
            claims = [await self.store.claim(slot) for slot in range(self.slots)]
            self._tables = [SlotTable(slot, self._rules, claim) for slot, claim in enumerate(claims)]
        batches: dict[tuple[str, int], list[Record]] = {}
        for topic, slot, value in deliveries:
            offset = self._ends.get((topic, slot), 0)
            self._ends[topic, slot] = offset + 1
            batches.setdefault((topic, slot), []).append(LogRecord(topic, slot, offset, value))
        for (topic, slot), batch in batches.items():
            dead = self._tables[slot].fold(topic, batch, now_ms=self.now_ms)
            assert dead_letters or not dead, [letter.rejected for letter in dead]
        await self._commit()

    async def _commit(self) -> None:
        for slot, table in enumerate(self._tables):
            commit = table.take_commit()
            if commit is not None:
                assert await self.store.commit(slot, commit) is Outcome.DONE
                table.committed()
        await self.follower.load()

    async def expire_and_reload(self) -> None:
        """Forget what is past its horizon, and go on as another worker that claims the slots."""
        for table in self._tables:
            table.expire(now_ms=self.now_ms)
        await self._commit()
        claims = [await self.store.claim(slot) for slot in range(self.slots)]
        self._tables = [SlotTable(slot, self._rules, claim) for slot, claim in enumerate(claims)]

    async def activities_in_memory(self) -> list[str]:
        claims = [await self.store.claim(slot) for slot in range(self.slots)]
        owners = (layout.entity_of_field(name) for claim in claims for name in claim.entities)
        return sorted(owner[1] for owner in owners if owner and owner[0] is EntityKind.ACTIVITY)

    async def forget(self, *, retention_ms: int, now_ms: int) -> None:
        """Restart every slot with this retention and let it forget what is older."""
        self._rules = replace(self._rules, retention_ms=retention_ms)
        for slot in range(self.slots):
            table = self._tables[slot] = SlotTable(slot, self._rules, await self.store.claim(slot))
            table.expire(now_ms=now_ms)
        await self._commit()

    def snapshot(self, as_of_ms: int, *, levels: Sequence[str] = LEVELS) -> KpiSnapshot:
        return take_snapshot(self.follower, as_of_ms, replace(self.config, levels=tuple(levels)), strict=True)


def differences(
    snapshot: KpiSnapshot,
    expected: Mapping[Sample, Answer],
    *,
    left_out: Mapping[str | None, bool] | None = None,
) -> list[str]:
    """Compare every number of the snapshot with the oracle's, both ways; say how they differ.

    `left_out` names windows that may be missing, True where only the previous twin may be.
    """
    numbers = numbers_of(snapshot)
    if left_out is not None:
        expected = {sample: _if_told(sample, answer, numbers) for sample, answer in expected.items()}
    return [*wrong_or_missing(numbers, expected, left_out or {}), *unexpected(numbers, expected)]


def _if_told(sample: Sample, answer: Answer, numbers: "Numbers") -> Answer:
    """Where panes are coarse, a KPI that looks at another window too may be absent for that one's sake."""
    if sample.kpi not in LOOK_ELSEWHERE:
        return answer
    value, previous = numbers.get(sample, (None, None))
    return Answer(None if value is None else answer.value, None if previous is None else answer.previous)


def differences_of_json(told: Mapping[str, object], expected: Mapping[Sample, Answer]) -> list[str]:
    """The same for a snapshot as JSON, which tells a previous number only beside a present one."""
    numbers = numbers_of_json(told)
    both = {
        sample: answer if sample in numbers or sample.kpi in NOT_TOLD else Answer(answer.value, None)
        for sample, answer in expected.items()
    }
    return [*wrong_or_missing(numbers, both, {}), *unexpected(numbers, expected)]


NO_ERROR = Answer(None, None)
Numbers = dict[Sample, tuple[float | None, float | None]]


def numbers_of(snapshot: KpiSnapshot) -> Numbers:
    kpi_of = {name: (kpi, quantile) for (kpi, quantile), name in NAME_IN_CATALOGUE.items()}
    numbers: Numbers = {}
    for series in snapshot.series:
        kpi, quantile = kpi_of.get(series.kpi.name, (series.kpi.name, series.quantile))
        for column, label in enumerate(snapshot.keys[series.level].labels):
            key = "" if series.level == "floor" else label
            for line, window in enumerate(series.windows or ("",)):
                sample = Sample(kpi, series.level, key, window, quantile)
                assert sample not in numbers, f"{sample} is told twice"
                before = None if series.previous is None else float(series.previous[line, column])
                numbers[sample] = (_told(float(series.values[line, column])), _told(before))
    return numbers


def numbers_of_json(told: Mapping[str, object]) -> Numbers:
    kpi_of = {name: (kpi, quantile) for (kpi, quantile), name in NAME_IN_CATALOGUE.items()}
    values = told["values"]
    assert isinstance(values, list)
    numbers: Numbers = {}
    for value in values:
        kpi, quantile = kpi_of.get(value["kpi"], (value["kpi"], value.get("quantile")))
        level = value["level"]
        sample = Sample(kpi, level, value["key"].get(level, ""), value.get("window", ""), quantile)
        assert sample not in numbers, f"{sample} is told twice"
        numbers[sample] = (value["value"], value.get("previous"))
    return numbers


def _told(value: float | None) -> float | None:
    return None if value is None or value != value else value


def wrong_or_missing(
    numbers: Numbers, expected: Mapping[Sample, Answer], left_out: Mapping[str | None, bool]
) -> list[str]:
    found = []
    for sample, answer in expected.items():
        gone = left_out.get(sample.window or None)
        if sample.kpi in NOT_TOLD or gone is False:
            continue
        value, previous = numbers.get(sample, (None, None))
        errors = expected.get(sample._replace(kpi=ERROR_OF_QUANTILE.get(sample.kpi, "")), NO_ERROR)
        if not _equal(sample, value, answer.value, errors.value):
            found.append(f"{sample}: {value} instead of {answer.value and float(answer.value)}")
        if gone is None and sample.window and not _equal(sample, previous, answer.previous, errors.previous):
            found.append(
                f"{sample} before: {previous} instead of {answer.previous and float(answer.previous)}"
            )
        if gone is True and previous is not None:
            found.append(f"{sample} before: {previous} although it cannot be told exactly")
    return found


def unexpected(numbers: Numbers, expected: Mapping[Sample, Answer]) -> list[str]:
    return [
        f"{sample}: {value} is not expected at all"
        for sample, (value, _) in numbers.items()
        if sample not in expected and value
    ]


def _equal(sample: Sample, actual: float | None, expected: Fraction | None, error: Fraction | None) -> bool:
    if actual is None or expected is None:
        # A team or rep that did nothing may be missing from the snapshot; the floor may not.
        return actual is None and (expected is None or (expected == 0 and sample.level != "floor"))
    if error is not None:
        return abs(Fraction(actual) - expected) <= error
    return actual == float(expected)
