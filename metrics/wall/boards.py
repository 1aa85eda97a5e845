"""What the settings say of the wall, as frozen types: boards, their widgets, celebrations. Checks nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Final, Literal

from metrics.business_hours import BusinessHours
from metrics.leaderboard import Leaderboard

Better = Literal["up", "down"]
FeedKind = Literal[
    "deal_won", "deal_created", "lead_created", "lead_qualified", "lead_converted", "demo_booked",
    "demo_held", "meeting_held", "proposal_sent", "appointment_set", "customer_new",
]  # fmt: skip
FEED_KINDS_SHOWN: Final[tuple[FeedKind, ...]] = (
    "deal_won", "lead_created", "lead_converted", "demo_booked", "meeting_held", "proposal_sent",
)  # fmt: skip

LANGUAGES: Final = ("en", "ms", "id", "zh-Hant", "zh-Hans", "fa")
RIGHT_TO_LEFT: Final = frozenset({"fa"})
PICTURES: Final = "/wall/assets/pictures/"
"""Pictures are served under names that nobody can guess, so that a page needs no token for them."""
ROWS_MAX: Final = 15
"""Places of a ranking that a wall shows."""
FEED_ITEMS_MAX: Final = 20


@dataclass(frozen=True)
class KpiWidget:
    """One number. `window` None is what is open now; `key` "" is the floor."""

    kpi: str
    window: str | None
    level: str = "floor"
    key: str = ""
    quantile: float | None = None
    better: Better = "up"
    title: str = ""


@dataclass(frozen=True)
class RankingWidget:
    """A leaderboard; with `by="gain"` it is who improved most."""

    board: Leaderboard
    title: str = ""


@dataclass(frozen=True)
class PipelineWidget:
    """Open deals by stage."""

    title: str = ""


@dataclass(frozen=True)
class FunnelWidget:
    """Counts of one window, each put in relation to the one before."""

    kpis: tuple[str, ...]
    window: str
    level: str = "floor"
    key: str = ""
    title: str = ""


@dataclass(frozen=True)
class FeedWidget:
    kinds: tuple[FeedKind, ...] = FEED_KINDS_SHOWN
    top: int = FEED_ITEMS_MAX
    title: str = ""


@dataclass(frozen=True)
class ContestWidget:
    contest: str
    title: str = ""


@dataclass(frozen=True)
class ConversionWidget:
    """A funnel's rate with its bounds; `team` "" is the floor."""

    funnel: str
    team: str = ""
    window: str = "5bd"
    title: str = ""


Widget = (
    KpiWidget | RankingWidget | PipelineWidget | FunnelWidget | FeedWidget | ContestWidget | ConversionWidget
)


@dataclass(frozen=True)
class Board:
    """One page of the wall, shown on local days in [since, until). With a `team`, only that team is on it."""

    name: str
    widgets: tuple[Widget, ...]
    title: str = ""
    seconds: int = 20
    since: date | None = None
    until: date | None = None
    team: str = ""


@dataclass(frozen=True)
class WinRules:
    seconds: float = 12.0
    """How long a celebration takes; 0 for none at all."""
    sound: bool = False
    fresh_ms: int = 300_000
    """A deal that closed longer ago is no news."""
    quiet: tuple[int, int] | None = None
    """Minutes of the local day [from, to) without celebrations; past midnight when from > to."""

    def is_quiet(self, minute: int) -> bool:
        if self.quiet is None:
            return False
        begins, ends = self.quiet
        return begins <= minute < ends if begins <= ends else minute >= begins or minute < ends


@dataclass(frozen=True)
class WallRules:
    boards: tuple[Board, ...]
    language: str = "en"
    theme: Literal["light", "dark", "auto"] = "auto"
    wins: WinRules = field(default_factory=WinRules)
    stale_after_ms: int = 900_000
    """Business time without any event after which the numbers are called stale."""
    hours: BusinessHours | None = None
    """When the floor is at work; None takes every minute for business."""
    screens_max: int = 200
    embed_in: tuple[str, ...] = ()
    """Origins whose pages may show the wall in a frame."""
    pictures: Mapping[str, str] = field(default_factory=dict)
    """Rep -> address of a picture, on another server or below `PICTURES`."""
    picture_files: Mapping[str, Path] = field(default_factory=dict)
    """Name below `PICTURES` -> the file."""

    def board(self, name: str) -> Board | None:
        return next((board for board in self.boards if board.name == name), None)
