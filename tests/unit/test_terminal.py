"""The terminal summary: the floor's main numbers, their age, and why there are none."""

import io

import numpy as np
from rich.console import Console

from metrics.catalogue import BUILT_IN
from metrics.kpi_snapshot import KpiSnapshot, LevelKeys, Series
from metrics.panes import FeedState
from metrics.windows import Window
from streams.commands.show import shown_seconds
from streams.terminal import Pace, line, screen


def snapshot(*, rebuilding: bool = False) -> KpiSnapshot:
    today = Window("today", 0, 1, 0, 1)
    counters = {"accepted": {"sales.deals": 1200, "sales.leads": 34}, "rejected": {"malformed": 5}}
    return KpiSnapshot(
        as_of_ms=0,
        reporting_currency="EUR",
        state=FeedState(counters=counters, rebuilding=rebuilding),
        windows=(today,),
        left_out=(),
        missing_rates={},
        data_age_seconds=2.5,
        keys={"floor": LevelKeys(("all",)), "team": LevelKeys(("[red]east", "west"))},
        series=(
            Series(BUILT_IN["revenue"], "floor", ("today",), np.array([[12500.5]])),
            Series(BUILT_IN["open_deals"], "floor", (), np.array([[7.0]])),
            Series(BUILT_IN["revenue"], "team", ("today",), np.array([[2500.0, 10000.5]])),
        ),
    )


def drawn(shown: KpiSnapshot | None, reason: str = "") -> str:
    console = Console(file=io.StringIO(), width=100)
    console.print(screen(shown, reason, Pace(), "Demo"))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_screen_shows_numbers_age_and_rejects() -> None:
    said = drawn(snapshot())
    for expected in ("12,500.50", "open deals now", "data age 2.5 s", "1,234 events", "5 rejected"):
        assert expected in said
    assert said.index("west") < said.index("[red]east"), "the team that sold most comes first"


def test_screen_says_when_numbers_are_not_to_be_relied_on() -> None:
    assert "stale: Redis is away" in drawn(snapshot(), "Redis is away")
    assert "rebuilding" in drawn(snapshot(rebuilding=True))
    assert "waiting: no worker has run" in drawn(None, "no worker has run")


def test_line_for_logs_holds_the_same() -> None:
    said = line(snapshot(), Pace())
    assert "revenue today 12,500.50" in said
    assert "open deals 7" in said
    assert "calls 1h –" in said, "what is absent is not 0"
    assert "\n" not in said


def test_pace_is_events_over_the_last_seconds() -> None:
    seconds = iter([0.0, 5.0, 10.0, 20.0])
    pace = Pace(lambda: next(seconds))
    assert [pace.of(total) for total in (100, 150, 250, 250)] == [None, 10.0, 15.0, 0.0]


def test_spans_are_short() -> None:
    assert [shown_seconds(s) for s in (0.25, 42, 600, 7200, 864_000)] == [
        "0.2 s", "42 s", "10 min", "2 h", "10.0 d",
    ]  # fmt: skip
