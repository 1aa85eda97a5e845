"""Reference events (targets, roster, rates, market sizes, stages) as they are on the wire. Pure.

A reference event carries its whole record; the newest record of an id replaces the one before.
"""

from datetime import date
from decimal import Decimal
from typing import Annotated, Final

from msgspec import Meta, Struct

from metrics.reference import MarketSize, Rate, Reference, RosterSpell, Stage, Target
from streams.events import EntityKind, Reason, ReferenceChanges
from streams.wire_form import EventType, Read, Refused, Text, currency_of, day_of, form_of


class TargetData(Struct, gc=False):
    kpi: Text
    period: Text
    value: Decimal | None
    level: Text = "floor"
    key: Text = ""
    currency: Text | None = None


class RosterData(Struct, gc=False):
    rep_id: Text
    name: Text | None = None
    team_id: Text | None = None
    region: Text | None = None
    active_from: date | None = None
    active_to: date | None = None


class RateData(Struct, gc=False):
    currency: Text
    rate: Decimal | None
    valid_from: date


class MarketData(Struct, gc=False):
    period: Text
    value: Decimal | None
    currency: Text | None = None


class StageData(Struct, gc=False):
    stage: Text
    pipeline: Text | None = None
    order: int | None = None
    probability: Annotated[float, Meta(ge=0, le=1)] | None = None


def _reference(record: Reference, time_ms: int) -> Read:
    return record.id, ReferenceChanges(record=record), time_ms


def _target(data: TargetData, action: str, time_ms: int) -> Read:
    value = data.value
    if value is not None and (not value.is_finite() or value.adjusted() > 15):
        raise Refused(Reason.BAD_AMOUNT, "$.data.value is not a number of at most 16 digits")
    if data.currency is not None:
        currency_of(data.currency)
    return _reference(Target(data.kpi, data.level, data.key, data.period, value, data.currency), time_ms)


def _roster(data: RosterData, action: str, time_ms: int) -> Read:
    day_of(data.active_from, "active_from")
    day_of(data.active_to, "active_to")
    if data.active_from is not None and data.active_to is not None and data.active_to <= data.active_from:
        raise Refused(Reason.BAD_TIME, "$.data.active_to is not after $.data.active_from")
    if not data.rep_id:
        raise Refused(Reason.MISSING_ID, "$.data.rep_id is empty")
    spell = RosterSpell(data.rep_id, data.name, data.team_id, data.region, data.active_from, data.active_to)
    return _reference(spell, time_ms)


def _rate(data: RateData, action: str, time_ms: int) -> Read:
    currency_of(data.currency)
    day_of(data.valid_from, "valid_from")
    rate = data.rate
    if rate is not None and not (rate.is_finite() and rate > 0 and abs(rate.adjusted()) <= 9):
        raise Refused(Reason.BAD_AMOUNT, "$.data.rate is not above 0 and below 10**10")
    return _reference(Rate(data.currency, rate, data.valid_from), time_ms)


def _market(data: MarketData, action: str, time_ms: int) -> Read:
    value = data.value
    if value is not None and not (value.is_finite() and value > 0 and value.adjusted() <= 15):
        raise Refused(Reason.BAD_AMOUNT, "$.data.value is not above 0 and of at most 16 digits")
    return _reference(MarketSize(data.period, value, data.currency), time_ms)


def _stage(data: StageData, action: str, time_ms: int) -> Read:
    if not data.stage:
        raise Refused(Reason.MISSING_ID, "$.data.stage is empty")
    return _reference(Stage(data.stage, data.pipeline, data.order, data.probability), time_ms)


REFERENCE_TYPES: Final[dict[str, EventType]] = {
    "sales.target.set": EventType(EntityKind.REFERENCE, "set", form_of(TargetData, "kpi", _target)),
    "sales.rep.updated": EventType(EntityKind.REFERENCE, "updated", form_of(RosterData, "rep_id", _roster)),
    "sales.rate.set": EventType(EntityKind.REFERENCE, "set", form_of(RateData, "currency", _rate)),
    "sales.market.set": EventType(EntityKind.REFERENCE, "set", form_of(MarketData, "period", _market)),
    "sales.stage.set": EventType(EntityKind.REFERENCE, "set", form_of(StageData, "stage", _stage)),
}
