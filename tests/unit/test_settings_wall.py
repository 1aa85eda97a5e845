"""`[wall]` and `[[boards]]`: what is refused and how, what becomes of the rest, and the default boards."""

import hashlib
from datetime import date
from pathlib import Path
from typing import get_args

import pytest

from metrics.catalogue import BUILT_IN
from metrics.leaderboard import Leaderboard
from metrics.wall.better import _BETTER_LOW
from metrics.wall.boards import (
    PICTURES,
    Board,
    ContestWidget,
    ConversionWidget,
    FeedKind,
    FeedWidget,
    KpiWidget,
    RankingWidget,
    WallRules,
)
from streams.settings import SettingsError, load_settings
from streams.settings_doc import render_example
from streams.wall_rules import wall_rules_of

AROUND = (
    '[[leaderboards]]\nname = "month"\nkpi = "deals_won"\ntop = 100\n'
    '[[contests]]\nname = "sprint"\nkpi = "deals_won"\nstart = 2026-11-01\nend = 2026-12-01\n'
)


def board(*widgets: str, head: str = "") -> str:
    return f'{AROUND}[[boards]]\nname = "main"\n{head}widgets = [{", ".join(widgets)}]\n'


def rules_of(tmp_path: Path, text: str) -> WallRules:
    path = tmp_path / "salesfloor.toml"
    path.write_text(text)
    return wall_rules_of(load_settings(path, {}))


def error_of(tmp_path: Path, text: str) -> str:
    with pytest.raises(SettingsError) as caught:
        rules_of(tmp_path, text)
    return str(caught.value)


REVENUE = '{ kind = "kpi", kpi = "revenue" }'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (board('{ kind = "kpi", kpi = "revenu" }'),
         "[[boards]]: 'main', widget 1 (kpi): unknown KPI 'revenu'; did you mean revenue"),
        (board(REVENUE, '{ kind = "kpi" }'), "kind = 'kpi' does not say which; add kpi"),
        (board('{ kind = "kpi", kpi = "revenue", window = "2w" }'),
         "[[boards]] 'main' widgets number 1 window = '2w': "),
        (board('{ kind = "kpi", kpi = "revenue", level = "office" }'), "should be 'floor', 'team'"),
        (board('{ kind = "kpi", kpi = "market_share", level = "rep", key = "a" }'),
         "market_share is not known by rep; use floor"),
        (board('{ kind = "kpi", kpi = "revenue", level = "team" }'),
         "level = 'team' needs a key; say which, such as level = 'team', key = 'north'"),
        (board('{ kind = "kpi", kpi = "revenue", key = "north" }'), "key = 'north' goes with a level"),
        (board('{ kind = "kpi", kpi = "sales_cycle" }'), "say quantile = 0.5 or 0.9"),
        (board('{ kind = "kpi", kpi = "revenue", quantile = 0.5 }'), "revenue has no quantiles"),
        (board('{ kind = "kpi", kpi = "revenue", by = "gain" }'), "kind = 'kpi' takes no 'by'; it takes "),
        (board('{ kind = "feed", events = ["deal_wone"] }'), "should be 'deal_won'"),
        (board(REVENUE, '{ kind = "kpi", kpi = "revenue", windo = "mtd" }'),
         "[[boards]] 'main' widgets number 2 windo: no such key; did you mean window?"),
        (board('{ kind = "clock" }'), "should be 'kpi', 'leaderboard'"),
        (board('{ kind = "leaderboard" }'), "takes the name of one of [[leaderboards]], or a kpi"),
        (board('{ kind = "leaderboard", name = "month", top = 3 }'), "is all said by name = 'month'"),
        (board('{ kind = "leaderboard", name = "moth" }'), "unknown leaderboard 'moth'; did you mean month?"),
        (board('{ kind = "leaderboard", kpi = "revenue", window = "7d", by = "target" }'),
         "window = '7d' belongs to no target's period; use wtd, mtd"),
        (board('{ kind = "leaderboard", kpi = "revenue", level = "region" }'), "level = 'region' does not"),
        (board('{ kind = "most_improved", kpi = "open_deals" }'), "tells what is now and gains nothing"),
        (board('{ kind = "contest", name = "spring" }'), "unknown contest 'spring'; did you mean sprint?"),
        (board('{ kind = "conversion", funnel = "deal" }'), "unknown funnel 'deal'"),
        (board('{ kind = "conversion", funnel = "deal_win", window = "mtd" }'),
         "window = 'mtd' is not counted for funnels; use 1bd or 5bd"),
        (board('{ kind = "funnel", kpis = ["leads_created", "open_deals"] }'), "tells what is now"),
        (board('{ kind = "pipeline" }', head='team = "north"\n'), "a team's board has none"),
        (board(REVENUE, head="from = 2026-12-01\nto = 2026-11-01\n"), "to = 2026-11-01 lies before from"),
        (board(REVENUE, head="colour = 1\n"), "no such key"),
        (board(), "at least 1"),
        (board(REVENUE).replace('"main"', '"Main board"'), "is no part of an address"),
        (board(REVENUE).replace('"main"', '"stream"'), "is an address of the wall itself"),
        (board(REVENUE) + board(REVENUE)[len(AROUND):], "'main' is there twice; rename one"),
        ('[wall]\nlanguage = "de"\n', "language"),
        ('[wall]\nquiet_hours = ["20:00"]\n', "has not two times"),
        ('[wall]\nquiet_hours = ["20:00", "25:00"]\n', "'25:00' is no time of day"),
        ('[wall]\nquiet_hours = ["20:00", "20:00"]\n', "begins when it ends"),
        ('[wall]\npictures = { "R-9" = "javascript:alert(1)" }\n', "write an address such as https://"),
        ('[wall]\npictures = { "R-9" = "https://a b/x" }\n', "write an address such as https://"),
        ('[wall]\npictures_dir = "/nowhere/at/all"\n', "is no directory"),
    ],
)  # fmt: skip
def test_what_cannot_be_shown_is_refused_with_the_fix(tmp_path: Path, text: str, said: str) -> None:
    assert said in error_of(tmp_path, text)


def test_what_can_be_shown_becomes_boards(tmp_path: Path) -> None:
    widgets = (
        '{ kind = "kpi", kpi = "lead_response_time", window = "7d", quantile = 0.5, title = "Speed" }',
        '{ kind = "kpi", kpi = "open_deals", window = "7d" }',
        '{ kind = "leaderboard", name = "month" }',
        '{ kind = "leaderboard", kpi = "spend", level = "team", top = 3 }',
        '{ kind = "contest", name = "sprint" }',
        '{ kind = "conversion", funnel = "deal_win", window = "1bd" }',
        '{ kind = "feed", events = ["deal_won"], top = 5 }',
    )
    head = 'title = "Main"\nseconds = 7\nfrom = 2026-11-01\nto = 2026-11-30\n'
    assert rules_of(tmp_path, board(*widgets, head=head)).boards == (
        Board(
            "main",
            (
                KpiWidget("lead_response_time", "7d", quantile=0.5, better="down", title="Speed"),
                KpiWidget("open_deals", None),
                RankingWidget(Leaderboard("month", "deals_won", "mtd", top=15, title="month")),
                RankingWidget(Leaderboard("main-spend", "spend", "mtd", "team", better="lower", top=3)),
                ContestWidget("sprint"),
                ConversionWidget("deal_win", window="1bd"),
                FeedWidget(("deal_won",), 5),
            ),
            "Main",
            7,
            date(2026, 11, 1),
            date(2026, 11, 30),
        ),
    )  # fmt: skip


def test_a_teams_board_speaks_of_the_team_unless_a_widget_says_otherwise(tmp_path: Path) -> None:
    widgets = (
        REVENUE,
        '{ kind = "kpi", kpi = "revenue", level = "floor" }',
        '{ kind = "kpi", kpi = "revenue", level = "rep", key = "R-9" }',
        '{ kind = "funnel", kpis = ["leads_created", "deals_won"] }',
        '{ kind = "conversion", funnel = "deal_win" }',
    )
    [north] = rules_of(tmp_path, board(*widgets, head='team = "north"\n')).boards
    whose = [getattr(widget, "team", None) or f"{widget.level} {widget.key}" for widget in north.widgets]  # type: ignore[union-attr]
    assert whose == ["team north", "floor ", "rep R-9", "team north", "north"]


def test_a_floor_without_boards_gets_good_ones_and_one_for_its_contests(tmp_path: Path) -> None:
    assert [each.name for each in rules_of(tmp_path, "").boards] == ["floor", "pipeline", "activity"]
    with_contest = rules_of(tmp_path, AROUND)
    assert [each.name for each in with_contest.boards] == ["floor", "pipeline", "activity", "contest"]
    ranked = [w.board.name for w in with_contest.boards[0].widgets if isinstance(w, RankingWidget)]
    assert ranked == ["month"]


def test_the_wall_settings_become_rules(tmp_path: Path) -> None:
    rules = rules_of(
        tmp_path,
        '[wall]\nlanguage = "fa"\ntheme = "dark"\ncelebration_seconds = 5\ncelebrate_within_seconds = 60\n'
        'sound = true\nquiet_hours = ["20:00", "08:30"]\nstale_after_seconds = 30\nscreens_max = 3\n',
    )
    assert (rules.language, rules.theme, rules.stale_after_ms, rules.screens_max) == ("fa", "dark", 30_000, 3)
    wins = rules.wins
    assert (wins.seconds, wins.sound, wins.fresh_ms, wins.quiet) == (5, True, 60_000, (1200, 510))


def test_business_hours_of_the_floor_decide_what_is_stale(tmp_path: Path) -> None:
    rules = rules_of(tmp_path, '[floor]\nbusiness_hours = ["10:00", "11:00"]\n')
    assert rules.hours is not None
    friday_ms = 1_795_132_800_000  # 2026-11-20T00:00Z
    assert rules.hours.between_ms(friday_ms, friday_ms + 86_400_000) == 3_600_000


def test_pictures_of_a_directory_get_names_that_nobody_can_guess(tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    (pictures / "R-9.PNG").write_bytes(b"nine")
    (pictures / "notes.txt").write_bytes(b"no picture")
    rules = rules_of(
        tmp_path, f'[wall]\npictures_dir = "{pictures}"\npictures = {{ "R-1" = "https://a.example/1.jpg" }}\n'
    )
    name = f"{hashlib.sha256(b'nine').hexdigest()[:32]}.png"
    assert rules.pictures == {"R-9": PICTURES + name, "R-1": "https://a.example/1.jpg"}
    assert rules.picture_files == {name: pictures / "R-9.PNG"}


def test_kpis_that_are_better_low_exist() -> None:
    assert {kpi.name for kpi in BUILT_IN} >= _BETTER_LOW


def test_the_page_of_settings_calls_dates_as_the_file_does() -> None:
    assert "# from = …  # first day it is shown on" in render_example()


def test_the_example_of_the_documents_is_what_it_says(tmp_path: Path) -> None:
    document = (Path(__file__).parent.parent.parent / "docs" / "wall.md").read_text(encoding="utf-8")
    example = document.split("```toml\n")[1].split("```")[0]
    (tmp_path / "pictures").mkdir()
    example = example.replace('"pictures"', f'"{tmp_path}/pictures"')
    contest = (
        '[[contests]]\nname = "november-sprint"\nkpi = "deals_won"\nstart = 2026-11-01\nend = 2026-12-01\n'
    )
    assert [each.name for each in rules_of(tmp_path, example + contest).boards] == ["north", "sprint"]
    for kind in get_args(FeedKind):
        assert f"`{kind}`" in document
