"""Market records in, how much of the market a window holds out. Exact; guesses nothing that is not given.

A period's market is spread evenly over its time. Where periods overlap, the shortest counts: a month's own
figure is better than a twelfth of the year's.
"""

from collections.abc import Iterable
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

from metrics.calendar import Calendar
from metrics.money import exponent_of
from metrics.periods import YearNamedBy, parse_period
from metrics.rates import Rates
from metrics.reference import MarketSize, Reference, ReferenceProblem


class _Known(NamedTuple):
    start_ms: int
    end_ms: int
    minor: Fraction

    @property
    def length_ms(self) -> int:
        return self.end_ms - self.start_ms


class Market:
    """Sizes are in minor units of the reporting currency, at the rate of the period's first instant."""

    def __init__(
        self,
        references: Iterable[Reference],
        rates: Rates,
        *,
        currency: str,
        calendar: Calendar,
        year_named_by: YearNamedBy = "end",
    ) -> None:
        self._known: list[_Known] = []
        problems: list[ReferenceProblem] = []
        for record in references:
            if not isinstance(record, MarketSize) or record.value is None:
                continue
            try:
                start_ms, end_ms = parse_period(
                    record.period, calendar, year_named_by=year_named_by
                ).bounds_ms(calendar)
                minor = _minor(record, rates, currency, start_ms)
            except ValueError as error:
                problems.append(ReferenceProblem(record.id, str(error)))
                continue
            self._known.append(_Known(start_ms, end_ms, minor))
        # Shortest first; of equally long ones the later.
        self._known.sort(key=lambda known: (known.length_ms, -known.start_ms))
        self.problems = tuple(problems)

    def size(self, start_ms: int, end_ms: int) -> Fraction | None:
        """Return the market of [start, end) in minor units; None where any part of it is unknown."""
        inside = [known for known in self._known if known.start_ms < end_ms and start_ms < known.end_ms]
        cuts = {time_ms for known in inside for time_ms in (known.start_ms, known.end_ms)}
        instants = sorted({start_ms, end_ms} | {cut for cut in cuts if start_ms < cut < end_ms})
        total = Fraction(0)
        for begin, end in pairwise(instants):
            best = next((known for known in inside if known.start_ms <= begin < known.end_ms), None)
            if best is None:
                return None
            total += best.minor * (end - begin) / best.length_ms
        return total or None


def _minor(record: MarketSize, rates: Rates, currency: str, start_ms: int) -> Fraction:
    own, exponent = record.currency or currency, exponent_of(currency)
    if exponent_of(own) is None:
        raise ValueError(f"{own!r} is no ISO 4217 code; use three capital letters such as 'EUR'")
    rate = rates.rate(own, start_ms)
    if rate is None:
        raise ValueError(
            f"there is no rate from {own} into {currency} on the period's first day; send one, or give the "
            f"size in {currency}"
        )
    assert record.value is not None
    assert exponent is not None
    return Fraction(record.value) * rate * Fraction(10) ** exponent
