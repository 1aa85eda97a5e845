"""What must hold of a simulated floor, at any moment and at its end. Changes nothing."""

from typing import TYPE_CHECKING

from aiokafka.structs import TopicPartition

from metrics.snapshot import take_snapshot
from oracle.numbers import answers, books_of
from streams import layout
from streams.stores.base import NO_MARK
from streams.stores.memory import SlotState
from streams.topics import SOURCES
from tests.folding import Checkpoint
from tests.product_path import differences
from tests.simulation.definitions import NOW_MS, config_of, floor_of
from tests.simulation.sums import Sums, sums_held, sums_joined, sums_stored
from tests.simulation.witness import Masks, masks_of

if TYPE_CHECKING:
    from tests.simulation.screens import Screen
    from tests.simulation.world import World

DEEP_CHECKS = 0.15
ORACLE_EVERY = 25
CLAIMS_MAX = 8
"""Of one slot once the faults are over: those who were frozen, a rebalance or two, a new process."""


class Violated(AssertionError):
    """An invariant does not hold."""


def stored(world: "World", slot: int) -> SlotState | None:
    """Return what the store holds, past all its faults; None while it holds nothing whole."""
    state = world.store.held(slot)
    if state is None or not state.seq or state.seq != state.entities_seq:
        return None
    return state


def check(world: "World") -> None:
    from tests.simulation.world import Seen

    for slot in world.seen:
        state = stored(world, slot)
        if state is None:
            continue
        generation = world.store.generation_in_use(slot)
        seen = world.seen[slot]
        if seen.generation == generation:
            fallen = [topic for topic, offset in seen.offsets.items() if state.offsets[topic] < offset]
            if fallen or state.seq < seen.seq:
                raise Violated(f"slot {slot} fell back from {seen} to {state.seq} {state.offsets}")
        if state.seq != seen.seq or generation != seen.generation:
            check_counters(world, slot, state)
            if world.random.random() < DEEP_CHECKS:
                check_panes(world, slot, state)
        world.seen[slot] = Seen(generation, state.seq, dict(state.offsets))
    if world.witness.twice:
        raise Violated(world.witness.twice[0])
    if world.wrongs:
        raise Violated(world.wrongs[0])
    failures = [error for worker in world.workers for error in worker.failures()]
    failures += [error for screen in world.screens if (error := screen.failure()) is not None]
    if failures:
        raise Violated(f"a loop ended: {failures[0]!r}") from failures[0]


def check_counters(world: "World", slot: int, state: SlotState) -> None:
    """Every record below the offsets has one fate, and what is missing of them is counted as such."""
    masks = masks_of(state)
    counters = layout.unpack_facts(state.board[layout.FACTS_FIELD]).counters
    told = sum(sum(counters.get(group, {}).values()) for group in ("accepted", "rejected"))
    told += counters.get("ignored", {}).get("unknown_type", 0)
    if told != sum(mask.bit_count() for mask in masks):
        raise Violated(f"slot {slot}: {told} records accounted for, {masks} folded")
    for topic, mask in zip(SOURCES, masks, strict=True):
        lost, gaps = (counters.get(group, {}).get(topic, 0) for group in ("lost", "gaps"))
        offset = state.offsets.get(topic, 0)
        if mask >> offset:
            raise Violated(f"slot {slot}: {topic} is folded beyond its offset {offset}: {mask:b}")
        if lost + gaps != offset - mask.bit_count():
            raise Violated(
                f"slot {slot}: {topic} counts {lost} lost and {gaps} gaps up to {offset}, {mask:b}"
            )
        check_lost(world, slot, topic, mask, offset, lost, gaps)


def check_lost(world: "World", slot: int, topic: str, mask: int, offset: int, lost: int, gaps: int) -> None:
    partition = world.log.partition_of(topic, slot)
    if partition is None:
        return
    missing = [
        record.offset
        for record in partition.records
        if record.offset < offset
        and not mask >> record.offset & 1
        and record.offset not in partition.vanished
    ]
    if any(each >= partition.begin for each in missing):
        raise Violated(f"slot {slot}: {topic} lacks {missing}, which the log still holds")
    if len(missing) > lost or (gaps and not world.gaps):
        raise Violated(f"slot {slot}: {topic} lacks {missing}, and counts {lost} lost, {gaps} gaps")


def check_panes(world: "World", slot: int, state: SlotState) -> None:
    """The stored panes, facts and references are those of the records in it: no state without offset."""
    masks = masks_of(state)
    expected = expected_of(world, slot, masks, state.version)
    actual = Checkpoint()
    actual.board = state.board
    if (found := actual.panes()) != expected.panes():
        raise Violated(f"slot {slot} at {state.offsets}: {found} is stored, {expected.panes()} is right")
    if (told := _told(actual)) != (right := _told(expected)):
        raise Violated(f"slot {slot} at {state.offsets}: {told} is told, {right} is right")


def _told(checkpoint: Checkpoint) -> dict[bytes, bytes]:
    board = checkpoint.board.items()
    return {name: value for name, value in board if layout.is_fact(name) or layout.is_reference(name)}


def expected_of(world: "World", slot: int, masks: Masks, version: str) -> Checkpoint:
    return world.witness.fold(slot, masks, version, world.by_version[version].rules)


# ---- what is shown


def check_screens(world: "World") -> None:
    """What a reader shows at this very moment is, slot by slot, one state that was committed, whole."""
    for screen in world.screens:
        follower = screen.follower
        if follower is None:
            continue
        held: list[Checkpoint] = []
        for slot, board in enumerate(follower._slots):
            if not board.loaded or board.mark == NO_MARK:
                continue
            known = world.witness.by_mark.get(board.mark)
            if known is None:
                if slot in world.truncated:
                    return
                raise Violated(f"slot {slot} is shown at {board.mark}, which was never stored")
            _, masks, version = known
            if version != screen.version:
                raise Violated(f"slot {slot} is shown under {screen.version}, and is of {version}")
            held.append(expected_of(world, slot, masks, version))
        world.hits["half loaded"] += 0 < len(held) < len(follower._slots)
        expected = sums_of(world, held, screen.version)
        if held and (actual := sums_held(follower)) != expected:
            raise Violated(f"shown is {actual}, right is {expected}")


def sums_of(world: "World", held: list[Checkpoint], version: str) -> Sums:
    if not held:
        return {}
    joined = sums_joined([each.board for each in held], world.by_version[version].rules)
    plain = sums_stored(each.panes() for each in held)
    places = plain.keys() | joined.keys()
    return {at: total for at in places if (total := plain.get(at, 0) + joined.get(at, 0))}


def not_shown(world: "World", screen: "Screen") -> str:
    """Say what a reader does not show yet of what is stored; "" when it shows it all."""
    follower = screen.follower
    if follower is None or screen.version != world.target.version:
        return f"a reader shows {screen.version or 'nothing'}, not {world.target.version} {screen.refusal}"
    for slot, board in enumerate(follower._slots):
        state = world.store.held(slot)
        if state is not None and state.seq and board.mark != state.mark:
            return f"a reader shows slot {slot} at {board.mark}, stored is {state.mark}"
    return ""


# ---- the end


def check_claims(world: "World") -> None:
    """Nobody takes slots from each other for ever: whoever believed to own one learns otherwise."""
    if world.floor.claims and max(world.floor.claims.values()) > CLAIMS_MAX:
        raise Violated(f"the faults are over, and slots are claimed again and again: {world.floor.claims}")


def check_end(world: "World") -> None:
    for slot in world.seen:
        state = stored(world, slot)
        if state is not None:
            check_counters(world, slot, state)
            check_panes(world, slot, state)
    # A rebuild writes no dead letters, and one that retention removed unread has none.
    missing = {
        letter
        for letter in world.broken - world.letters
        if letter[2] >= (partition := world.log.of(TopicPartition(*letter[:2]))).begin
        and letter[2] not in partition.vanished
    }
    if missing and not world.hits["rebuilt"]:
        raise Violated(f"no dead letter for {missing}")


def check_oracle(world: "World") -> None:
    """In some lives the batch computation that shares no code with the product has the last word."""
    if world.seed % ORACLE_EVERY or world.target.rules.activity_horizon_ms < world.target.rules.retention_ms:
        return
    screen = world.screens[0]
    assert screen.follower is not None
    if any(stored(world, slot) is None for slot in world.seen):
        return
    world.hits["oracle"] += 1
    floor = floor_of(str(world.target.settings.floor.zone))
    snapshot = take_snapshot(screen.follower, NOW_MS, config_of(world.target), strict=True)
    told = answers(books_of(events_in(world), floor), NOW_MS, floor)
    if found := differences(snapshot, told):
        raise Violated("\n".join(found[:20]))


def events_in(world: "World") -> list[dict[str, object]]:
    events = []
    for slot in world.seen:
        state = stored(world, slot)
        assert state is not None
        masks = masks_of(state)
        for topic, mask in zip(SOURCES, masks, strict=True):
            partition = world.log.partition_of(topic, slot)
            if partition is not None:
                events += [event for offset, event in partition.events.items() if mask >> offset & 1]
    return events
