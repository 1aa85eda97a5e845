"""What the wall needs to know of alerts: those that fire now. Types only; says not where they come from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class FiringAlert:
    """One alert that fires. `severity`, `summary`, `description` and `labels` are as its rule says."""

    name: str
    severity: str
    summary: str
    description: str
    labels: Mapping[str, str]
    since_ms: int
    """When it began to fire."""


class AlertSource(Protocol):
    def firing(self) -> Sequence[FiringAlert]:
        """Return the alerts that fire now, the gravest first. Must not take long: called once per tick."""


class NoAlerts:
    """The source of a floor without an Alertmanager."""

    def firing(self) -> Sequence[FiringAlert]:
        return ()
