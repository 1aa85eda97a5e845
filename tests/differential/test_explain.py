"""Which records count: what is listed adds up to the number, for every KPI, on generated histories."""

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from metrics.calendar import rfc3339
from metrics.catalogue import BUILT_IN
from metrics.formula import KpiUnit
from metrics.given import GIVEN
from metrics.kpi import Kpi
from metrics.measures import BY_NAME, Kind
from metrics.reference import Rate, Reference, RosterSpell, Stage
from metrics.snapshot import PaneImage
from metrics.web.explain import ExplainAsk
from metrics.web.query import BadAsk
from oracle.numbers import books_of
from oracle.windows import Floor, window_pair
from streams.explain_source import Explained, counted_in
from streams.following import following
from streams.stores.images import ImageStore
from tests.differential.test_generated_histories import CASES
from tests.histories import DAY_MS, Event, Generator, cloud_event, edge_times
from tests.product_path import VERSION, ProductPath, rules_of

LIMIT = 1_000


class Explaining:
    """The product's own path up to the store, then the explanations of what is in it."""

    def __init__(self, path: ProductPath) -> None:
        self.path = path
        self.rules = rules_of(path.floor)

    async def load(self, events: list[Event]) -> None:
        self.events = events
        await self.path.arrive(events)
        self.images = [await self.path.store.read_image(slot) for slot in range(self.path.slots)]
        self.follower = following(
            ImageStore(self.images),
            self.rules,
            slots=self.path.slots,
            definition_version=VERSION,
            roster_only=self.path.roster_only,
        )
        await self.follower.load()

    def ask(self, ask: ExplainAsk, as_of_ms: int, references: Sequence[Reference] = ()) -> Any:
        image = PaneImage.of(self.follower)
        if references:
            image = replace(image, references=tuple(references))
        explained = Explained(self.path.config, ask, as_of_ms, image, self.follower.listed)
        return explained.answer(
            lambda: counted_in(self.images, self.rules, self.follower.cells(), self.follower.joins)
        )


async def explaining(seed: int) -> tuple[Explaining, int]:
    floor, as_of_ms = CASES[seed % len(CASES)]
    times = [*edge_times(as_of_ms, floor), *(as_of_ms - 1 - n * DAY_MS // 3 for n in range(200))]
    events = Generator(seed, times=times, entities=40).history(400)
    found = Explaining(ProductPath(floor, now_ms=as_of_ms + 60 * DAY_MS))
    await found.load(events)
    return found, as_of_ms


def asks(kpi: Kpi, keys: dict[str, tuple[str, ...]], rng: random.Random) -> list[ExplainAsk]:
    windows = ("24h", "90d", "mtd", "ytd")
    found = []
    for level in kpi.levels:
        if level == "floor":
            found.append(ExplainAsk(kpi.name, rng.choice(windows), limit=LIMIT))
        elif keys.get(level):
            key = rng.choice(keys[level])
            found.append(ExplainAsk(kpi.name, rng.choice(windows), level, key, limit=LIMIT))
    return found


def assert_adds_up(answer: Any) -> None:
    assert answer["pages"] == 1
    times = [record["time"] for record in answer["records"]]
    assert times == sorted(times)
    for part in answer["parts"]:
        name = part["measure"]
        given = [r["contributions"][name] for r in answer["records"] if name in r["contributions"]]
        measure = name.partition("@")[0]
        if measure in GIVEN or BY_NAME[measure].kind in (Kind.FLOW, Kind.LEVEL):
            assert sum(map(Fraction, map(str, given))) == Fraction(str(part["listed"])), name
        if "value" in part:
            assert part["no_longer_listed"] == 0, (answer["kpi"], part)
            assert part["listed"] == part["value"]


@pytest.mark.parametrize("seed", range(3))
async def test_what_is_listed_adds_up_to_the_number_of_every_kpi(seed: int) -> None:
    world, as_of_ms = await explaining(seed)
    snapshot = world.path.snapshot(as_of_ms)
    keys = {level: each.labels for level, each in snapshot.keys.items()}
    rng = random.Random(seed)
    listed = of_other_windows = 0
    for kpi in BUILT_IN:
        for ask in asks(kpi, keys, rng):
            answer = world.ask(ask, as_of_ms)
            of_other_windows += sum(
                "@" in part["measure"] and part.get("value", 0) > 0 for part in answer["parts"]
            )
            assert_adds_up(answer)
            window = None if BUILT_IN.is_level(kpi) else ask.window
            if not kpi.quantiles:
                assert answer["value"] == snapshot.value(kpi.name, ask.level, ask.key or "all", window)
            listed += answer["records_total"]
    assert listed > 300
    assert of_other_windows > 20


@pytest.mark.parametrize("seed", range(3))
async def test_rates_roster_and_stages_act_on_what_is_listed_as_on_what_is_shown(seed: int) -> None:
    world, as_of_ms = await explaining(seed)
    calendar = world.path.config.calendar
    some_day_ago, yesterday = (calendar.date_of(as_of_ms - days * DAY_MS) for days in (20, 1))
    cells = world.follower.cells()
    references: list[Reference] = []
    for currency in sorted({cell.currency for cell in cells} - {"", world.path.config.currency}):
        references += [
            Rate(currency, Decimal("1.25"), date(2001, 1, 1)),
            Rate(currency, Decimal("0.8"), some_day_ago),
        ]
    for rep in sorted({cell.rep for cell in cells} - {""}):
        references += [
            RosterSpell(rep, team_id="Old", region="East", active_to=some_day_ago),
            RosterSpell(rep, team_id="New", region="West", active_from=some_day_ago, active_to=yesterday),
            RosterSpell(rep, team_id="Newest", active_from=yesterday),
        ]
    references += [Stage(stage, probability=0.37) for stage in sorted({cell.stage for cell in cells} - {""})]
    changed = 0
    for kpi in BUILT_IN:
        for level, key in (("floor", ""), ("team", "New"), ("team", "Newest"), ("region", "East")):
            if level not in kpi.levels:
                continue
            ask = ExplainAsk(kpi.name, "90d", level, key, limit=LIMIT)
            answer = world.ask(ask, as_of_ms, references)
            assert_adds_up(answer)
            assert answer["without_a_rate"] == 0
            changed += level != "floor" and answer["records_total"] > 0
    assert changed > 20


def won_in(events: list[Event], floor: Floor, window: str, as_of_ms: int) -> list[str]:
    """Return the deals won in the window, as the oracle counts them."""
    span = window_pair(window, as_of_ms, floor).now
    deals = books_of(events, floor).deals
    return sorted(d.id for d in deals if d.status == "won" and d.closed_ms and span.holds(d.closed_ms))


def ids_with(answer: Any, contribution: str) -> list[str]:
    return sorted(each["id"] for each in answer["records"] if contribution in each["contributions"])


@pytest.mark.parametrize("seed", range(3))
async def test_records_of_another_window_are_listed_under_its_name(seed: int) -> None:
    world, as_of_ms = await explaining(seed)
    floor = world.path.floor
    answer = world.ask(ExplainAsk("pipeline_velocity", None, limit=LIMIT), as_of_ms)
    span = window_pair("90d", as_of_ms, floor).now
    (window,) = answer["other_windows"]
    assert window == {"name": "90d", "start": rfc3339(span.start_ms), "end": rfc3339(span.end_ms)}
    won = won_in(world.events, floor, "90d", as_of_ms)
    assert ids_with(answer, "won@90d") == won
    assert won
    assert ids_with(answer, "open")
    assert not ids_with(answer, "won")


async def test_a_record_that_counts_in_both_windows_has_one_line() -> None:
    world, as_of_ms = await explaining(1)
    share = Kpi("share_of_90d", "Wins per win of 90 days.", "deals_won / deals_won@90d", KpiUnit.RATIO)
    world.path.config = replace(world.path.config, catalogue=BUILT_IN.with_custom([share]))
    answer = world.ask(ExplainAsk("share_of_90d", "ytd", limit=LIMIT), as_of_ms)
    assert_adds_up(answer)
    of_year, of_90_days = (won_in(world.events, world.path.floor, name, as_of_ms) for name in ("ytd", "90d"))
    assert (ids_with(answer, "won"), ids_with(answer, "won@90d")) == (of_year, of_90_days)
    assert set(of_year) & set(of_90_days)
    assert answer["records_total"] == len({*of_year, *of_90_days})
    assert answer["value"] == len(of_year) / len(of_90_days)
    assert [part["of"] for part in answer["parts"]] == [["numerator"], ["denominator"]]


async def test_another_window_that_panes_cannot_tell_is_named_without_records() -> None:
    floor, as_of_ms = CASES[0]
    events = Generator(0, times=edge_times(as_of_ms, floor)[:-3], entities=40).history(300)
    world = Explaining(ProductPath(floor, now_ms=as_of_ms, panes_max=5))
    for start in range(0, len(events), 40):
        await world.load(events[start : start + 40])
    answer = world.ask(ExplainAsk("average_deal_size_growth", "1h", limit=LIMIT), as_of_ms)
    assert (answer["value"], answer["other_windows"]) == (None, [{"name": "year_before"}])
    told = {part["measure"]: "listed" in part for part in answer["parts"]}
    assert told["won_amount"]
    assert not told["won_amount@year_before"]


async def test_pages_are_cut_from_one_list() -> None:
    world, as_of_ms = await explaining(1)
    ask = ExplainAsk("activities", "90d", limit=LIMIT)
    whole = world.ask(ask, as_of_ms)
    assert whole["records_total"] > 5
    paged: list[object] = []
    pages = -(-whole["records_total"] // 3)
    for page in range(1, pages + 1):
        answer = world.ask(ask._replace(page=page, limit=3), as_of_ms)
        assert (answer["pages"], answer["value"]) == (pages, whole["value"])
        paged += answer["records"]
    assert paged == whole["records"]
    with pytest.raises(BadAsk, match=f"there are {pages}"):
        world.ask(ask._replace(page=pages + 1, limit=3), as_of_ms)


async def test_what_has_left_memory_is_counted_as_no_longer_listed() -> None:
    world, as_of_ms = await explaining(1)
    ask = ExplainAsk("activities", "90d", limit=LIMIT)
    whole = world.ask(ask, as_of_ms)
    for image in world.images:
        gone = [name for name in image.entities if name[:1] == b"a"]
        for name in gone:
            del image.entities[name]
    answer = world.ask(ask, as_of_ms)
    assert (answer["value"], answer["records"]) == (whole["value"], [])
    assert answer["parts"][0]["no_longer_listed"] == whole["records_total"]


async def test_a_key_nobody_has_is_said_so() -> None:
    world, as_of_ms = await explaining(1)
    with pytest.raises(BadAsk, match="no team 'Nowhere' has anything counted"):
        world.ask(ExplainAsk("revenue", "mtd", "team", "Nowhere"), as_of_ms)


async def test_whose_records_are_behind_what_is_counted_together_is_told_by_their_own_names() -> None:
    floor, as_of_ms = CASES[0]
    path = ProductPath(floor, now_ms=as_of_ms + 60 * DAY_MS, roster_only=("rep",))
    world = Explaining(path)
    spell: Event = {"rep_id": "R1", "team_id": "North"}
    said = cloud_event("rep", "updated", 1, as_of_ms - 90 * DAY_MS, spell, event_id="r")
    await path.arrive_raw([("sales.reference", 0, json.dumps(said).encode())])
    await world.load(
        [
            cloud_event(
                "deal", "won", number, as_of_ms - 1, {"rep_id": rep, "amount": "10"}, event_id=f"{number}"
            )
            for number, rep in enumerate(("R1", "made-up-1", "made-up-2"))
        ]
    )
    told = world.ask(ExplainAsk("revenue", "24h", "rep", "other"), as_of_ms)
    assert told["value"] == 20
    assert sorted(record["rep"] for record in told["records"]) == ["made-up-1", "made-up-2"]
