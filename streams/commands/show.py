"""Numbers in, short text for people out. Rounds for the eye only; programs read JSON."""

from metrics.formula import KpiUnit
from metrics.kpi_snapshot import KpiValue
from metrics.money import exponent_of

ABSENT = "–"


def shown_value(value: KpiValue, currency: str) -> str:
    return shown_number(value.value, value.kpi.unit, currency)


def shown_number(number: float | None, unit: KpiUnit, currency: str) -> str:
    if number is None:
        return ABSENT
    if unit is KpiUnit.RATIO:
        return f"{number:.1%}"
    if unit is KpiUnit.SECONDS:
        return shown_seconds(number)
    if unit is KpiUnit.MONEY:
        return f"{number:,.{exponent_of(currency) or 0}f}"
    return f"{number:,.0f}" if float(number).is_integer() else f"{number:,.2f}"


def shown_seconds(seconds: float) -> str:
    size = abs(seconds)
    if size < 10:
        return f"{seconds:.1f} s"
    for limit, divisor, unit in ((90, 1, "s"), (5400, 60, "min"), (129_600, 3600, "h")):
        if size < limit:
            return f"{seconds / divisor:.0f} {unit}"
    return f"{seconds / 86_400:,.1f} d"
