"""Made-up numbers in the form that crosses the wire to the wall: a floor for page tests and pictures."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

Json = dict[str, Any]
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
PEOPLE = (
    ("Ana Costa", "North"), ("Bo Lindqvist", "North"), ("Chen Wei", "East"), ("Dewi Lestari", "East"),
    ("Emre Kaya", "South"), ("Farah Aziz", "South"), ("Grace Obi", "North"), ("Hugo Martin", "East"),
    ("Iris Novak", "South"), ("Jonas Weber", "North"),
)  # fmt: skip
BOARDS: Sequence[Json] = (
    {"name": "floor", "title": "Today", "seconds": 30},
    {"name": "month", "title": "This month", "seconds": 20},
)


@dataclass
class FakeFloor:
    """Everything a wall shows, of a floor that wins a little more with each tick."""

    name: str = "Nordwind Sales"
    language: str = "en"
    currency: str = "EUR"
    zone: str = "Europe/Berlin"
    boards: Sequence[Json] = BOARDS
    random: Random = field(default_factory=lambda: Random(7))
    now_ms: int = field(default_factory=lambda: int(time.time() * 1000))
    ticks: int = 0
    wins: int = 0
    rotate: bool = False

    def hello(self) -> Json:
        return {
            "floor": self.name, "zone": self.zone, "currency": self.currency, "currency_exponent": 2,
            "language": self.language, "now_ms": self.now_ms, "boards": [*self.boards], "rotate": self.rotate,
            "quiet_hours": None, "win": {"seconds": 1.5, "sound": False},
        }  # fmt: skip

    def _state(self, board: str) -> Json:
        return {
            "board": board, "as_of_ms": self.now_ms, "now_ms": self.now_ms,
            "newest_event_ms": self.now_ms - 2000, "stale": False, "not_ready": "", "catching_up": False,
            "records_lost": 0,
        }  # fmt: skip

    def board(self, name: str) -> Json:
        self.now_ms = max(self.now_ms, int(time.time() * 1000))
        widgets = month_widgets(self) if name == "month" else floor_widgets(self)
        return {**self._state(name), "widgets": widgets}

    def tick(self, board: str) -> Json:
        """One second later: the revenue grows, a leaderboard moves, the feed has news now and then."""
        self.now_ms += 1000
        self.ticks += 1
        widgets = month_widgets(self) if board == "month" else floor_widgets(self)
        changed = widgets if self.ticks % 5 == 0 else widgets[:2]
        return {**self._state(board), "widgets": changed}

    def win(self, **more: Any) -> Json:
        self.wins += 1
        name, team = PEOPLE[self.wins % len(PEOPLE)]
        return {
            "id": f"win-{self.wins}", "rep": f"R-{self.wins}", "rep_name": name, "team": team,
            "amount_minor": 1_250_000 + self.wins * 10_000, "currency": self.currency, "currency_exponent": 2,
            "deal_id": f"D-{self.wins}", "closed_ms": self.now_ms, "picture": None, **more,
        }  # fmt: skip

    def alerts(self) -> Json:
        return {
            "alerts": [
                {
                    "name": "ConversionFallingFast", "severity": "page",
                    "summary": "Conversion of deals to wins is falling fast in South",
                    "description": "30 of 200 against 200 of 800 in the four weeks before.",
                    "labels": {"team": "South", "funnel": "deal_win"}, "since_ms": self.now_ms - 25 * 60_000,
                },
            ]
        }  # fmt: skip

    def money(self, **figures: Any) -> Json:
        return {"unit": "money", "currency": self.currency, "exponent": 2, **figures}


def trend(random: Random, end: float, points: int = 40) -> list[int | None]:
    level, line = end * 0.35, list[int | None]()
    for left in range(points, 0, -1):
        level += (end - level) / left + random.uniform(-0.035, 0.035) * end * (left > 1)
        line.append(round(level))
    return line


def kpi(number: int, name: str, figures: Mapping[str, Any]) -> Json:
    return {
        "id": f"kpi-{number}", "kind": "kpi", "title_key": f"kpi.{name}", "kpi": name, "label": name,
        "window": "today", "level": "floor", "key": "", "better": "up", "previous": None, "target": None,
        "attainment": None, "expected": None, "pace": None, "trend": None, **figures,
    }  # fmt: skip


def floor_kpis(floor: FakeFloor) -> list[Json]:
    grown = floor.ticks * 12_500
    revenue = 12_845_000 + grown
    line = [*trend(Random(3), 12_845_000), revenue]
    won = 14 + floor.ticks // 20
    goal = {"target": 18_000_000, "attainment": revenue / 18_000_000, "expected": 11_700_000, "pace": "ahead"}
    wins = {"target": 25, "attainment": won / 25, "expected": 16.2, "pace": "behind"}
    quick = {"better": "down", "quantile": 0.5, "trend": trend(Random(9), 1140)}
    return [
        kpi(0, "revenue", floor.money(value=revenue, previous=11_020_000, trend=line, **goal)),
        kpi(1, "deals_won", count(won, 12, 1) | wins),
        kpi(
            2,
            "win_rate",
            {"unit": "ratio", "value": 0.264, "previous": 0.281, "trend": trend(Random(5), 264)},
        ),
        kpi(3, "lead_response_time", {"unit": "seconds", "value": 1140, "previous": 1500} | quick),
        kpi(4, "meetings_held", count(37, 31, 4)),
    ]


def count(value: int, previous: int, seed: int) -> Json:
    return {"unit": "count", "value": value, "previous": previous, "trend": trend(Random(seed), value)}


def ranking(floor: FakeFloor, number: int, kind: str = "leaderboard", window: str = "mtd") -> Json:
    rows: list[Json] = []
    values = sorted(
        ((4_820_000 - place * 371_000 + (floor.ticks // 5 * (place % 4) * 90_000) % 700_000, place)
         for place in range(len(PEOPLE))), reverse=True,
    )  # fmt: skip
    for rank, (value, place) in enumerate(values, start=1):
        name, team = PEOPLE[place]
        rows.append({
            "rank": rank, "tied": False, "key": f"R-{place}", "name": name, "team": team, "value": value,
            "target_share": None if kind == "most_improved" else round(value / 4_000_000, 3),
            "rank_change": ((place * 7 + 3) % 5 - 2) or None, "improved": 1_900_000 - rank * 160_000,
        })  # fmt: skip
    return {
        "id": f"rank-{number}", "kind": kind, "title_key": "kpi.revenue", "label": "revenue",
        "kpi": "revenue", "window": window, "level": "rep", "by": "value", "rows": rows, **floor.money(),
    }  # fmt: skip


def pipeline(floor: FakeFloor) -> Json:
    stages = [("Qualified", 48, 31_200_000), ("Demo", 31, 24_800_000), ("Proposal", 19, 21_450_000),
              ("Negotiation", 9, 14_300_000)]  # fmt: skip
    return {
        "id": "pipeline-0", "kind": "pipeline", "title_key": "widget.pipeline", **floor.money(),
        "stages": [{"stage": name, "name": name, "count": count, "amount_minor": amount, "probability": None}
                   for name, count, amount in stages],
    }  # fmt: skip


def funnel() -> Json:
    steps = [("leads_created", 412), ("leads_qualified", 188), ("demos_held", 74), ("deals_won", 21)]
    found, before = list[Json](), 0
    for name, value in steps:
        found.append({"label": name, "value": value, "share_of_previous": value / before if before else None})
        before = value
    head = {"id": "funnel-0", "kind": "funnel", "title_key": "widget.funnel"}
    return {**head, "window": "5bd", "level": "floor", "key": "", "steps": found}


def feed(floor: FakeFloor) -> Json:
    kinds = (
        "deal_won",
        "demo_booked",
        "meeting_held",
        "deal_created",
        "proposal_sent",
        "lead_converted",
        "deal_won",
    )
    items = []
    for back in range(12):
        number = floor.ticks // 15 + 40 - back
        name, _team = PEOPLE[number * 7 % len(PEOPLE)]
        kind = kinds[number % len(kinds)]
        won = kind == "deal_won"
        items.append({
            "id": f"feed-{number}", "at_ms": floor.now_ms - back * 190_000 - floor.ticks % 15 * 1000,
            "kind": kind, "rep": f"R-{number}", "rep_name": name, "text_key": f"feed.{kind}",
            "amount_minor": 450_000 + number * 12_300 if won else None,
            "currency": floor.currency if won else None, "currency_exponent": 2,
        })  # fmt: skip
    return {"id": "feed-0", "kind": "feed", "title_key": "widget.feed", "items": items}


def conversion() -> Json:
    head = {"id": "conversion-0", "kind": "conversion", "title_key": "widget.conversion"}
    figures = {
        "rate": 0.264,
        "lower": 0.201,
        "upper": 0.339,
        "baseline": 0.281,
        "trials": 159,
        "successes": 42,
    }
    return {**head, "funnel": "deal_win", "team": None, "window": "5bd", **figures}


def contest(floor: FakeFloor) -> Json:
    rows = [{**row, "target_share": None, "rank_change": None} for row in ranking(floor, 0)["rows"][:5]]
    return {
        "id": "contest-0", "kind": "contest", "title_key": "widget.contest", "name": "November sprint",
        "prize": "Dinner for two", "label": "revenue", "kpi": "revenue", "level": "rep", **floor.money(),
        "starts_ms": floor.now_ms - 10 * DAY_MS, "ends_ms": floor.now_ms // HOUR_MS * HOUR_MS + 5 * HOUR_MS,
        "state": "running", "rows": rows,
    }  # fmt: skip


def floor_widgets(floor: FakeFloor) -> list[Json]:
    return [*floor_kpis(floor), ranking(floor, 0), pipeline(floor), feed(floor), conversion()]


def month_widgets(floor: FakeFloor) -> list[Json]:
    figures = [{**each, "window": "mtd"} for each in floor_kpis(floor)[:4]]
    return [*figures, ranking(floor, 1, "most_improved"), contest(floor), funnel(), feed(floor)]
