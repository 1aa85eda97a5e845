"""An `AlertPlan` in, the rules about pace, lead response, pipeline and silence out. None about conversion."""

from collections.abc import Iterator, Mapping
from typing import Final

from metrics.alerts.plan import COVERAGE, PACE, SILENT, SLA, AlertPlan
from metrics.alerts.rules import AlertRule, Group, Said, alert_rule, number, told
from metrics.catalogue import BUILT_IN
from metrics.targets import can_be_paced
from metrics.wall.better import better_of

ACTIVE_WINDOW: Final = "7d"
"""A team without anything done for so long is on holiday or gone: its silence is no news."""
_BETTER_LOW: Final = "|".join(
    kpi.name for kpi in BUILT_IN if better_of(kpi.name) == "down" and can_be_paced(kpi, BUILT_IN)
)
"""To be behind the pace of losses and costs is what one hopes for."""
_OPEN: Final = "min(min_over_time(salesfloor_business_open[{window}])) == 1"


def business_group(plan: AlertPlan) -> Group:
    rules = []
    for name, of_level in _RULES.items():
        if plan.runs(name):
            rules += [rule for level in plan.levels for rule in of_level(plan, level)]
    return Group("salesfloor-business", plan.evaluation_seconds, tuple(rules))


def windows_needed(plan: AlertPlan) -> Iterator[tuple[str, str, str, str]]:
    """Yield (alert, KPI, level, window) of every KPI gauge that a running rule reads."""
    for level in plan.levels:
        if plan.runs(SLA):
            yield from ((SLA, kpi, level, plan.sla_window) for kpi in ("lead_response_sla", "lead_sla_due"))
    if plan.runs(SILENT) and "team" in plan.levels:
        yield from ((SILENT, "activities", "team", window) for window in (plan.silent_window, ACTIVE_WINDOW))


def _whose(level: str) -> str:
    return "The floor" if level == "floor" else "Team {{ $labels.team }}"


def _by(level: str, *more: str) -> str:
    return ", ".join((*more, *(() if level == "floor" else (level,))))


def _same(level: str, *more: str) -> str:
    """Return the matchers of a template's query that pick the alert's own series."""
    return ",".join(f"{label}=%q" for label in _labels(level, *more))


def _labels(level: str, *more: str) -> tuple[str, ...]:
    return (*more, *(() if level == "floor" else (level,)))


def _rule(plan: AlertPlan, level: str, name: str, expr: str, said: Said) -> AlertRule:
    labels: Mapping[str, str] = {"level": level}
    return alert_rule(plan, name, expr, said, labels)


def _pace(plan: AlertPlan, level: str) -> Iterator[AlertRule]:
    def gauge(figure: str, among: str = "") -> str:
        return f"max by ({_by(level, 'kpi', 'period')}) (salesfloor_{level}_{figure}{among})"

    def figure(query: str, form: str) -> str:
        labels = _labels(level, "kpi", "period")
        return told(query, *labels * query.count("kpi=%q"), form=form)

    same = _same(level, "kpi", "period")
    reached = figure(
        f"max(salesfloor_{level}_quota_actual{{{same}}}) / max(salesfloor_{level}_pace_expected{{{same}}})",
        "humanizePercentage",
    )
    quota = figure(f"max(salesfloor_{level}_quota_attainment_ratio{{{same}}})", "humanizePercentage")
    delta = gauge("pace_delta", f'{{kpi!~"{_BETTER_LOW}"}}')
    after = number(plan.pace_after_ratio)
    yield _rule(
        plan, level, PACE,
        f"{delta} < -{number(plan.pace_behind_ratio)} * {gauge('pace_expected')}\n"
        f"and {gauge('pace_expected')} > {after} * {gauge('quota')}",
        Said(
            f"{_whose(level)} is behind its pace for {{{{ $labels.kpi }}}} in {{{{ $labels.period }}}}.",
            f"By now {reached} of what an even pace over business days would have brought is there, and "
            f"{quota} of the whole target.",
            "Look at what each business day left must bring (required_per_day) and at the weighted forecast.",
        ),
    )  # fmt: skip


def _sla(plan: AlertPlan, level: str) -> Iterator[AlertRule]:
    window, by = plan.sla_window, _by(level)

    def gauge(kpi: str) -> str:
        over = f"by ({by}) " if by else ""
        return f'max {over}(salesfloor_{level}_{kpi}{{window="{window}"}})'

    same = ",".join(part for part in (_same(level), f'window="{window}"') if part)
    due = told(f"max(salesfloor_{level}_lead_sla_due{{{same}}})", *_labels(level), form='printf "%.0f"')
    yield _rule(
        plan, level, SLA,
        f"{gauge('lead_response_sla_ratio')} < {number(plan.sla_ratio_min)}\n"
        f"and {gauge('lead_sla_due')} >= {plan.sla_leads_min}",
        Said(
            f"{_whose(level)} answers leads too late.",
            f"Of {due} leads whose time ran out or was met ({window}), only "
            "{{ $value | humanizePercentage }} were contacted in time; "
            f"{number(plan.sla_ratio_min * 100)} % are asked for.",
            "Look at which leads wait, and spread them over who is free.",
        ),
    )  # fmt: skip


def _coverage(plan: AlertPlan, level: str) -> Iterator[AlertRule]:
    gauge = f'salesfloor_{level}_pipeline_coverage_ratio{{kpi="revenue"}}'
    yield _rule(
        plan, level, COVERAGE,
        f"max by ({_by(level, 'kpi', 'period')}) ({gauge}) < {number(plan.coverage_min)}",
        Said(
            f"{_whose(level)} has too little in its pipeline for {{{{ $labels.period }}}}.",
            'The open deals are worth {{ $value | printf "%.1f" }} times what the target still lacks; '
            f"{number(plan.coverage_min)} times is asked for.",
            "New opportunities are needed now: they take a sales cycle to become revenue.",
        ),
    )  # fmt: skip


def _silent(plan: AlertPlan, level: str) -> Iterator[AlertRule]:
    if level != "team":
        return  # a floor on which nothing happens sends nothing: that is stale data
    window = plan.silent_window

    def done(window: str) -> str:
        return f'max by (team) (salesfloor_team_activities{{window="{window}", team!~"unassigned|other"}})'

    yield _rule(
        plan, level, SILENT,
        f"{done(window)} == 0\nand {done(ACTIVE_WINDOW)} > 0\nand on () ({_OPEN.format(window=window)})",
        Said(
            "Team {{ $labels.team }} did nothing for a business hour."
            if window == "1h" else f"Team {{{{ $labels.team }}}} did nothing ({window}).",
            f"No call, e-mail, meeting or other activity of the team was completed ({window}), in business "
            "hours, while other data keeps coming.",
            "Ask the team; if it did work, look whether its dialler or CRM still sends activities.",
        ),
    )  # fmt: skip


_RULES: Final = {PACE: _pace, SLA: _sla, COVERAGE: _coverage, SILENT: _silent}
