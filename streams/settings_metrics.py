"""The `[metrics]` section in, checked: where numbers are served and which of them become gauges. A leaf."""

from collections.abc import Iterable
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from metrics.gauge_windows import DEFAULT_PREVIOUS_OF, DEFAULT_WINDOWS_OF, GaugeWindows

WindowName = Literal["5m", "1h", "24h", "7d", "30d", "90d", "today", "wtd", "mtd", "qtd", "ytd", "1bd", "5bd"]
RosterLevelName = Literal["rep", "team", "region"]
LevelName = Literal["floor", "team", "rep", "product", "source", "region", "stage"]


class MetricsSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(
        default=8400,
        ge=0,
        le=65535,
        description="port of /metrics, the API and the status page; 0 picks a free port",
    )
    open: bool = Field(
        default=False,
        description="other machines may see the numbers too while there is no [[access]]",
    )
    hosts: tuple[str, ...] = Field(
        default=(),
        description="names that a proxy on this machine may ask by while there is no [[access]]",
    )
    requests_per_second: float = Field(
        default=200,
        ge=0,
        le=1_000_000,
        description="of one address; ten times that at once; beyond: 429; 0: no limit",
    )
    tick_ms: int = Field(
        default=1000,
        ge=50,
        le=60_000,
        description="numbers are computed anew this often; after a change sooner, where it is cheap",
    )
    levels: tuple[LevelName, ...] = Field(
        default=("floor", "team", "rep", "stage"), description="levels that become gauges"
    )
    windows: tuple[WindowName, ...] = Field(
        default=get_args(WindowName), description="windows that become gauges, unless windows_of says less"
    )
    windows_of: dict[LevelName, tuple[WindowName, ...]] = Field(
        default=dict(DEFAULT_WINDOWS_OF),  # type: ignore[arg-type]
        description="fewer windows at single levels; one that is not named keeps what stands here",
    )
    previous_of: dict[LevelName, tuple[WindowName, ...]] = Field(
        default=dict(DEFAULT_PREVIOUS_OF),  # type: ignore[arg-type]
        description="windows whose previous twin is a gauge too; other levels have it of every window",
    )
    keys_per_level_max: int = Field(
        default=2000, ge=1, description="beyond it, keys share the label value 'other'"
    )
    strangers_max: int = Field(
        default=20_000,
        ge=1,
        description="of names no roster knows, so many are ranked, in contests and paid: who did most",
    )

    roster_only: tuple[RosterLevelName, ...] = Field(
        default=(),
        description="levels at which names that no roster record says count together as 'other'",
    )

    @property
    def gauge_windows(self) -> GaugeWindows:
        return GaugeWindows(
            {str(level): windows for level, windows in self.windows_of.items()},
            {str(level): windows for level, windows in self.previous_of.items()},
        )

    @field_validator("windows_of", "previous_of")
    @classmethod
    def _among_windows(
        cls, of_level: dict[LevelName, tuple[WindowName, ...]], info: ValidationInfo
    ) -> dict[LevelName, tuple[WindowName, ...]]:
        windows = info.data.get("windows", get_args(WindowName))
        for level, named in of_level.items():
            check_among(named, windows, f"names for {level}")
        defaults = DEFAULT_WINDOWS_OF if info.field_name == "windows_of" else DEFAULT_PREVIOUS_OF
        return {**defaults, **of_level}  # type: ignore[dict-item]


def check_among(named: Iterable[str], windows: Iterable[str], what: str) -> None:
    """Raise ValueError for a window that no snapshot holds, so that its gauge could never be shown."""
    known = tuple(windows)
    for window in named:
        if window not in known:
            raise ValueError(f"{what} {window!r}, which [metrics] windows leaves out; add it there")
