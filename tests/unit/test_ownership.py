"""Every edge of a slot's life, legal and illegal, and the judgement of batches."""

from itertools import product

import pytest

from streams.ownership import (
    RELOAD_WINDOW_SECONDS,
    RELOADS_MAX,
    TRANSITIONS,
    Bounds,
    Continuity,
    IllegalStep,
    Ownership,
    Phase,
    Step,
    TooManyReloads,
    Verdict,
    is_truncated,
    within_log,
)

EDGES = list(product(Phase, Step))


@pytest.mark.parametrize(("phase", "step"), [edge for edge in EDGES if edge not in TRANSITIONS])
def test_illegal_step_raises_and_leaves_the_phase(phase: Phase, step: Step) -> None:
    ownership = Ownership(3, phase)
    with pytest.raises(IllegalStep, match=f"slot 3 is {phase.name} and cannot {step.name}"):
        ownership.step(step)
    assert ownership.phase is phase


@pytest.mark.parametrize(("phase", "step"), list(TRANSITIONS))
def test_legal_step_leads_to_the_phase_of_the_table(phase: Phase, step: Step) -> None:
    ownership = Ownership(0, phase)
    ownership.step(step)
    assert ownership.phase is TRANSITIONS[phase, step]


def test_only_a_load_makes_an_owner() -> None:
    assert [edge for edge, phase in TRANSITIONS.items() if phase is Phase.OWNING] == [
        (Phase.LOADING, Step.LOADED)
    ]


def test_every_phase_but_revoked_can_be_revoked() -> None:
    assert {phase for phase, step in TRANSITIONS if step is Step.REVOKE} == set(Phase) - {Phase.REVOKED}


def owning() -> Ownership:
    ownership = Ownership(0, Phase.LOADING)
    ownership.step(Step.LOADED)
    return ownership


@pytest.mark.parametrize("cause", [Step.DISOWNED, Step.FAULTED])
def test_fourth_reload_within_a_minute_is_fatal(cause: Step) -> None:
    ownership = owning()
    for reload in range(RELOADS_MAX):
        ownership.misfortune(cause, now_seconds=float(reload))
        ownership.step(Step.LOAD)
        ownership.step(Step.LOADED)
    with pytest.raises(TooManyReloads):
        ownership.misfortune(cause, now_seconds=RELOAD_WINDOW_SECONDS - 0.001)


def test_reloads_older_than_the_window_are_forgotten() -> None:
    ownership = owning()
    for reload in range(RELOADS_MAX):
        ownership.misfortune(Step.DISOWNED, now_seconds=float(reload))
        ownership.step(Step.LOAD)
        ownership.step(Step.LOADED)
    ownership.misfortune(Step.DISOWNED, now_seconds=RELOAD_WINDOW_SECONDS)
    assert ownership.phase is Phase.WAITING


@pytest.mark.parametrize(
    ("first", "last", "verdict"),
    [
        (0, 9, Verdict.SKIP),
        (9, 9, Verdict.SKIP),
        (5, 10, Verdict.ACCEPT),
        (10, 10, Verdict.ACCEPT),
        (11, 11, Verdict.RESEEK),
        (99, 120, Verdict.RESEEK),
    ],
)
def test_batch_is_judged_by_the_next_offset(first: int, last: int, verdict: Verdict) -> None:
    assert Continuity().judge(first, last, next_offset=10) is verdict


def test_gap_is_accepted_only_when_the_same_batch_comes_again() -> None:
    partition = Continuity()
    verdicts = [partition.judge(first, first + 4, next_offset=10) for first in (15, 20, 15, 15)]
    assert verdicts == [Verdict.RESEEK, Verdict.RESEEK, Verdict.RESEEK, Verdict.GAP]


def test_accepting_forgets_the_attempt() -> None:
    partition = Continuity()
    partition.judge(15, 19, next_offset=10)
    partition.judge(10, 12, next_offset=10)
    assert partition.judge(15, 19, next_offset=10) is Verdict.RESEEK


def test_two_partitions_with_gaps_do_not_disturb_each_other() -> None:
    ownership = owning()
    first_round = [ownership.judge(topic, 15, 19, next_offset=10) for topic in ("deals", "leads")]
    second_round = [ownership.judge(topic, 15, 19, next_offset=10) for topic in ("deals", "leads")]
    assert first_round == [Verdict.RESEEK, Verdict.RESEEK]
    assert second_round == [Verdict.GAP, Verdict.GAP]


def test_loading_forgets_attempts_of_the_claim_before() -> None:
    ownership = owning()
    ownership.judge("deals", 15, 19, next_offset=10)
    ownership.misfortune(Step.FAULTED, now_seconds=0.0)
    ownership.step(Step.LOAD)
    ownership.step(Step.LOADED)
    assert ownership.judge("deals", 15, 19, next_offset=10) is Verdict.RESEEK


def test_records_removed_by_retention_are_lost_and_counted() -> None:
    assert within_log(10, earliest=25) == Bounds(25, lost=15)
    assert within_log(25, earliest=25) == Bounds(25, lost=0)
    assert within_log(26, earliest=25) == Bounds(26, lost=0)


def test_log_that_ends_before_the_next_offset_is_truncated() -> None:
    assert is_truncated(10, high_watermark=9)
    assert not is_truncated(10, high_watermark=10)
    assert not is_truncated(10, high_watermark=None)
