"""The newest snapshot and the panes in, what is shown beside the KPIs out: conversion, boards, alert state.

One report per tick, computed with the snapshot and shown together with it. Reads no clock, serves nothing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from metrics.business_hours import BusinessHours
from metrics.conversion_counts import ConversionReport, Funnel, built_in_funnels, count_conversions
from metrics.conversion_gauges import conversion_gauge_labels, conversion_gauges
from metrics.conversion_windows import business_open
from metrics.funnel_rows import FunnelLog
from metrics.gauges import Gauge, GaugeBlock
from metrics.kpi_snapshot import KpiSnapshot
from metrics.panes import Cell
from metrics.places import Places
from metrics.reference import Reference
from metrics.rewards import (
    Kept,
    RewardReport,
    RewardRules,
    RewardTaker,
    reward_gauge_labels,
    reward_gauges,
)
from metrics.roster import Roster
from metrics.snapshot import PaneImage, SnapshotConfig


@dataclass(frozen=True)
class BesideRules:
    """From the settings. `funnels` are the floor's own, beside those that every floor has."""

    funnels: tuple[Funnel, ...] = ()
    hours: Mapping[str, tuple[int, int]] | None = None
    """Each weekday's opening hours, as `BusinessHours` takes them; None for its default."""
    rewards: RewardRules = field(default_factory=RewardRules)


@dataclass(frozen=True)
class AlertState:
    """What lets an alert tell a bad day from a quiet pipe."""

    business_open: bool
    replay_in_progress: bool
    last_event_age_seconds: float | None


@dataclass(frozen=True)
class BesideReport:
    conversion: ConversionReport
    rewards: RewardReport
    alert_state: AlertState

    def gauges(self) -> Iterator[Gauge]:
        """Yield the gauges that have anything to say."""
        for gauge in (
            *conversion_gauges(self.conversion),
            *reward_gauges(self.rewards),
            *_state_gauges(self.alert_state),
        ):
            if gauge.blocks:
                yield gauge


class BesideTaker:
    def __init__(self, config: SnapshotConfig, rules: BesideRules) -> None:
        self._config = config
        self._funnels = (*built_in_funnels(config.catalogue), *rules.funnels)
        self._funnel_log = FunnelLog()
        self._rewards = RewardTaker(config, rules.rewards)
        calendar, hours = config.calendar, rules.hours
        self._hours = BusinessHours(calendar) if hours is None else BusinessHours(calendar, hours)

        self._places: tuple[tuple[Cell, ...], tuple[Reference, ...], Places] | None = None

    def _placed(self, image: PaneImage) -> Places:
        """Return where the roster puts the cells; kept until one of them changes."""
        kept = self._places
        if kept is None or kept[0] != image.cells or kept[1] != image.references:
            places = Places(image.cells, Roster(image.references, self._config.calendar))
            kept = self._places = (image.cells, image.references, places)
        return kept[2]

    def take(self, image: PaneImage, snapshot: KpiSnapshot, kept: Kept) -> BesideReport:
        config = self._config
        conversion = count_conversions(
            self._placed(image), image.log, image.resolutions, snapshot.as_of_ms, config.calendar,
            self._funnels, teams_max=config.keys_per_level_max, kept=self._funnel_log,
        )  # fmt: skip
        state = AlertState(
            business_open(snapshot.as_of_ms, self._hours),
            not image.state.ready or image.state.is_behind(snapshot.as_of_ms),
            snapshot.data_age_seconds,
        )
        return BesideReport(conversion, self._rewards.take(image, snapshot, kept), state)


_OPEN, _REPLAY, _AGE = (
    "salesfloor_business_open",
    "salesfloor_replay_in_progress",
    "salesfloor_last_event_age_seconds",
)


def beside_gauge_labels() -> dict[str, set[str]]:
    """Return every gauge's name with its labels: what dashboards and rules may ask for."""
    return (
        conversion_gauge_labels() | reward_gauge_labels() | {name: set() for name in (_OPEN, _REPLAY, _AGE)}
    )


def _state_gauges(state: AlertState) -> Iterator[Gauge]:
    yield _single(_OPEN, "1 while the floor is at work.", "", state.business_open)
    yield _single(
        _REPLAY,
        "1 while history or a backlog is folded, when no alert may fire.",
        "",
        state.replay_in_progress,
    )
    age = state.last_event_age_seconds
    if age is not None:
        yield _single(_AGE, "Now minus the newest event time seen.", "seconds", age)


def _single(name: str, sentence: str, unit: str, value: float) -> Gauge:
    return Gauge(name, sentence, unit, (GaugeBlock(((),), np.array([float(value)])),))
