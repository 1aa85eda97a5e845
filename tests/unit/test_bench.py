"""What benches tell of times they took, and that the events they make are those they say."""

from collections import Counter

import numpy as np
import pytest

from bench.__main__ import could_not_run
from bench.figures import Figures, figures_of
from bench.floor import FIVE_MINUTES_MS, YEAR_MS, Plan, further, history
from bench.freshness_stages import STAGES, read, stages_of
from bench.scrape import client_registry, cut_off
from bench.stopwatch import Seconds
from metrics.gauges import Gauge, GaugeBlock
from streams.decode import decode
from streams.events import Event
from streams.topics import KIND_OF_TOPIC

NOW_MS = 1_750_000_000_000


def test_ratios_are_formed_run_by_run_of_cpu_time() -> None:
    answers = {
        "ours": [Seconds(9.0, 1.0, 1.0), Seconds(9.0, 4.0, 4.0), Seconds(9.0, 2.0, 2.0)],
        "peer": [Seconds(1.0, 3.0, 3.0), Seconds(1.0, 4.0, 4.0), Seconds(1.0, 10.0, 10.0)],
    }

    figures = figures_of(answers, 100, against=("peer",))

    ours = figures["ours"]
    assert isinstance(ours, Figures)
    assert ours.ratios == {"peer": (3.0, 1.0, 5.0)}
    assert ours.cpu_rate == (50.0, 25.0, 100.0)
    assert ours.runs == 3


def test_a_way_that_could_not_run_keeps_its_reason_and_is_in_no_ratio() -> None:
    answers: dict[str, list[Seconds | str]] = {
        "ours": [Seconds(1.0, 1.0, 1.0)],
        "peer": ["ImportError: no peer"],
    }

    figures = figures_of(answers, 100, against=("peer",))

    assert figures["peer"] == "ImportError: no peer"
    assert isinstance(figures["ours"], Figures)
    assert figures["ours"].ratios == {}


def test_a_run_that_one_way_missed_counts_for_neither() -> None:
    answers: dict[str, list[Seconds | str]] = {
        "ours": [Seconds(1.0, 1.0, 1.0), Seconds(1.0, 2.0, 2.0)],
        "peer": ["not through", Seconds(1.0, 6.0, 6.0)],
    }

    figures = figures_of(answers, 100, against=("peer",))["ours"]

    assert isinstance(figures, Figures)
    assert figures.ratios["peer"] == (3.0, 3.0, 3.0)


def test_what_could_not_run_is_named_with_its_place() -> None:
    found = {
        "fold": {"ways": {"Bytewax": {"could_not_run": "no wheel"}, "ours": {"runs": 5}}},
        "wall": {"seconds": 1.0, "could_not_run": "no Chromium"},
    }

    assert list(could_not_run(found)) == [("fold, ways, Bytewax", "no wheel"), ("wall", "no Chromium")]


@pytest.mark.parametrize(
    "plan", [Plan(reps=7, deals=30, calls=90), Plan(deals=90, calls=30, history_ms=YEAR_MS)]
)
def test_a_floors_history_holds_its_deals_and_calls_in_order_of_time(plan: Plan) -> None:
    written = list(history(plan, NOW_MS))

    events = [decode(value, (), kind=KIND_OF_TOPIC[topic]) for topic, _, value in written]
    times = [event.time_ms for event in events if isinstance(event, Event)]
    assert Counter(topic for topic, _, _ in written) == {
        "sales.deals": plan.deals,
        "sales.activities": plan.calls,
    }
    assert len(times) == len(written)
    assert times == sorted(times)
    assert plan.history_ms * 0.9 < times[-1] - times[0] < plan.history_ms
    assert Plan().history_ms == FIVE_MINUTES_MS


@pytest.mark.parametrize("deals", [10_000, 1_000_000])
def test_a_round_touches_as_many_deals_of_a_large_floor_as_of_a_small_one(deals: int) -> None:
    plan = Plan(deals=deals)
    written = list(further(plan, 0, 2 * plan.touched, NOW_MS))

    numbers = Counter(number for topic, number, _ in written if topic == "sales.deals")
    events = [decode(value, (), kind=KIND_OF_TOPIC[topic]) for topic, _, value in written[: 2 * 100]]
    assert len(numbers) == plan.touched
    assert max(numbers) >= 0.9 * deals
    assert Counter(number % 4 for number in numbers) == dict.fromkeys(range(4), plan.touched // 4)
    assert all(isinstance(event, Event) for event in events)


def test_prometheus_client_is_given_the_very_series_that_we_render() -> None:
    reps = tuple((("rep", f"R-{number}"), ("window", "today")) for number in range(3))
    block = GaugeBlock(reps, np.array([1.0, float("nan"), 3.0]))
    gauges = [Gauge(name, "help", "", (block,)) for name in ("one", "two")]

    kept = cut_off(gauges, 3)
    families = list(client_registry(kept).collect())

    samples = [sample for family in families for sample in family.samples]
    assert {(sample.name, sample.labels["rep"], sample.value) for sample in samples} == {
        ("one", "R-0", 1.0),
        ("one", "R-2", 3.0),
    }


def test_a_stage_is_passed_when_so_many_deals_have_passed_it_over_all_partitions() -> None:
    before_and_during = [f"{stage} {10.1 + number} 0 {3 + 1}" for number, stage in enumerate(STAGES)]
    lines = [
        *(f"{stage} 9.0 {partition} 3" for stage in STAGES for partition in (0, 1)),
        *before_and_during,
        *(f"{stage} {10.5 + number} 1 5" for number, stage in enumerate(STAGES)),
        "cpu 9.0 render 7.0",
        "cpu 11.0 render 0.25",
        "cpu 12.0 render 0.5",
    ]

    marks, parts = read(lines, 10.0)
    stages = stages_of([10.0, 10.0], 6, marks, [(20_000.0, 7), (21_000.0, 9)])

    assert [(part.name, part.runs, part.seconds) for part in parts] == [("render", 2, 0.75)]
    first, second = stages[:2]
    assert first.own_mean == pytest.approx(300)  # one deal after 100 ms, the other after 500
    assert second.own_mean == pytest.approx(1000)
    assert second.since[0] == pytest.approx(1300)
    assert stages[-1].name == "seen"
    assert stages[-1].since[-1] == pytest.approx(10_990)
