"""The additive, retractable measures: what a contribution may say and in which unit. A leaf.

Every value is an integer, so adding and subtracting are exact and undo each other. A histogram
measure spreads over integer keys, one per log bucket; a scalar measure is one key.
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray


class Unit(StrEnum):
    COUNT = "count"
    MONEY = "money"  # stored in minor units of the cell's currency
    DURATION = "duration"  # stored in milliseconds


class Kind(StrEnum):
    FLOW = "flow"  # counts in the window that holds its time
    LEVEL = "level"  # +x where it begins, -x where it ends; its value is the sum of all time before as-of
    HISTOGRAM = "histogram"  # a flow, spread over log buckets of its value
    LEVEL_BY_DAY = "level by day"  # a level, spread over the days it is due on
    DISTINCT = "distinct"  # a flow, spread over members: counts those that occur in the window, once each


NUMBERS: Final = 1024
"""Numbers of measures, and so the keys of scalar ones, are below it."""


@dataclass(frozen=True, slots=True)
class Measure:
    """`number` is stored: it never changes meaning; a new measure takes a new number below `NUMBERS`."""

    number: int
    name: str
    unit: Unit
    kind: Kind = Kind.FLOW
    by_stage: bool = False
    """Its cells say the stage; so do those of every level."""


MEASURES: tuple[Measure, ...] = (
    Measure(1, "created", Unit.COUNT),
    Measure(90, "created_won", Unit.COUNT),  # at the time of creation, of deals won since
    Measure(2, "won", Unit.COUNT),
    Measure(3, "lost", Unit.COUNT),
    Measure(4, "won_amount", Unit.MONEY),
    Measure(5, "lost_amount", Unit.MONEY),
    Measure(6, "won_without_amount", Unit.COUNT),
    Measure(7, "won_cycle_total", Unit.DURATION),
    Measure(8, "won_cycle_count", Unit.COUNT),
    Measure(9, "won_cycle", Unit.DURATION, Kind.HISTOGRAM),
    Measure(10, "open", Unit.COUNT, Kind.LEVEL),
    Measure(11, "open_amount", Unit.MONEY, Kind.LEVEL),
    # amount x probability, exact: whole minor units, and the rest in millionths of one
    Measure(12, "open_weighted", Unit.MONEY, Kind.LEVEL),
    Measure(13, "open_weighted_millionths", Unit.MONEY, Kind.LEVEL),
    Measure(14, "overdue", Unit.COUNT, Kind.LEVEL),
    Measure(15, "overdue_amount", Unit.MONEY, Kind.LEVEL),
    Measure(16, "due_weighted", Unit.MONEY, Kind.LEVEL_BY_DAY),
    Measure(17, "due_weighted_millionths", Unit.MONEY, Kind.LEVEL_BY_DAY),
    Measure(18, "due_commit", Unit.MONEY, Kind.LEVEL_BY_DAY),
    Measure(19, "due_best_case", Unit.MONEY, Kind.LEVEL_BY_DAY),
    Measure(20, "leads_new", Unit.COUNT),
    Measure(21, "leads_qualified_total", Unit.COUNT),
    Measure(22, "leads_converted_total", Unit.COUNT),
    Measure(40, "calls_done", Unit.COUNT),
    Measure(41, "calls_with_conversation", Unit.COUNT),
    Measure(42, "talk_duration", Unit.DURATION),
    Measure(43, "emails_done", Unit.COUNT),
    Measure(44, "meetings_done", Unit.COUNT),
    Measure(45, "demos_done", Unit.COUNT),
    Measure(46, "proposals_done", Unit.COUNT),
    Measure(47, "appointments_done", Unit.COUNT),
    Measure(48, "follow_ups_done", Unit.COUNT),
    Measure(49, "one_on_ones_done", Unit.COUNT),
    Measure(50, "trainings_done", Unit.COUNT),
    Measure(51, "activities_done", Unit.COUNT),
    Measure(60, "csat_answers", Unit.COUNT),
    Measure(61, "csat_good", Unit.COUNT),
    Measure(62, "nps_answers", Unit.COUNT),
    Measure(63, "nps_promoters", Unit.COUNT),
    Measure(64, "nps_detractors", Unit.COUNT),
    Measure(65, "enps_answers", Unit.COUNT),
    Measure(66, "enps_promoters", Unit.COUNT),
    Measure(67, "enps_detractors", Unit.COUNT),
    Measure(68, "pulse_answers", Unit.COUNT),
    Measure(
        69, "pulse_parts", Unit.COUNT
    ),  # each answer scaled to 0..1, in parts of 180 million: ninths are whole
    Measure(80, "spend_amount", Unit.MONEY),
    Measure(100, "customers_new", Unit.COUNT),
    Measure(101, "customers_new_repeating", Unit.COUNT),  # at the first purchase, as its denominator
    Measure(102, "won_after_first", Unit.COUNT),
    Measure(103, "expansion_amount", Unit.MONEY),
    Measure(104, "accounts_active", Unit.COUNT, Kind.LEVEL),
    Measure(105, "accounts_activated", Unit.COUNT),
    Measure(106, "accounts_churned", Unit.COUNT),
    Measure(107, "products_adopted", Unit.COUNT, Kind.LEVEL),
    Measure(110, "won_amount_with_cost", Unit.MONEY),
    Measure(111, "won_cost", Unit.MONEY),
    Measure(140, "accounts_buying", Unit.COUNT, Kind.DISTINCT),
    Measure(141, "accounts_changed", Unit.COUNT, Kind.DISTINCT),  # activated, churned or both
    Measure(150, "meetings_took_place", Unit.COUNT),
    Measure(151, "demos_put_in_calendar", Unit.COUNT),
    Measure(152, "demos_planned", Unit.COUNT),  # at the time they were planned for
    Measure(153, "demos_planned_and_held", Unit.COUNT),
    Measure(154, "follow_ups_planned", Unit.COUNT),  # at the time they were due
    Measure(155, "follow_ups_in_time", Unit.COUNT),
    Measure(160, "leads_new_converted", Unit.COUNT),  # at the lead's creation, as its denominator
    Measure(161, "leads_new_won", Unit.COUNT),  # likewise
    Measure(162, "lead_response", Unit.DURATION, Kind.HISTOGRAM),
    Measure(163, "leads_reached_out_to", Unit.COUNT),
    Measure(164, "lead_sla_decided", Unit.COUNT),  # met, at the first attempt, or run out, at its end
    Measure(165, "lead_sla_kept", Unit.COUNT),
    Measure(170, "calls_on_closed_deals", Unit.COUNT),  # at the deal's close
    Measure(171, "stalled", Unit.COUNT, Kind.LEVEL),
    Measure(172, "stage_entered", Unit.COUNT, by_stage=True),
    Measure(173, "stage_passed", Unit.COUNT, by_stage=True),  # at the entry into the stage passed
    # amount of open deals without a probability of their own; their stage's is applied when a number is shown
    Measure(200, "open_unrated", Unit.MONEY, Kind.LEVEL),
    Measure(220, "leads_decided", Unit.COUNT),  # when converted within 30 days, or when these are over
    Measure(221, "leads_decided_converted", Unit.COUNT),
)
BY_NAME: dict[str, Measure] = {m.name: m for m in MEASURES}
BY_NUMBER: dict[int, Measure] = {m.number: m for m in MEASURES}
assert len(BY_NAME) == len(BY_NUMBER) == len(MEASURES)
assert all(0 < m.number < NUMBERS for m in MEASURES)

# A histogram key is `number << 21 | bucket + 2**20`: one int32 holds measure and bucket, and stays
# above every scalar key (< NUMBERS). |bucket| < 2**20 covers +-(2**63) ms many times over.
_BUCKET_BITS = 21
_BUCKET_ZERO = 1 << (_BUCKET_BITS - 1)

# Log buckets with ratio gamma: a value is answered by its bucket's midpoint with a relative error
# of at most ACCURACY (Masson, Rim, Lee: DDSketch, VLDB 2019). 0.5 % leaves room for interpolation
# between two neighbours inside the promised 1 %.
ACCURACY = 0.005
_GAMMA = (1 + ACCURACY) / (1 - ACCURACY)
_LOG_GAMMA = math.log(_GAMMA)


def bucket_of(value: int) -> int:
    """Return the log bucket of a value; 0 has its own, negative values mirror positive ones."""
    if value == 0:
        return 0
    bucket = math.ceil(math.log(abs(value)) / _LOG_GAMMA) + 1
    return bucket if value > 0 else -bucket


def bucket_value(bucket: int) -> float:
    """Return the value that stands for a bucket, within `ACCURACY` of every value in it."""
    if bucket == 0:
        return 0.0
    magnitude = 2 * _GAMMA ** (abs(bucket) - 1) / (_GAMMA + 1)
    return magnitude if bucket > 0 else -magnitude


def histogram_key(measure: Measure, value: int) -> int:
    assert measure.kind is Kind.HISTOGRAM
    return measure.number << _BUCKET_BITS | (bucket_of(value) + _BUCKET_ZERO)


MEMBERS_MAX = 1 << _BUCKET_BITS


def distinct_key(measure: Measure, member: int) -> int:
    """Return the key under which a member (an account's number, say) occurs."""
    assert measure.kind is Kind.DISTINCT
    assert 0 <= member < MEMBERS_MAX
    return measure.number << _BUCKET_BITS | member


def day_key(measure: Measure, day: int) -> int:
    """Return the key under which something is due on a day (`date.toordinal`)."""
    assert measure.kind is Kind.LEVEL_BY_DAY
    return measure.number << _BUCKET_BITS | day


def first_key(measure: Measure) -> int:
    """Return the least key of a measure that is spread over keys; adding a day gives that day's."""
    return measure.number << _BUCKET_BITS


def split_histogram_key(key: int) -> tuple[int, int]:
    """Return (measure number, bucket) of a histogram key."""
    return key >> _BUCKET_BITS, (key & ((1 << _BUCKET_BITS) - 1)) - _BUCKET_ZERO


def split_histogram_keys(keys: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the measure numbers, and the bucket (or the member less `BUCKET_ZERO`) of each key."""
    return keys >> _BUCKET_BITS, (keys & ((1 << _BUCKET_BITS) - 1)) - _BUCKET_ZERO


# What counts at one time but is known only from a later one on, such as a won deal in the cohort it was
# created in: the key says how much later, and lies above every other key.
HINDSIGHT_KEY_MIN = 1 << 52
_LAG_BITS = 42
LAG_MS_MAX = (1 << _LAG_BITS) - 1


def hindsight_key(number: int, lag_ms: int) -> int:
    """Return the key of a scalar measure that is known so long after its time, else its own.

    Nobody waits 139 years: a greater lag is cut to that.
    """
    return number if lag_ms <= 0 else HINDSIGHT_KEY_MIN | number << _LAG_BITS | min(lag_ms, LAG_MS_MAX)


def split_hindsight_key(key: int) -> tuple[int, int]:
    """Return (measure number, lag in ms) of a hindsight key."""
    return (key - HINDSIGHT_KEY_MIN) >> _LAG_BITS, key & LAG_MS_MAX


def is_level(key: int) -> bool:
    return key < NUMBERS and BY_NUMBER[key].kind is Kind.LEVEL
