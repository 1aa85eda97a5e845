"""A leaderboard or a contest's standing in, the rows that a wall shows of it out. Pure.

`rank_change` compares with the previous twin of the window: a board of today with yesterday at the same
time, one of the month with last month at the same point.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from metrics.contest import ContestStanding
from metrics.kpi import Kpi
from metrics.kpi_snapshot import JsonValue
from metrics.labels import label_value
from metrics.leaderboard import PERIOD_FORMS, Entry, Leaderboard, Standing, entries_of, standing_of, values_in
from metrics.wall.boards import ROWS_MAX
from metrics.wall.numbers import Ask, Json, Numbers


def ranking_rows(ranked: Leaderboard, numbers: Numbers, team: str = "") -> list[JsonValue]:
    """Return the top of the ranking, of one team's reps only where a team is given."""
    holder = numbers.holder(Ask(ranked.kpi, ranked.level, ranked.window))
    standing = standing_of(ranked, holder)
    teams = numbers.teams_of_reps()
    if team and ranked.level == "rep":
        wanted = label_value(team)
        members = {rep for rep, its_team in teams.items() if its_team == wanted}
        values, previous = values_in(holder, ranked.kpi, ranked.level, ranked.window, ranked.quantile)
        standing = Standing(ranked, _among(ranked, standing.entries, values, previous, members))
    kpi = numbers.catalogue[ranked.kpi]
    shares = shares_of(ranked.kpi, ranked.level, ranked.window, numbers)
    rows = [_row(entry, kpi, ranked.level, numbers, teams) for entry in standing.shown[:ROWS_MAX]]
    ranks = Counter(entry.rank for entry in standing.entries)
    for row, entry in zip(rows, standing.shown, strict=False):
        row["tied"] = ranks[entry.rank] > 1
        row["target_share"] = shares.get(entry.key)
    return [*rows]


def _among(
    ranked: Leaderboard,
    entries: Sequence[Entry],
    values: Mapping[str, float],
    previous: Mapping[str, float],
    members: set[str],
) -> tuple[Entry, ...]:
    """Rank the members anew, as if nobody else were there."""
    if ranked.by == "target":
        own = [entry for entry in entries if entry.key in members]
        return entries_of(
            {entry.key: entry.value for entry in own}, {}, by="target", better=ranked.better,
            shares={entry.key: entry.score for entry in own},
        )  # fmt: skip
    return entries_of(
        {key: value for key, value in values.items() if key in members},
        {key: value for key, value in previous.items() if key in members},
        by=ranked.by,
        better=ranked.better,
    )


def _row(entry: Entry, kpi: Kpi, level: str, numbers: Numbers, teams: Mapping[str, str]) -> Json:
    improved = None if entry.previous is None else numbers.wire(entry.value - entry.previous, kpi)
    return {
        "rank": entry.rank,
        "tied": False,
        "key": entry.key,
        "name": name_of(entry.key, level, numbers),
        "team": teams.get(entry.key) if level == "rep" else None,
        "value": numbers.wire(entry.value, kpi),
        "target_share": None,
        "rank_change": entry.rank_change,
        "improved": improved,
    }


def name_of(key: str, level: str, numbers: Numbers) -> str:
    return numbers.rep_names().get(key, key) if level == "rep" else key


def shares_of(kpi: str, level: str, window: str, numbers: Numbers) -> dict[str, float]:
    """Return everybody's share of the target of the window's period."""
    form = PERIOD_FORMS.get(window)
    if form is None:
        return {}
    found: dict[str, float] = {}
    for standing in numbers.snapshot.targets:
        target = standing.target
        meant = (target.kpi.name, target.record.level) == (kpi, level)
        if meant and form.fullmatch(target.period.name) and "quota_attainment" in standing.figures:
            found[target.label] = standing.figures["quota_attainment"]
    return found


def contest_rows(standing: ContestStanding, numbers: Numbers) -> list[JsonValue]:
    """Return the contest's first places: live, or as they were written down when it was over."""
    contest = standing.contest
    kpi, teams = numbers.catalogue[contest.kpi], numbers.teams_of_reps()
    entries = standing.entries if standing.frozen is None else _written_down(standing.frozen)
    ranks = Counter(entry.rank for entry in entries)
    rows: list[JsonValue] = []
    for entry in entries[:ROWS_MAX]:
        row = _row(entry, kpi, contest.level, numbers, teams)
        row["tied"] = ranks[entry.rank] > 1
        rows.append(row)
    return rows


def _written_down(frozen: Mapping[str, JsonValue]) -> tuple[Entry, ...]:
    found: list[Entry] = []
    standings = frozen.get("standings")
    for each in standings if isinstance(standings, list) else ():
        match each:
            case {"rank": int(rank), "key": str(key), "value": int(value) | float(value)}:
                found.append(Entry(rank, key, float(value), float(value)))
    return tuple(found)
