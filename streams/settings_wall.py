"""`[wall]` and `[[boards]]` tables in, checked as far as they speak of themselves. Knows no KPI.

What they say of others (KPIs, leaderboards, contests, funnels) is checked where boards are made of them:
streams.wall_boards.
"""

import re
from datetime import date
from pathlib import Path
from typing import Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from metrics.business_hours import minute_of
from metrics.wall.boards import FeedKind

WindowName = Literal["5m", "1h", "24h", "7d", "30d", "90d", "today", "wtd", "mtd", "qtd", "ytd", "1bd", "5bd"]
WidgetKind = Literal[
    "kpi", "leaderboard", "most_improved", "pipeline", "funnel", "feed", "contest", "conversion"
]

_BOARD_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_ORIGIN: Final = re.compile(r"https?://[A-Za-z0-9.-]+(:\d{1,5})?")
_OTHER_DOORS: Final = ("assets", "stream")
_TAKES: Final[dict[str, tuple[str, ...]]] = {
    "kpi": ("kpi", "window", "level", "key", "quantile", "better"),
    "leaderboard": ("name", "kpi", "window", "level", "by", "quantile", "better", "top"),
    "most_improved": ("kpi", "window", "level", "quantile", "better", "top"),
    "pipeline": (),
    "funnel": ("kpis", "window", "level", "key"),
    "feed": ("events", "top"),
    "contest": ("name",),
    "conversion": ("funnel", "window", "team"),
}
_NEEDS: Final[dict[str, tuple[str, ...]]] = {
    "kpi": ("kpi",),
    "most_improved": ("kpi",),
    "funnel": ("kpis",),
    "contest": ("name",),
    "conversion": ("funnel",),
}


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class WallSettings(_Table):
    language: Literal["en", "ms", "id", "zh-Hant", "zh-Hans", "fa"] = Field(
        default="en", description="language of the page, unless its address says lang="
    )
    theme: Literal["auto", "light", "dark"] = Field(
        default="auto", description="colours of the page, unless its address says theme="
    )
    celebration_seconds: float = Field(
        default=12.0, ge=0, le=120, description="how long a won deal interrupts the wall; 0: never"
    )
    celebrate_within_seconds: int = Field(
        default=300, ge=5, le=86_400, description="a deal that closed longer ago is not celebrated any more"
    )
    sound: bool = Field(default=False, description="celebrate with sound, where the browser allows it")
    quiet_hours: tuple[str, ...] = Field(
        default=(), description='local time without celebrations, such as ["20:00", "08:00"]; empty: none'
    )
    pictures: dict[str, str] = Field(
        default_factory=dict, description="address of a picture by rep id, for celebrations"
    )
    pictures_dir: Path | None = Field(
        default=None, description="a directory of pictures named by rep id: R-9.jpg, .png or .webp"
    )
    stale_after_seconds: int = Field(
        default=900, ge=10, le=86_400, description="business time without any event that makes numbers stale"
    )
    screens_max: int = Field(default=200, ge=1, le=10_000, description="pages that may be connected at once")
    embed_in: tuple[str, ...] = Field(
        default=(), description="origins whose pages may show the wall in a frame, as https://host; none"
    )

    @field_validator("quiet_hours")
    @classmethod
    def _from_to(cls, hours: tuple[str, ...]) -> tuple[str, ...]:
        if hours and len(hours) != 2:
            raise ValueError('has not two times; write ["20:00", "08:00"], or leave it empty')
        if hours and minute_of(hours[0]) == minute_of(hours[1]):
            raise ValueError("begins when it ends; for no celebrations at all set celebration_seconds = 0")
        return hours

    @field_validator("pictures")
    @classmethod
    def _addresses(cls, pictures: dict[str, str]) -> dict[str, str]:
        for rep, url in pictures.items():
            parts = urlsplit(url)
            if parts.scheme not in ("https", "http") or not parts.netloc or re.search(r"[\s;,'\"]", url):
                raise ValueError(f"of {rep!r} is {url!r}; write an address such as https://host/r9.jpg")
        return pictures

    @field_validator("embed_in")
    @classmethod
    def _origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(f"{origin!r} is no origin; write https://host or https://host:port")
        return origins

    @field_validator("pictures_dir")
    @classmethod
    def _directory(cls, path: Path | None) -> Path | None:
        if path is not None and not path.expanduser().is_dir():
            raise ValueError("is no directory; create it, or leave it out")
        return path


class WidgetSettings(_Table):
    kind: WidgetKind = Field(description="what is shown")
    title: str = Field(default="", max_length=200, description="its heading, else the page's own words")
    kpi: str = Field(default="", description="any KPI")
    kpis: tuple[str, ...] = Field(default=(), max_length=8, description="of a funnel, its steps")
    window: WindowName | None = Field(
        default=None, description="mtd unless said; conversion takes 1bd or 5bd"
    )
    level: Literal["floor", "team", "rep", "product", "source", "region", "stage"] | None = None
    key: str = Field(default="", description="which team, rep, …; empty for the floor")
    quantile: float | None = Field(default=None, description="of a KPI with quantiles, the one shown")
    better: Literal["higher", "lower"] | None = Field(default=None, description="as the KPI, unless said")
    by: Literal["value", "target", "gain"] | None = Field(default=None, description="what ranks")
    top: int | None = Field(default=None, ge=1, le=20, description="so many places or items")
    name: str = Field(default="", description="of a leaderboard or contest of these settings")
    funnel: str = Field(default="", description="of a conversion, the funnel")
    team: str = Field(default="", description="of a conversion, the team; empty for the floor")
    events: tuple[FeedKind, ...] = Field(default=(), description="of a feed, what is told")

    @model_validator(mode="after")
    def _only_what_its_kind_takes(self) -> Self:
        takes = ("kind", "title", *_TAKES[self.kind])
        for key in sorted(self.model_fields_set):
            if key not in takes:
                may = f"it takes {', '.join(takes[1:])}"
                raise ValueError(f"kind = {self.kind!r} takes no {key!r}; {may}")
        for key in _NEEDS.get(self.kind, ()):
            if not getattr(self, key):
                raise ValueError(f"kind = {self.kind!r} does not say which; add {key}")
        if self.kind == "leaderboard" and bool(self.name) == bool(self.kpi):
            raise ValueError("kind = 'leaderboard' takes the name of one of [[leaderboards]], or a kpi")
        if self.kind == "leaderboard" and self.name and len(self.model_fields_set - {"title"}) > 2:
            raise ValueError(f"kind = 'leaderboard' is all said by name = {self.name!r}; leave the rest out")
        return self


class BoardSettings(_Table):
    name: str = Field(description="the board's address is /wall/<name>: lower-case letters, digits, - and _")
    title: str = Field(default="", max_length=200, description="what people read, else the page's own words")
    seconds: int = Field(default=20, ge=3, le=86_400, description="how long it is shown in turn")
    since: date | None = Field(default=None, alias="from", description="first day it is shown on")
    until: date | None = Field(default=None, alias="to", description="last day it is shown on")
    team: str = Field(default="", description="only this team is on it; empty: the floor")
    widgets: tuple[WidgetSettings, ...] = Field(
        min_length=1, max_length=16, description='such as [{ kind = "kpi", kpi = "revenue", window = "mtd" }]'
    )

    @field_validator("name")
    @classmethod
    def _address(cls, name: str) -> str:
        if not _BOARD_NAME.fullmatch(name):
            raise ValueError("is no part of an address; use lower-case letters, digits, - and _")
        if name in _OTHER_DOORS:
            raise ValueError("is an address of the wall itself; use another name")
        return name

    @field_validator("widgets", mode="before")
    @classmethod
    def _tables(cls, widgets: Any) -> Any:
        if not isinstance(widgets, list | tuple):
            raise ValueError('is no list; write [{ kind = "kpi", kpi = "revenue" }, …]')  # noqa: TRY004
        return widgets

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.since is not None and self.until is not None and self.until < self.since:
            raise ValueError(f"to = {self.until} lies before from = {self.since}; correct one")
        return self
