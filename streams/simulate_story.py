"""A random source in, the made-up life of one lead out, from first call to loyal customer. Pure.

Real floors are untidy, so stories are too: amounts are corrected, records come twice or late, deals
are deleted, restored, reopened, merged, and change hands; customers buy again, and some leave.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, NamedTuple

from metrics.money import exponent_of
from metrics.panes import DAY_MS
from streams.rfc3339 import rfc3339
from streams.simulate_record import HOUR_MS, MINUTE_MS, SECOND_MS, Simulated, Teller
from streams.topics import ACCOUNTS, ACTIVITIES, DEALS, FEEDBACK, LEADS


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
BUYS_AGAIN, BUYS_AGAIN_MAX, CHURNED, REACTIVATED = 0.35, 3, 0.12, 0.2
ABROAD, WITH_COST = 0.12, 0.8
_CSAT_WEIGHTS: Final = (3, 5, 12, 40, 40)
_NPS_WEIGHTS: Final = (2, 1, 1, 2, 2, 5, 6, 14, 20, 26, 21)


def make_reps(random: Random) -> list[Rep]:
    return [
        Rep(name, team, region, random.uniform(0.7, 1.35))
        for team, (region, names) in TEAMS.items()
        for name in names.split(",")
    ]


class Money(NamedTuple):
    """What deals are in: mostly the reporting currency; the other's amounts are divided by its rate."""

    reporting: str
    other: str
    other_rate: float


class _Sale(NamedTuple):
    """One deal as it is being sold."""

    deal_id: str
    rep: Rep
    product: str
    amount: float
    currency: str


@dataclass(slots=True, kw_only=True)
class Story(Teller):
    """Writes the events of one lead, or of one customer."""

    reps: Sequence[Rep]
    money: Money

    def lead(self, time_ms: int) -> list[Simulated]:
        """Tell the whole life of a lead that comes in at `time_ms`."""
        random, lead_id = self.random, f"L-{self.name}"
        rep = random.choice(self.reps)
        origin = random.choices(SOURCES, _SOURCE_WEIGHTS)[0]
        owner = {"rep_id": rep.rep_id, "team_id": rep.team_id, "region": rep.region}
        about = {"lead_id": lead_id, "source": origin, **owner}
        self.write(LEADS, "sales.lead.created", time_ms, lead_id, about | {"created_at": rfc3339(time_ms)})
        at = self._calls(time_ms, rep, {"lead_id": lead_id})
        if random.random() >= QUALIFIED_SHARE:
            if random.random() < 0.6:
                at = self.after(at, DAY_MS)
                self.write(LEADS, "sales.lead.disqualified", at, lead_id, {"lead_id": lead_id})
            return self.records
        at = self.after(at, 10 * MINUTE_MS)
        self.write(LEADS, "sales.lead.qualified", at, lead_id, {"lead_id": lead_id})
        at = self.after(at, 5 * MINUTE_MS)
        deal_id, account_id = f"D-{self.name}", f"C-{self.name}"
        converted = {"lead_id": lead_id, "deal_id": deal_id, "account_id": account_id}
        self.write(LEADS, "sales.lead.converted", at, lead_id, converted)
        sale = self._sale(deal_id, rep)
        won_ms = self._deal(at, sale, {"lead_id": lead_id, "source": origin, "account_id": account_id})
        if won_ms is not None:
            self._becomes_customer(won_ms, account_id, sale)
        return self.records

    def _calls(self, time_ms: int, rep: Rep, concerns: dict[str, str]) -> int:
        """Call until somebody answers, at most four times; return when the last attempt ended."""
        at = self.after(time_ms, 12 * MINUTE_MS)
        for _ in range(4):
            outcome = self.random.choices(_CALL_OUTCOMES, _CALL_WEIGHTS)[0]
            seconds = (
                self.random.lognormvariate(5.2, 0.7) if outcome == "connected" else self.random.uniform(3, 35)
            )
            self._activity("call", at, rep, concerns, outcome=outcome, duration_seconds=round(seconds))
            if outcome == "connected":
                break
            at = self.after(at, 90 * MINUTE_MS)
        return at

    def _sale(self, deal_id: str, rep: Rep) -> _Sale:
        random = self.random
        product = random.choices(PRODUCTS, _PRODUCT_WEIGHTS)[0]
        amount, currency = product.price * random.lognormvariate(0.0, 0.3), self.money.reporting
        if random.random() < ABROAD:
            amount, currency = amount / self.money.other_rate, self.money.other
        return _Sale(deal_id, rep, product.name, amount, currency)

    def _deal(self, time_ms: int, sale: _Sale, about: dict[str, str]) -> int | None:
        """Tell a deal from its creation to its end; return when it was won, None when it was not."""
        random, deal_id = self.random, sale.deal_id
        express = random.random() < (EXPRESS_LIVE_SHARE if self.live else EXPRESS_SHARE)
        days = (
            random.uniform(3, 40) / 1440
            if express
            else random.lognormvariate(math.log(_CYCLE_MEDIAN_DAYS), _CYCLE_SPREAD)
        )
        cycle_ms = int(days * DAY_MS)
        data: dict[str, object] = {
            "deal_id": deal_id, "status": "open", "stage": STAGES[0].name,
            "probability": STAGES[0].probability, **_money("amount", sale.amount, sale.currency),
            "products": [sale.product], **_owner(sale.rep),
            "created_at": rfc3339(time_ms), "expected_close_on": rfc3339(time_ms + cycle_ms)[:10], **about,
        }  # fmt: skip
        if random.random() < WITH_COST:
            data |= _money("cost", sale.amount * random.uniform(0.25, 0.5), sale.currency)
        self.write(DEALS, "sales.deal.created", time_ms, deal_id, data)
        if random.random() < MERGED:
            self._twin(time_ms, deal_id, data)
        at, rep = self._stages(time_ms, cycle_ms, sale)
        return self._close(at, deal_id, rep)

    def _stages(self, time_ms: int, cycle_ms: int, sale: _Sale) -> tuple[int, Rep]:
        """Go through the stages, with corrections and handovers; return when it closes, and whose it is."""
        random, at, deal_id, rep, amount = self.random, time_ms, sale.deal_id, sale.rep, sale.amount
        for number, stage in enumerate(STAGES):
            if number:
                change: dict[str, object] = {"stage": stage.name, "probability": stage.probability}
                self.write(DEALS, "sales.deal.updated", at, deal_id, {"deal_id": deal_id, **change})
            middle = self.office(at + int(cycle_ms * stage.share * random.uniform(0.3, 0.7)))
            kind, held = _STAGE_ACTIVITY[stage.name], "held" if random.random() < 0.86 else "no_show"
            planned_ms = at + (middle - at) // 4 if kind == "demo" else None
            self._activity(kind, middle, rep, {"deal_id": deal_id}, planned_ms=planned_ms, outcome=held)
            if random.random() < CORRECTED:
                amount = amount * random.uniform(0.7, 1.25)
                change = {"deal_id": deal_id, **_money("amount", amount, sale.currency)}
                self.write(DEALS, "sales.deal.updated", middle, deal_id, change)
            if random.random() < MOVED:
                rep = random.choice(self.reps)
                change = {"deal_id": deal_id, **_owner(rep)}
                self.write(DEALS, "sales.deal.updated", middle + SECOND_MS, deal_id, change)
            at = self.office(max(middle + SECOND_MS, at + int(cycle_ms * stage.share)))
        return at, rep

    def _close(self, time_ms: int, deal_id: str, rep: Rep) -> int | None:
        random, at, just_id = self.random, time_ms, {"deal_id": deal_id}
        won = random.random() < WIN_SHARE * rep.skill
        outcome: dict[str, object] = {"stage": "won" if won else "lost", "probability": 1.0 if won else 0.0}
        self.write(DEALS, f"sales.deal.{'won' if won else 'lost'}", at, deal_id, {**just_id, **outcome})
        won_ms = at if won else None
        if random.random() < REOPENED:
            at = self.after(at, DAY_MS)
            again: dict[str, object] = {"stage": "negotiation", "probability": 0.5}
            self.write(DEALS, "sales.deal.reopened", at, deal_id, {**just_id, **again})
            won_ms = at = self.after(at, 2 * DAY_MS)
            self.write(DEALS, "sales.deal.won", at, deal_id, {**just_id, "stage": "won", "probability": 1.0})
        if random.random() < DELETED:
            at = self.after(at, DAY_MS)
            self.write(DEALS, "sales.deal.deleted", at, deal_id, just_id)
            if random.random() >= 0.5:
                return None
            self.write(DEALS, "sales.deal.restored", self.after(at, HOUR_MS), deal_id, just_id)
        return won_ms

    def _twin(self, time_ms: int, deal_id: str, data: Mapping[str, object]) -> None:
        """Somebody enters the deal a second time; later the two are merged."""
        twin, at = f"{deal_id}-b", time_ms + 7 * MINUTE_MS
        again = {**data, "deal_id": twin, "created_at": rfc3339(at)}
        self.write(DEALS, "sales.deal.created", at, twin, again)
        merged = {"deal_id": twin, "merged_into": deal_id}
        self.write(DEALS, "sales.deal.merged", self.after(at, 3 * HOUR_MS), twin, merged)

    def customer(self, time_ms: int, since_ms: int) -> list[Simulated]:
        """Tell what a customer of old, known from `time_ms` on, does next."""
        rep = self.random.choice(self.reps)
        sale = self._sale("", rep)
        self._account(time_ms, f"C-{self.name}", sale, active_from=rfc3339(since_ms))
        self._buys_again(time_ms, f"C-{self.name}", sale)
        return self.records

    def _becomes_customer(self, won_ms: int, account_id: str, sale: _Sale) -> None:
        self._account(won_ms, account_id, sale, active_from=rfc3339(won_ms))
        self._answers(won_ms, account_id, sale.rep)
        self._buys_again(won_ms, account_id, sale)

    def _buys_again(self, time_ms: int, account_id: str, first: _Sale) -> None:
        random, at, bought = self.random, time_ms, {first.product}
        for number in range(2, 2 + BUYS_AGAIN_MAX):
            if random.random() >= BUYS_AGAIN:
                break
            at = self.after(at, 25 * DAY_MS)
            sale = self._sale(f"D-{self.name}-{number}", first.rep)
            won_ms = self._deal(at, sale, {"account_id": account_id, "source": "customer"})
            if won_ms is not None:
                at = won_ms
                bought.add(sale.product)
                self._account(at, account_id, sale, products=sorted(bought))
                self._answers(at, account_id, sale.rep)
        if random.random() < CHURNED:
            at = self.after(at, 35 * DAY_MS)
            self.write(ACCOUNTS, "sales.account.churned", at, account_id, {"account_id": account_id})
            if random.random() < REACTIVATED:
                at = self.after(at, 10 * DAY_MS)
                self.write(ACCOUNTS, "sales.account.reactivated", at, account_id, {"account_id": account_id})

    def _account(self, time_ms: int, account_id: str, sale: _Sale, **more: object) -> None:
        data = {"account_id": account_id, **_owner(sale.rep), "products": [sale.product], **more}
        self.write(ACCOUNTS, "sales.account.updated", time_ms, account_id, data)

    def _answers(self, time_ms: int, account_id: str, rep: Rep) -> None:
        """A customer may say how it was, and whether to recommend us."""
        random = self.random
        if random.random() < 0.4:
            score = random.choices((1, 2, 3, 4, 5), _CSAT_WEIGHTS)[0]
            self._answer("csat", self.after(time_ms, DAY_MS), account_id, rep, score=score)
        if random.random() < 0.15:
            score = random.choices(range(11), _NPS_WEIGHTS)[0]
            more: dict[str, object] = {"score": score}
            if random.random() < 0.1:
                more = {"score": max(1, score), "scale": "1-10"}
            self._answer("nps", self.after(time_ms, 5 * DAY_MS), account_id, rep, **more)

    def _answer(self, kind: str, time_ms: int, account_id: str, rep: Rep, **more: object) -> None:
        feedback_id = f"F-{self.name}-{self.written}"
        data = {"feedback_id": feedback_id, "kind": kind, "account_id": account_id, **_owner(rep), **more}
        self.write(FEEDBACK, "sales.feedback.received", time_ms, feedback_id, data)

    def rep_activity(self, time_ms: int) -> list[Simulated]:
        """Tell one of the many small things a rep does that concern no lead of ours."""
        rep = self.random.choice(self.reps)
        kind = self.random.choices(_REP_ACTIVITIES, _REP_ACTIVITY_WEIGHTS)[0]
        if kind == "call":
            outcome = self.random.choices(_CALL_OUTCOMES, _CALL_WEIGHTS)[0]
            seconds = round(self.random.lognormvariate(4.6, 0.8)) if outcome == "connected" else 20
            self._activity(kind, time_ms, rep, {}, outcome=outcome, duration_seconds=seconds)
        elif kind == "follow_up":
            self._follow_up(time_ms, rep)
        else:
            self._activity(kind, time_ms, rep, {})
        return self.records

    def _follow_up(self, time_ms: int, rep: Rep) -> None:
        """Promised for a time; mostly done by then, sometimes later, sometimes forgotten."""
        due_ms, fate = self.after(time_ms, DAY_MS), self.random.random()
        activity_id = f"A-{self.name}-{self.written}"
        data = {"activity_id": activity_id, "kind": "follow_up", **_owner(rep), "due_at": rfc3339(due_ms)}
        self.write(ACTIVITIES, "sales.activity.scheduled", time_ms, activity_id, data)
        if fate < 0.92:
            early_ms = time_ms + int((due_ms - time_ms) * self.random.random())
            done_ms = early_ms if fate < 0.8 else self.after(due_ms, 3 * HOUR_MS)
            self.write(ACTIVITIES, "sales.activity.completed", done_ms, activity_id, data)

    def _activity(
        self,
        kind: str,
        time_ms: int,
        rep: Rep,
        concerns: dict[str, str],
        *,
        planned_ms: int | None = None,
        **details: str | float,
    ) -> None:
        activity_id = f"A-{self.name}-{self.written}"
        data: dict[str, object] = {"activity_id": activity_id, "kind": kind, **_owner(rep), **concerns}
        if planned_ms is not None:
            data["scheduled_at"] = rfc3339(time_ms)
            self.write(ACTIVITIES, "sales.activity.scheduled", planned_ms, activity_id, data)
        self.write(ACTIVITIES, "sales.activity.completed", time_ms, activity_id, {**data, **details})


def _owner(rep: Rep) -> dict[str, object]:
    return {"rep_id": rep.rep_id, "team_id": rep.team_id, "region": rep.region}


def _money(name: str, amount: float, currency: str) -> dict[str, object]:
    return {name: f"{amount:.{exponent_of(currency) or 0}f}", "currency": currency}
