"""A `RewardReport` in, the answers of /api/leaderboards, /api/contests and /api/commissions out.

Commission that is for the rep alone is told to that rep and to who may see everything, and to nobody else.
"""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Protocol

from metrics.calendar import rfc3339
from metrics.commission import ZERO
from metrics.contest import ContestStanding, Stage
from metrics.kpi_snapshot import JsonValue
from metrics.leaderboard import Entry, Standing
from metrics.rewards import CommissionEstimate, RewardReport
from metrics.snapshot import PaneImage
from metrics.web.access import Visitor

Json = dict[str, JsonValue]


def leaderboards_answer(report: RewardReport) -> Json:
    return _answer(report, "leaderboards", (_board(standing) for standing in report.standings))


def contests_answer(report: RewardReport) -> Json:
    return _answer(report, "contests", (_contest(standing) for standing in report.contests))


def commissions_answer(report: RewardReport, seen: Iterable[CommissionEstimate]) -> Json:
    """Tell the estimates that who asks may see."""
    return _answer(report, "commissions", (_estimate(each) for each in seen))


ANSWERS_OF = {"leaderboards": leaderboards_answer, "contests": contests_answer}


def seen_by(visitor: Visitor, estimates: Iterable[CommissionEstimate]) -> Iterator[CommissionEstimate]:
    """Yield of all estimates what the visitor may see."""
    for each in estimates:
        if visitor.every_commission or each.plan.visible == "all":
            yield each
        elif visitor.rep and (not each.plan.reps or visitor.rep in each.plan.reps):
            # Who has sold nothing yet is told so: no answer would look like a wrong token.
            yield replace(each, by_rep={visitor.rep: each.by_rep.get(visitor.rep, ZERO)})


class _Source(Protocol):
    def image(self) -> PaneImage: ...
    def commissions(self, image: PaneImage, as_of_ms: int) -> tuple[CommissionEstimate, ...]: ...


class Estimates:
    """The estimates of every plan, computed when somebody asks who may see them, and once per tick."""

    def __init__(self) -> None:
        self._one_at_a_time = asyncio.Lock()
        self._of: RewardReport | None = None
        self._found: tuple[CommissionEstimate, ...] = ()

    async def of_tick(self, source: _Source, tick: RewardReport) -> tuple[CommissionEstimate, ...]:
        async with self._one_at_a_time:
            if self._of is not tick:
                found = await asyncio.to_thread(source.commissions, source.image(), tick.as_of_ms)
                self._of, self._found = tick, found
            return self._found


def _answer(report: RewardReport, name: str, found: Iterable[Json]) -> Json:
    return {"as_of": rfc3339(report.as_of_ms), "reporting_currency": report.currency, name: [*found]}


def _board(standing: Standing) -> Json:
    board = standing.board
    found: Json = {
        "name": board.name,
        "title": board.title or board.name,
        "kpi": board.kpi,
        "window": board.window,
        "level": board.level,
        "by": board.by,
        "better": board.better,
    }
    if board.quantile is not None:
        found["quantile"] = board.quantile
    found["ranked"] = len(standing.entries)
    found["entries"] = [_entry(entry) for entry in standing.shown]
    return found


def _entry(entry: Entry) -> Json:
    return {
        "rank": entry.rank,
        "key": entry.key,
        "score": entry.score,
        "value": entry.value,
        "previous": entry.previous,
        "rank_change": entry.rank_change,
    }


def _contest(standing: ContestStanding) -> Json:
    contest = standing.contest
    # What is due but not written down yet may still move: it is not final before it is kept.
    stage = Stage.SETTLING if standing.stage is Stage.FINAL and not standing.final else standing.stage
    found: Json = {
        "name": contest.name,
        "kpi": contest.kpi,
        "level": contest.level,
        "better": contest.better,
        "prize": contest.prize,
        "start": rfc3339(contest.start_ms),
        "end": rfc3339(contest.end_ms),
        "settled": rfc3339(contest.settled_ms),
        "stage": stage.value,
        "final": standing.final,
    }
    if standing.frozen is not None:
        found["as_of"] = standing.frozen.get("as_of")
        found["standings"] = standing.frozen.get("standings")
    else:
        found["as_of"] = rfc3339(standing.as_of_ms)
        found["standings"] = [
            {"rank": entry.rank, "key": entry.key, "value": entry.value} for entry in standing.entries
        ]
    return found


def _estimate(estimate: CommissionEstimate) -> Json:
    plan = estimate.plan
    return {
        "plan": plan.name,
        "valid_from": plan.valid_from.isoformat(),
        "kpi": plan.kpi,
        "period": plan.period,
        "since": rfc3339(estimate.since_ms),
        "visible": plan.visible,
        "reps": {rep: float(value) for rep, value in estimate.by_rep.items()},
    }
