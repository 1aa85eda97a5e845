"""KPIs and windows in, titles, units and colours out: what a reader sees around a number. Knows no query."""

from typing import Final

from metrics.catalogue import BUILT_IN
from metrics.formula import MONEY_UNITS, KpiUnit

UNIT: Final = {
    KpiUnit.COUNT: "short",
    KpiUnit.MONEY: "short",
    KpiUnit.MONEY_PER_DAY: "short",
    KpiUnit.SECONDS: "s",
    KpiUnit.RATIO: "percentunit",
    KpiUnit.POINTS: "none",
}
SHARE: Final = UNIT[KpiUnit.RATIO]

WINDOW: Final = {
    "5m": "last 5 minutes", "1h": "last hour", "24h": "last 24 hours", "7d": "last 7 days",
    "30d": "last 30 days", "90d": "last 90 days", "today": "today", "wtd": "this week", "mtd": "this month",
    "qtd": "this quarter", "ytd": "this year", "1bd": "last business day", "5bd": "last 5 business days",
}  # fmt: skip

RED, AMBER, GREEN, BLUE, GREY = "red", "orange", "green", "blue", "gray"

_ABBREVIATIONS: Final = {
    "cac": "CAC", "clv": "CLV", "csat": "CSAT", "nps": "NPS", "enps": "eNPS", "sla": "SLA",
}  # fmt: skip


def heading(name: str) -> str:
    """Return a KPI's name for people."""
    words = [_ABBREVIATIONS.get(word, word) for word in name.split("_")]
    text = " ".join(words)
    return text[0].upper() + text[1:] if words[0] not in _ABBREVIATIONS.values() else text


def title(name: str, window: str | None = None) -> str:
    """Return the name with what it is in and over; no unit of Grafana takes a variable, so words say it."""
    text = heading(name)
    if name in BUILT_IN and BUILT_IN[name].unit in MONEY_UNITS:
        text += " per day ($currency)" if BUILT_IN[name].unit is KpiUnit.MONEY_PER_DAY else " ($currency)"
    if window is None:
        return text
    return f"{text}, {WINDOW.get(window, '${window:text}')}"


def of_quantile(fraction: float) -> str:
    return "median" if fraction == 0.5 else f"{fraction:.0%} within"


def unit(name: str) -> str:
    return UNIT[BUILT_IN[name].unit]


def decimals(name: str) -> int | None:
    """Return how many decimals; None leaves it to Grafana, which shows as many as a number needs."""
    return {KpiUnit.RATIO: 1, KpiUnit.POINTS: 0}.get(BUILT_IN[name].unit)
