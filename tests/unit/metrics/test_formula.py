"""The language says what it can compute, and what is wrong with what it cannot."""

from fractions import Fraction

import numpy as np
import pytest

from metrics.catalogue import BUILT_IN
from metrics.exact import Exact
from metrics.formula import FormulaError, Inputs, KpiUnit, Value, evaluate, parse, to_float
from metrics.kpi import Catalogue, Kpi


def custom(formula: str, unit: KpiUnit = KpiUnit.COUNT, **more: object) -> Kpi:
    return Kpi("mine", "Mine.", formula, unit, **more)  # type: ignore[arg-type]


def error_of(kpi: Kpi, *others: Kpi) -> str:
    with pytest.raises(FormulaError) as caught:
        BUILT_IN.with_custom((kpi, *others))
    return str(caught.value)


@pytest.mark.parametrize(
    ("formula", "unit", "message"),
    [
        ("revenu / 2", KpiUnit.MONEY, "unknown name 'revenu'; did you mean revenue?"),
        ("revenue + deals_won", KpiUnit.MONEY, "unit clash: money + count"),
        ("deals_won + win_rate", KpiUnit.COUNT, "unit clash: count + ratio"),
        ("revenue / talk_time", KpiUnit.MONEY, "gives money·time^-1, but its unit says money"),
        ("revenue / deals_won", KpiUnit.COUNT, "gives money, but its unit says count"),
        ("won_cycle", KpiUnit.SECONDS, "is a histogram; write quantile(0.5, won_cycle)"),
        ("sales_cycle", KpiUnit.SECONDS, "has several quantiles; write quantile(0.5, …)"),
        ("quantile(2, won_cycle)", KpiUnit.SECONDS, "'2' is no quantile"),
        ("quantile(0.5, won)", KpiUnit.SECONDS, "'won' is no histogram; known are lead_response, won_cycle"),
        ("quantile(q, won_cycle)", KpiUnit.SECONDS, "go together; give both or neither"),
        ("mine + 1", KpiUnit.COUNT, "refers to itself: mine → mine"),
        ("__import__('os')", KpiUnit.COUNT, "is not part of the language"),
        ("won.real", KpiUnit.COUNT, "'won.real' is not part of the language"),
        ("won if lost else 1", KpiUnit.COUNT, "is not part of the language"),
        ("won ** 2", KpiUnit.COUNT, "'won ** 2' is not part of the language"),
        ("True", KpiUnit.COUNT, "'True' is not part of the language"),
        ("1e999", KpiUnit.COUNT, "'1e999' is not part of the language"),
        ("(won", KpiUnit.COUNT, "is not a formula: '(' was never closed"),
        ("", KpiUnit.COUNT, "is not a formula"),
        ("won\x00", KpiUnit.COUNT, "is not a formula"),
        ("1or 2", KpiUnit.COUNT, "is not a formula"),
        ("-" * 60 + "won", KpiUnit.COUNT, "nested more than 50 deep"),
        ("won + " * 400 + "won", KpiUnit.COUNT, "characters long"),
    ],
)
def test_a_wrong_formula_is_told_what_is_wrong(formula: str, unit: KpiUnit, message: str) -> None:
    error = error_of(custom(formula, unit))
    assert error.startswith("KPI 'mine', formula = ")
    assert message in error


def test_a_cycle_over_several_kpis_is_shown_in_order() -> None:
    other = Kpi("other", "Other.", "mine * 2", KpiUnit.COUNT)
    assert "mine → other → mine" in error_of(custom("other + won"), other)


@pytest.mark.parametrize(
    ("kpi", "message"),
    [
        (Kpi("revenue", "Again.", "won_amount", KpiUnit.MONEY), "defined twice"),
        (Kpi("won", "A measure.", "lost", KpiUnit.COUNT), "has the name of a measure"),
        (Kpi("Calls per win", "Odd.", "calls / won", KpiUnit.COUNT), "is no name"),
        (custom("won", levels=("floor", "planet")), "unknown level 'planet'"),
        (custom("won@90x"), "'90x' is no window; use 5m, 1h"),
        (custom("(won + lost)@90d"), "is not a formula"),
        (custom("average_deal_size_growth@90d"), "'average_deal_size_growth' looks at another window itself"),
        (
            custom("rostered_time / window_time", levels=("product",)),
            "'rostered_time' is not known by product",
        ),
        (custom("won", levels=("stage",)), "only what is open now and what enters a stage is known by stage"),
        (
            Kpi("revenue_previous", "Twin.", "revenue", KpiUnit.MONEY),
            "the gauge salesfloor_*_revenue_previous",
        ),
        (Kpi("talk_time_seconds", "Twin.", "calls", KpiUnit.COUNT), "of KPI 'talk_time'; rename it"),
    ],
)
def test_a_wrong_definition_is_told_what_is_wrong(kpi: Kpi, message: str) -> None:
    assert message in error_of(kpi)


def test_a_count_per_count_may_be_shown_as_either() -> None:
    for unit in (KpiUnit.COUNT, KpiUnit.RATIO):
        catalogue = BUILT_IN.with_custom([custom("calls / deals_won", unit)])
        assert catalogue.measures_of(catalogue["mine"]) == {"calls_done", "won"}


def value_of(formula: str, **names: list[int]) -> Value:
    arrays = {name: Exact.of(np.array(values)) for name, values in names.items()}
    inputs = Inputs(lambda name, _at: arrays[name], lambda _fraction, _name, _at: np.array([2.5]))
    return evaluate(parse(formula), inputs)


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("a + b * 2", [7.0, 14.0]),
        ("(a + b) * 2", [8.0, 18.0]),
        ("-a - +b", [-4.0, -9.0]),
        ("a / b", [1 / 3, 4 / 5]),
        ("a / b / 2", [1 / 6, 2 / 5]),
        ("(a / b) / (b / a)", [1 / 9, 16 / 25]),
        ("a * 0.1", [0.1, 0.4]),
        ("quantile(0.5, h) * a", [2.5, 10.0]),
    ],
)
def test_a_formula_is_arithmetic(formula: str, expected: list[float]) -> None:
    assert to_float(value_of(formula, a=[1, 4], b=[3, 5])).tolist() == pytest.approx(expected)


@pytest.mark.parametrize("formula", ["a / b", "1 + a / b", "(a / b) * 0", "1 / (a / b)", "(a / b) / (a / b)"])
def test_what_has_no_denominator_has_no_value_whatever_is_done_to_it(formula: str) -> None:
    assert np.isnan(to_float(value_of(formula, a=[1, 0], b=[0, 0]))).all()


def test_a_quotient_is_rounded_once() -> None:
    # In floats 0.1 + 0.2 is not 0.3, and tens of thousands of tenths drift apart.
    assert to_float(value_of("a / 10 + b / 10", a=[1], b=[2])).tolist() == [0.3]


def test_sums_beyond_64_bits_stay_exact() -> None:
    huge = (1 << 62) - 1
    value = value_of("a * b + a", a=[huge], b=[huge])
    assert isinstance(value, Exact)
    assert int(value.numerator[0]) == huge * huge + huge
    assert to_float(value, 100).tolist() == [float(Fraction(huge * huge + huge, 100))]


def test_a_quotient_beyond_the_floats_integers_is_still_the_nearest_float() -> None:
    top, bottom = (1 << 61) + 1, 3
    assert to_float(value_of("a / b", a=[top], b=[bottom])).tolist() == [top / bottom]


def test_the_built_in_catalogue_is_sound_and_each_ratio_has_its_parts_beside_it() -> None:
    assert Catalogue(BUILT_IN.kpis) == BUILT_IN
    for kpi in BUILT_IN:
        if kpi.unit is KpiUnit.RATIO:
            top, _, bottom = kpi.formula.removesuffix(" - 1").partition(" / ")
            bottom = bottom.removesuffix("@year_before")
            assert top in BUILT_IN, kpi.name
            assert bottom in BUILT_IN, kpi.name
            assert set(BUILT_IN[top].levels) >= set(kpi.levels) <= set(BUILT_IN[bottom].levels)


def test_gauges_carry_their_unit_last() -> None:
    assert BUILT_IN["win_rate"].gauge_name("team") == "salesfloor_team_win_rate_ratio"
    assert BUILT_IN["win_rate"].gauge_name("rep", previous=True) == "salesfloor_rep_win_rate_previous_ratio"
    assert BUILT_IN["talk_time"].gauge_name("floor") == "salesfloor_floor_talk_time_seconds"
    assert BUILT_IN["revenue"].gauge_name("floor", previous=True) == "salesfloor_floor_revenue_previous"


def test_only_quotients_and_quantiles_are_absent_when_empty() -> None:
    absent = {kpi.name for kpi in BUILT_IN if kpi.when_empty == "absent"}
    quotients = {kpi.name for kpi in BUILT_IN if " / " in kpi.formula}
    assert absent >= {"average_deal_size", "win_rate", "win_rate_value", "sales_cycle", "enps", "pulse_total"}
    assert absent <= quotients | {"sales_cycle", "lead_response_time", "enps", "pulse_total", "market"}
    assert not absent & {"revenue", "deals_won", "weighted_pipeline", "new_customers", "customers_at_start"}
