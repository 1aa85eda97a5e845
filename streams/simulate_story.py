"""A random source in, the made-up life of one lead out: its events, and when each reaches Kafka. Pure.

Real floors are untidy, so stories are too: amounts are corrected, records come twice or late, deals
are deleted, restored, reopened, merged, and change hands.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from metrics.panes import DAY_MS
from streams.rfc3339 import local_offset_ms, rfc3339
from streams.topics import ACTIVITIES, DEALS, LEADS

SECOND_MS, MINUTE_MS, HOUR_MS = 1000, 60_000, 3_600_000
SOURCE: Final = "/salesfloor/simulation"


class Simulated(NamedTuple):
    """One record. `arrival_ms` is when it reaches Kafka, `time_ms` when the fact happened."""

    arrival_ms: int
    time_ms: int
    topic: str
    key: bytes
    value: bytes


class Rep(NamedTuple):
    rep_id: str
    team_id: str
    region: str
    skill: float
    """Factor on the chance to win, round 1."""


class Product(NamedTuple):
    name: str
    price: int


class Stage(NamedTuple):
    name: str
    probability: float
    share: float
    """Part of the deal's cycle spent in it."""


TEAMS: Final = {
    "North": ("EMEA", "Amira Haddad,Jonas Lindqvist,Sofia Marchetti,Piotr Zielak,Maud Okafor,Elif Demir"),
    "Harbour": ("EMEA", "Tomas Reyes,Ingrid Solheim,Kwame Boateng,Leila Farahani,Hugo Brandt,Nina Petrova"),
    "Skyline": (
        "Americas",
        "Carlos Mendoza,Grace Whitfield,Dev Raman,Hannah Kowal,Luis Tavares,Ruth Bianchi",
    ),
    "Monsoon": ("APAC", "Aisyah Rahman,Wei Ling Tan,Budi Santoso,Mei Hoshino,Arjun Pillai,Siti Nordin"),
}
PRODUCTS: Final = (
    Product("Starter", 900),
    Product("Team", 4_800),
    Product("Business", 12_500),
    Product("Enterprise", 48_000),
)
_PRODUCT_WEIGHTS: Final = (45, 33, 17, 5)
SOURCES: Final = ("web", "referral", "paid_search", "event", "outbound", "partner")
_SOURCE_WEIGHTS: Final = (34, 16, 22, 8, 14, 6)
STAGES: Final = (Stage("discovery", 0.15, 0.4), Stage("proposal", 0.4, 0.35), Stage("negotiation", 0.7, 0.25))
_STAGE_ACTIVITY: Final = {"discovery": "meeting", "proposal": "demo", "negotiation": "proposal"}
_CALL_OUTCOMES: Final = ("no_answer", "connected", "voicemail", "busy", "wrong_number")
_CALL_WEIGHTS: Final = (44, 38, 12, 4, 2)
_REP_ACTIVITIES: Final = ("call", "email", "follow_up", "appointment", "one_on_one", "training")
_REP_ACTIVITY_WEIGHTS: Final = (66, 24, 5, 3, 1, 1)

QUALIFIED_SHARE, WIN_SHARE = 0.38, 0.42
EXPRESS_SHARE, EXPRESS_LIVE_SHARE = 0.12, 0.6
"""Deals that close within the hour: some in history, most where a floor is being watched."""
_CYCLE_MEDIAN_DAYS, _CYCLE_SPREAD = 7.0, 0.8
CORRECTED, MOVED, REOPENED, DELETED, MERGED = 0.10, 0.03, 0.05, 0.015, 0.012
DUPLICATED, LATE = 0.02, 0.02
_LATE_MAX_MS = 20 * HOUR_MS


def make_reps(random: Random) -> list[Rep]:
    return [
        Rep(name, team, region, random.uniform(0.7, 1.35))
        for team, (region, names) in TEAMS.items()
        for name in names.split(",")
    ]


@dataclass(slots=True)
class Story:
    """Writes the events of one lead. `live` stories ignore office hours: somebody is watching now."""

    random: Random
    name: str
    reps: list[Rep]
    zone: ZoneInfo
    currency: str
    live: bool
    records: list[Simulated] = field(default_factory=list)
    _written: int = 0

    def lead(self, time_ms: int) -> list[Simulated]:
        """Tell the whole life of a lead that comes in at `time_ms`."""
        random, lead_id = self.random, f"L-{self.name}"
        rep = random.choice(self.reps)
        origin = random.choices(SOURCES, _SOURCE_WEIGHTS)[0]
        owner = {"rep_id": rep.rep_id, "team_id": rep.team_id, "region": rep.region}
        about = {"lead_id": lead_id, "source": origin, **owner}
        self._write(LEADS, "sales.lead.created", time_ms, lead_id, about | {"created_at": rfc3339(time_ms)})
        at = self._calls(time_ms, rep, {"lead_id": lead_id})
        if random.random() >= QUALIFIED_SHARE:
            if random.random() < 0.6:
                at = self._after(at, DAY_MS)
                self._write(LEADS, "sales.lead.disqualified", at, lead_id, {"lead_id": lead_id})
            return self.records
        at = self._after(at, 10 * MINUTE_MS)
        self._write(LEADS, "sales.lead.qualified", at, lead_id, {"lead_id": lead_id})
        at = self._after(at, 5 * MINUTE_MS)
        deal_id = f"D-{self.name}"
        self._write(LEADS, "sales.lead.converted", at, lead_id, {"lead_id": lead_id, "deal_id": deal_id})
        self._deal(at, deal_id, rep, {"lead_id": lead_id, "source": origin})
        return self.records

    def _calls(self, time_ms: int, rep: Rep, concerns: dict[str, str]) -> int:
        """Call until somebody answers, at most four times; return when the last attempt ended."""
        at = self._after(time_ms, 12 * MINUTE_MS)
        for _ in range(4):
            outcome = self.random.choices(_CALL_OUTCOMES, _CALL_WEIGHTS)[0]
            seconds = (
                self.random.lognormvariate(5.2, 0.7) if outcome == "connected" else self.random.uniform(3, 35)
            )
            self._activity("call", at, rep, concerns, outcome=outcome, duration_seconds=round(seconds))
            if outcome == "connected":
                break
            at = self._after(at, 90 * MINUTE_MS)
        return at

    def _deal(self, time_ms: int, deal_id: str, rep: Rep, about: dict[str, str]) -> None:
        random = self.random
        product = random.choices(PRODUCTS, _PRODUCT_WEIGHTS)[0]
        amount = round(product.price * random.lognormvariate(0.0, 0.3), 2)
        express = random.random() < (EXPRESS_LIVE_SHARE if self.live else EXPRESS_SHARE)
        days = (
            random.uniform(3, 40) / 1440
            if express
            else random.lognormvariate(math.log(_CYCLE_MEDIAN_DAYS), _CYCLE_SPREAD)
        )
        cycle_ms = int(days * DAY_MS)
        data = {
            "deal_id": deal_id, "status": "open", "stage": STAGES[0].name,
            "probability": STAGES[0].probability, "amount": f"{amount:.2f}", "currency": self.currency,
            "products": [product.name], "rep_id": rep.rep_id, "team_id": rep.team_id, "region": rep.region,
            "created_at": rfc3339(time_ms), "expected_close_on": rfc3339(time_ms + cycle_ms)[:10], **about,
        }  # fmt: skip
        self._write(DEALS, "sales.deal.created", time_ms, deal_id, data)
        if random.random() < MERGED:
            self._twin(time_ms, deal_id, data)
        at, rep = self._stages(time_ms, cycle_ms, deal_id, rep, amount)
        self._close(at, deal_id, rep)

    def _stages(self, time_ms: int, cycle_ms: int, deal_id: str, rep: Rep, amount: float) -> tuple[int, Rep]:
        """Go through the stages, with corrections and handovers; return when it closes, and whose it is."""
        random, at, pace_ms = self.random, time_ms, cycle_ms
        for number, stage in enumerate(STAGES):
            if number:
                change = {"deal_id": deal_id, "stage": stage.name, "probability": stage.probability}
                self._write(DEALS, "sales.deal.updated", at, deal_id, change)
            middle = self._office(at + int(pace_ms * stage.share * random.uniform(0.3, 0.7)))
            held = "held" if random.random() < 0.86 else "no_show"
            self._activity(_STAGE_ACTIVITY[stage.name], middle, rep, {"deal_id": deal_id}, outcome=held)
            if random.random() < CORRECTED:
                amount = round(amount * random.uniform(0.7, 1.25), 2)
                change = {"deal_id": deal_id, "amount": f"{amount:.2f}", "currency": self.currency}
                self._write(DEALS, "sales.deal.updated", middle, deal_id, change)
            if random.random() < MOVED:
                rep = random.choice(self.reps)
                change = {
                    "deal_id": deal_id,
                    "rep_id": rep.rep_id,
                    "team_id": rep.team_id,
                    "region": rep.region,
                }
                self._write(DEALS, "sales.deal.updated", middle + SECOND_MS, deal_id, change)
            at = self._office(max(middle + SECOND_MS, at + int(pace_ms * stage.share)))
        return at, rep

    def _close(self, time_ms: int, deal_id: str, rep: Rep) -> None:
        random, at, just_id = self.random, time_ms, {"deal_id": deal_id}
        won = random.random() < WIN_SHARE * rep.skill
        outcome: dict[str, object] = {"stage": "won" if won else "lost", "probability": 1.0 if won else 0.0}
        self._write(DEALS, f"sales.deal.{'won' if won else 'lost'}", at, deal_id, {**just_id, **outcome})
        if random.random() < REOPENED:
            at = self._after(at, DAY_MS)
            again: dict[str, object] = {"stage": "negotiation", "probability": 0.5}
            self._write(DEALS, "sales.deal.reopened", at, deal_id, {**just_id, **again})
            at = self._after(at, 2 * DAY_MS)
            self._write(DEALS, "sales.deal.won", at, deal_id, {**just_id, "stage": "won", "probability": 1.0})
        if random.random() < DELETED:
            at = self._after(at, DAY_MS)
            self._write(DEALS, "sales.deal.deleted", at, deal_id, just_id)
            if random.random() < 0.5:
                self._write(DEALS, "sales.deal.restored", self._after(at, HOUR_MS), deal_id, just_id)

    def _twin(self, time_ms: int, deal_id: str, data: Mapping[str, object]) -> None:
        """Somebody enters the deal a second time; later the two are merged."""
        twin, at = f"{deal_id}-b", time_ms + 7 * MINUTE_MS
        again = {**data, "deal_id": twin, "created_at": rfc3339(at)}
        self._write(DEALS, "sales.deal.created", at, twin, again)
        merged = {"deal_id": twin, "merged_into": deal_id}
        self._write(DEALS, "sales.deal.merged", self._after(at, 3 * HOUR_MS), twin, merged)

    def rep_activity(self, time_ms: int) -> list[Simulated]:
        """Tell one of the many small things a rep does that concern no lead of ours."""
        rep = self.random.choice(self.reps)
        kind = self.random.choices(_REP_ACTIVITIES, _REP_ACTIVITY_WEIGHTS)[0]
        if kind == "call":
            outcome = self.random.choices(_CALL_OUTCOMES, _CALL_WEIGHTS)[0]
            seconds = round(self.random.lognormvariate(4.6, 0.8)) if outcome == "connected" else 20
            self._activity(kind, time_ms, rep, {}, outcome=outcome, duration_seconds=seconds)
        else:
            self._activity(kind, time_ms, rep, {})
        return self.records

    def _activity(
        self, kind: str, time_ms: int, rep: Rep, concerns: dict[str, str], **details: str | float
    ) -> None:
        activity_id = f"A-{self.name}-{self._written}"
        who = {"rep_id": rep.rep_id, "team_id": rep.team_id, "region": rep.region}
        key = concerns.get("deal_id") or concerns.get("lead_id") or rep.rep_id
        data = {"activity_id": activity_id, "kind": kind, **who, **concerns, **details}
        self._write(ACTIVITIES, "sales.activity.completed", time_ms, key, data)

    def _write(self, topic: str, type: str, time_ms: int, key: str, data: Mapping[str, object]) -> None:
        self._written += 1
        event = {
            "specversion": "1.0", "id": f"{self.name}-{self._written}", "source": SOURCE, "type": type,
            "time": rfc3339(time_ms), "subject": key, "data": data,
        }  # fmt: skip
        value = msgspec.json.encode(event)
        arrival_ms = time_ms + self.random.randrange(50, 900)
        if self.random.random() < LATE:
            arrival_ms += int(_LATE_MAX_MS * self.random.random() ** 3)
        record = Simulated(arrival_ms, time_ms, topic, key.encode(), value)
        self.records.append(record)
        if self.random.random() < DUPLICATED:
            self.records.append(
                record._replace(arrival_ms=arrival_ms + self.random.randrange(100, MINUTE_MS))
            )

    def _after(self, time_ms: int, mean_ms: float) -> int:
        """Return a moment some time later, at least a second, in office hours unless live."""
        scale = 0.05 if self.live else 1.0
        return self._office(time_ms + SECOND_MS + int(self.random.expovariate(1 / (mean_ms * scale))))

    def _office(self, time_ms: int) -> int:
        """Move a moment outside 8 to 19 h, or on a weekend, into the next office morning."""
        if self.live:
            return time_ms
        offset_ms = local_offset_ms(time_ms, self.zone)
        day, in_day_ms = divmod(time_ms + offset_ms, DAY_MS)
        if in_day_ms >= 19 * HOUR_MS:
            day, in_day_ms = day + 1, 0
        # 1970-01-01 was a Thursday: days 2 and 3 of each week counted from it are Saturday and Sunday.
        while day % 7 in (2, 3):
            day, in_day_ms = day + 1, 0
        if in_day_ms < 8 * HOUR_MS:
            in_day_ms = 8 * HOUR_MS + int(self.random.random() * 2 * HOUR_MS)
        return max(time_ms, day * DAY_MS + in_day_ms - offset_ms)
