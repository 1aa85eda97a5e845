"""An `AlertPlan` in, the rules for a falling conversion out: fast, slow, drought, CUSUM, per level.

The metrics role exports everything that is compared. Where the plan asks for something that it does not
export (another z, other thresholds, Prometheus' own history as the baseline), recording rules compute gauges
of the same names from the counts, with `salesfloor:` in front; the alerts then read those.
"""

import re
from collections.abc import Iterator
from typing import Final

from metrics.alerts.plan import CONVERSION, CUSUM, DROUGHT, FAST, SLOW, AlertPlan
from metrics.alerts.rules import AlertRule, Group, Record, Said, alert_rule, number, told
from metrics.conversion import (
    BASELINE_SUCCESSES_MIN,
    DROUGHT_PROBABILITY,
    EXPECTED_SUCCESSES_MIN,
    MATERIAL_RATIO,
)
from metrics.conversion_gauges import CUSUM as CUSUM_GAUGE
from metrics.conversion_gauges import CUSUM_LIMIT, Z_VALUES

_TEAMS: Final = 'team!~"unassigned|other"'
"""Who belongs to no team, or to one of too many, has no manager to call; the floor's own rule sees them."""
_PERCENT, _WHOLE, _COMMA = "humanizePercentage", 'printf "%.0f"', 'printf "%.2f"'
_WINDOWS: Final = {"1bd": "the last business day", "5bd": "the last five business days"}


def conversion_group(plan: AlertPlan) -> Group:
    rules: list[Record | AlertRule] = []
    if is_derived(plan):
        rules += [record for level in plan.levels for record in _records(plan, level)]
    for name in CONVERSION:
        if plan.runs(name):
            rules += [_RULES[name](plan, level) for level in plan.levels]
    return Group("salesfloor-conversion", plan.evaluation_seconds, tuple(rules))


def is_derived(plan: AlertPlan) -> bool:
    """Say whether the plan asks for more than the metrics role exports."""
    exported: tuple[float, ...] = (
        MATERIAL_RATIO, EXPECTED_SUCCESSES_MIN, BASELINE_SUCCESSES_MIN, DROUGHT_PROBABILITY,
    )  # fmt: skip
    asked: tuple[float, ...] = (
        plan.material_ratio, plan.expected_successes_min, plan.baseline_successes_min,
        plan.drought_probability,
    )  # fmt: skip
    if plan.baseline == "prometheus" or asked != exported:
        return True
    return not {plan.fast_z, plan.slow_z} <= set[float](Z_VALUES)


# --- names ------------------------------------------------------------------------------------------


def _by(level: str) -> tuple[str, ...]:
    return ("funnel",) if level == "floor" else ("funnel", "team")


def _name(plan: AlertPlan, level: str, what: str) -> str:
    separator = ":" if is_derived(plan) else "_"
    return f"salesfloor{separator}{level}_conversion_{what}"


def _among(plan: AlertPlan, level: str) -> str:
    """Return the matchers every query of ours has."""
    # A pattern inside a quoted text: both have marks of their own.
    named = "|".join(map(re.escape, plan.funnels)).replace("\\", r"\\").replace('"', r"\"")
    funnels = [f'funnel=~"{named}"'] if plan.funnels else []
    return ", ".join([*funnels, *([_TEAMS] if level == "team" else [])])


def _gauge(plan: AlertPlan, level: str, what: str, window: str, more: str = "") -> str:
    """Return one gauge, once for each funnel and team however many metrics roles export it."""
    matchers = ", ".join(part for part in (f'window="{window}"', more, _among(plan, level)) if part)
    return f"max by ({', '.join(_by(level))}) ({_name(plan, level, what)}{{{matchers}}})"


def _told(plan: AlertPlan, level: str, form: str, window: str, whats: str) -> str:
    """Return a template for a number; names of gauges in `whats` stand in angle brackets."""
    matchers = ",".join(f"{label}=%q" for label in _by(level)) + f',window="{window}"'
    query, labels = whats, 0
    for what in ("baseline_rate_ratio", "baseline_trials", "rate_ratio", "trials", "successes"):
        labels += query.count(f"<{what}>")
        query = query.replace(f"<{what}>", f"max({_name(plan, level, what)}{{{matchers}}})")
    return told(query, *(_by(level) * labels), form=form)


# --- alerts -----------------------------------------------------------------------------------------


def _whose(level: str) -> str:
    return "the floor" if level == "floor" else "team {{ $labels.team }}"


def _counts(plan: AlertPlan, level: str, window: str) -> str:
    def of(form: str, whats: str) -> str:
        return _told(plan, level, form, window, whats)

    return (
        f"Over {_WINDOWS[window]}, {of(_WHOLE, '<successes>')} of {of(_WHOLE, '<trials>')} "
        f"{{{{ $labels.funnel }}}} trials succeeded (p = {of(_PERCENT, '<rate_ratio>')}); "
        f"in the same days of the four weeks before it was p0 = {of(_PERCENT, '<baseline_rate_ratio>')} "
        f"of {of(_WHOLE, '<baseline_trials>')}. "
        f"That is {of(_WHOLE, '<trials> * <baseline_rate_ratio> - <successes>')} wins lost."
    )


_ACTION: Final = (
    "Open the team's dashboard: did trials rise or successes fall, in which product, source or region, since "
    "which day? Then ask the team."
)


def _alert(plan: AlertPlan, level: str, name: str, expr: str, summary: str, description: str) -> AlertRule:
    said = Said(summary, description, _ACTION)
    return alert_rule(plan, name, expr, said, {"level": level})


def _fell(plan: AlertPlan, level: str, window: str, z: float) -> str:
    upper = _gauge(plan, level, "newcombe_upper_ratio", window, f'z="{z!r}"')
    return f"{upper} < 0\nand {_gauge(plan, level, 'material', window)} == 1"


def _fast(plan: AlertPlan, level: str) -> AlertRule:
    window = plan.fast_window
    return _alert(
        plan, level, FAST, _fell(plan, level, window, plan.fast_z),
        f"{{{{ $labels.funnel }}}} of {_whose(level)} is falling fast.",
        _counts(plan, level, window),
    )  # fmt: skip


def _slow(plan: AlertPlan, level: str) -> AlertRule:
    window = plan.slow_window
    now = _gauge(plan, level, "rate_ratio", plan.slow_confirm_window)
    before = _gauge(plan, level, "baseline_rate_ratio", window)
    confirmed = f"and {now} <= {number(plan.slow_confirm_ratio)} * {before}"
    return _alert(
        plan, level, SLOW, f"{_fell(plan, level, window, plan.slow_z)}\n{confirmed}",
        f"{{{{ $labels.funnel }}}} of {_whose(level)} has been falling for days, and still is.",
        _counts(plan, level, window),
    )  # fmt: skip


def _drought(plan: AlertPlan, level: str) -> AlertRule:
    window = plan.drought_window
    return _alert(
        plan, level, DROUGHT, f"{_gauge(plan, level, 'drought', window)} == 1",
        f"Not one {{{{ $labels.funnel }}}} success of {_whose(level)}.",
        _counts(plan, level, window),
    )  # fmt: skip


def _cusum(plan: AlertPlan, level: str) -> AlertRule:
    by, among = ", ".join(_by(level)), _among(plan, level)
    if level == "floor":  # the gauge of all teams carries the floor's beside them, without a team
        among = ", ".join(part for part in ('team=""', among) if part)
    # Not a team of one deal: the floor's and each team's evidence has a limit of its own.
    expr = f"max by ({by}) ({CUSUM_GAUGE}{{{among}}}) > max by ({by}) ({CUSUM_LIMIT}{{{among}}})"
    labels = ("funnel",) if level == "floor" else ("funnel", "team")
    where = 'funnel=%q,team=""' if level == "floor" else "funnel=%q,team=%q"
    limit = told(f"max({CUSUM_LIMIT}{{{where}}})", *labels, form=_COMMA)
    return _alert(
        plan, level, CUSUM, expr,
        f"Outcome by outcome, {{{{ $labels.funnel }}}} of {_whose(level)} looks like a lasting fall.",
        f"The CUSUM over the newest outcomes stands at {{{{ $value | {_COMMA} }}}}, above its limit {limit}. "
        f"{_counts(plan, level, plan.slow_window)}",
    )  # fmt: skip


_RULES: Final = {FAST: _fast, SLOW: _slow, DROUGHT: _drought, CUSUM: _cusum}


# --- what the metrics role does not export, from its counts -----------------------------------------


def _records(plan: AlertPlan, level: str) -> Iterator[Record]:
    by = ", ".join((*_by(level), "window"))

    def name(what: str) -> str:
        return f"salesfloor:{level}_conversion_{what}"

    def record(what: str, expr: str, **labels: str) -> Record:
        return Record(name(what), expr, labels)

    for what in ("trials", "successes"):
        exported = f"salesfloor_{level}_conversion_"
        yield record(what, f"max by ({by}) ({exported}{what})")
        if plan.baseline == "service":
            yield record(f"baseline_{what}", f"max by ({by}) ({exported}baseline_{what})")
        else:
            yield record(f"baseline_{what}", _weeks_before(name(what), by))
    n, x, n0, x0 = map(name, ("trials", "successes", "baseline_trials", "baseline_successes"))
    p, p0 = name("rate_ratio"), name("baseline_rate_ratio")
    yield record("rate_ratio", f"{x} / ({n} > 0) <= 1")
    yield record("baseline_rate_ratio", f"{x0} / ({n0} > 0) <= 1")
    for z in dict.fromkeys((plan.fast_z, plan.slow_z)):
        yield record("newcombe_upper_ratio", _newcombe(p, n, p0, n0, z), z=repr(z))
    ratio, expected, before = map(
        number, (plan.material_ratio, plan.expected_successes_min, plan.baseline_successes_min)
    )
    yield record(
        "material",
        f"({p} <= bool {ratio} * {p0})\n* ({n} * {p0} >= bool {expected})\n* ({x0} >= bool {before})",
    )
    chance = f"(1 - {p0}) ^ {n} < bool {number(plan.drought_probability)}"
    yield record("drought", f"({chance})\n* ({x} == bool 0)\n* ({n} > bool 0)")


def _weeks_before(counted: str, by: str) -> str:
    """Return the sum over those of the four weeks before that Prometheus has."""
    weeks = (f'label_replace({counted} offset {week}w, "week", "{week}", "", "")' for week in range(1, 5))
    either = "\n  or ".join(weeks)
    return f"sum by ({by}) (\n  {either}\n)"


def _newcombe(p: str, n: str, p0: str, n0: str, z: float) -> str:
    """Return Newcombe's upper limit of p - p0, made of Wilson's upper bound of p and lower bound of p0."""
    upper, lower = _wilson(p, n, z, "+"), _wilson(p0, n0, z, "-")
    return f"{p} - {p0} + sqrt(\n  ({upper} - {p}) ^ 2\n  + ({p0} - {lower}) ^ 2\n)"


def _wilson(p: str, n: str, z: float, sign: str) -> str:
    square, half, quarter = (number(z * z / part) for part in (1, 2, 4))
    spread = f"sqrt({p} * (1 - {p}) / {n} + {quarter} / {n} ^ 2)"
    return f"({p} + {half} / {n} {sign} {number(z)} * {spread}) / (1 + {square} / {n})"
