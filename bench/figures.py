"""Times of ways that ran in turn in, their medians, how far runs lie apart and ratios of each run out.

Ratios are formed run by run, of CPU time: what one run of a busy machine did to all its ways cancels out.
A way that could not run keeps the reason. Measures nothing.
"""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import NamedTuple

from rich.table import Table

from bench.stopwatch import Seconds

Answer = Seconds | str
"""The time a way took, or why it could not run."""


class Spread(NamedTuple):
    median: float
    min: float
    max: float

    def told(self, form: str = ",.0f") -> str:
        if self.min == self.max:
            return f"{self.median:{form}}"
        return f"{self.median:{form}} ({self.min:{form}}–{self.max:{form}})"


def spread(values: Sequence[float]) -> Spread:
    return Spread(median(values), min(values), max(values))


class Figures(NamedTuple):
    """Of one way. Rates are events per second."""

    wall_rate: Spread
    cpu_rate: Spread
    user_seconds_per_million: Spread
    ratios: dict[str, Spread]
    """Other way -> times as many events a CPU second as that one, in the runs that both came through."""
    runs: int

    def as_json(self) -> dict[str, object]:
        return {
            "runs": self.runs,
            "events_per_second": self.wall_rate._asdict(),
            "events_per_cpu_second": self.cpu_rate._asdict(),
            "user_cpu_seconds_per_million": self.user_seconds_per_million._asdict(),
            "ratios": {name: ratio._asdict() for name, ratio in self.ratios.items()},
        }


def figures_of(
    answers: Mapping[str, Sequence[Answer]], events: int, against: Sequence[str]
) -> dict[str, Figures | str]:
    """Return each way's figures, or why it never ran; `against` names the ways to form ratios with."""
    return {way: _of_one(way, answers, events, against) for way in answers}


def _of_one(
    way: str, answers: Mapping[str, Sequence[Answer]], events: int, against: Sequence[str]
) -> Figures | str:
    times = [each for each in answers[way] if isinstance(each, Seconds)]
    if not times:
        return str(answers[way][0])
    ratios = {
        other: spread(found)
        for other in against
        if other != way and (found := _ratios(answers[way], answers.get(other, ())))
    }
    return Figures(
        spread([events / each.wall for each in times]),
        spread([events / each.cpu for each in times]),
        spread([each.user / events * 1e6 for each in times]),
        ratios,
        len(times),
    )


def _ratios(ways: Sequence[Answer], others: Sequence[Answer]) -> list[float]:
    return [
        other.cpu / way.cpu
        for way, other in zip(ways, others, strict=False)
        if isinstance(way, Seconds) and isinstance(other, Seconds)
    ]


def table_of(title: str, figures: Mapping[str, Figures | str], against: Sequence[str]) -> Table:
    table = Table(title=title)
    heads = ("way", "events/s", "events per CPU s", "user s per million")
    for heading in (*heads, *(f"× {name}" for name in against)):
        table.add_column(heading, justify="left" if heading == "way" else "right")
    reasons: list[str] = []
    for way, each in figures.items():
        if isinstance(each, str):
            reasons.append(f"{way} could not run: {each}")
            continue
        ratios = [each.ratios[name].told(".2f") if name in each.ratios else "" for name in against]
        numbers = (each.wall_rate.told(), each.cpu_rate.told(), each.user_seconds_per_million.told(".1f"))
        table.add_row(way, *numbers, *ratios)
    table.caption = "\n".join(reasons)
    return table
