"""The settings of a simulated floor: two definition versions that differ in their zone, each with a short or
a long horizon for activities; and what the oracle is told of them."""

from functools import cache

from metrics.snapshot import SnapshotConfig
from oracle.windows import Floor
from streams import definition
from streams.settings import Settings, snapshot_config_of
from streams.stores.base import Shown
from tests.simulation.workers import Definition

NOW_MS = 1_520_000_000_000
ZONES = ("America/New_York", "Asia/Kolkata")
_STAGES = {"proposal": 0.4}
_RETENTION_DAYS, _SHORT_DAYS = 800, 2


@cache
def definition_of(*, zone: int, short_horizon: bool) -> Definition:
    return Definition.of(
        Settings.model_validate(
            {
                "floor": {"zone": ZONES[zone], "stage_probability": _STAGES},
                "worker": {
                    "retention_days": _RETENTION_DAYS,
                    "activity_horizon_days": _SHORT_DAYS if short_horizon else _RETENTION_DAYS,
                },
            }
        )
    )


@cache
def floor_of(zone: str) -> Floor:
    return Floor(zone=zone, stage_probability=_STAGES)


@cache
def config_of(definition: Definition) -> SnapshotConfig:
    return snapshot_config_of(definition.settings)


_under: dict[tuple[int, Shown], Settings | None] = {}
_shown: dict[tuple[int, int], Shown] = {}


def settings_under(shown: Shown, settings: Settings) -> Settings | None:
    """The product's, asked once for each pair: settings live as long as the process here."""
    key = id(settings), shown
    if key not in _under:
        _under[key] = definition.settings_under(shown, settings)
    return _under[key]


def shown_of(settings: Settings, *, slots: int) -> Shown:
    key = id(settings), slots
    if key not in _shown:
        _shown[key] = definition.shown_of(settings, slots=slots)
    return _shown[key]
