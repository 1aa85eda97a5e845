"""After the faults: what a supervisor and an operator do, and nothing more; then all must come out right."""

import asyncio
from typing import TYPE_CHECKING

from streams.ownership import Phase
from streams.stores.base import ForeignState
from tests.simulation import checks
from tests.simulation.checks import Violated

if TYPE_CHECKING:
    from tests.simulation.world import World

SESSION_SECONDS = 6.0
CATCH_UP_SECONDS = 600.0
SHOWN_SECONDS = 30.0


async def heal(world: "World") -> None:
    """End the faults, and help nobody beyond that: what went wrong unnoticed must come out by itworld.

    An operator does what the messages ask for: a rebuild where the settings in use are others or a
    topic was truncated; a supervisor starts workers anew.
    """
    world.hurt_store("store back")
    world.store.clear_failures()
    for outside in (
        *(each.outside for each in world.workers),
        *(each.outside for each in world.operators.values()),
    ):
        outside.trap = None
        outside.thaw()
    for worker in world.workers:
        worker.lucky = True
        worker.outside.slowness = 1.0
    while world.operators:
        await asyncio.sleep(1.0)
    stop_workers_of_other_settings(world)
    if not world.workers:
        start_lucky(world)
    await asyncio.sleep(SESSION_SECONDS)
    world.hits["stopped"] += sum(len(worker.stopped()) for worker in world.workers)
    if world.truncated or not await is_target_shown(world):
        await rebuild_until_done(world)
    world.truncated.clear()
    world.floor.claims.clear()
    produce_where_half_is_lost(world)
    if homeless(world) or any(worker.fatal is not None for worker in world.workers):
        await world.rebalance()


def produce_where_half_is_lost(world: "World") -> None:
    """The owner holds all of it in memory and readers see a whole board: the next commit finds it out."""
    for slot in range(world.floor.slots):
        state = world.store.held(slot)
        while state is not None and state.seq != state.entities_seq:
            made = world.records.make()
            if made.place.partition == slot and made.event is not None:
                world.log.append(made.place, made.value, event=made.event)
                break


def homeless(world: "World") -> list[int]:
    """Return the slots that no living worker takes for its own."""
    at_home = {
        number
        for worker in world.workers
        for number, slot in worker.keeper.slots.items()
        if slot.ownership.phase is not Phase.REVOKED
    }
    return [slot for slot in range(world.floor.slots) if slot not in at_home]


def stop_workers_of_other_settings(world: "World") -> None:
    """The deploy is over."""
    for worker in [each for each in world.workers if each.definition is not world.target]:
        world.kill(worker)


async def rebuild_until_done(world: "World") -> None:
    for _ in range(5):
        task = world.start_rebuild(faulty=False)
        if await task is not None:
            for slot in world.truncated:
                world.log.forget_vanished(slot)
            return
    raise Violated("the faults are over, and yet no rebuild succeeds")


async def is_target_shown(world: "World") -> bool:
    shown = await world.store.shown()
    return shown is not None and shown.version == world.target.version


def start_lucky(world: "World") -> None:
    worker = world.start_worker(world.target)
    if worker is not None:
        worker.lucky = True


async def catch_up(world: "World") -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + CATCH_UP_SECONDS
    while not all(is_caught_up(world, slot) for slot in range(world.floor.slots)):
        if loop.time() > deadline:
            raise Violated(f"the faults are over, and yet the workers do not catch up: {standing(world)}")
        await asyncio.sleep(1.0)
        checks.check(world)
        if any(isinstance(worker.fatal, ForeignState) for worker in world.workers):
            # The store forgot what is shown, and who announced and who claimed first differ in settings.
            await rebuild_until_done(world)
        if any(worker.fatal is not None for worker in world.workers):
            world.rebalance_soon()  # which starts with burying them
        if not world.workers:
            start_lucky(world)


def standing(world: "World") -> str:
    told = [
        (
            each.definition.version,
            each.joined,
            {n: s.ownership.phase.name for n, s in each.keeper.slots.items()},
        )
        for each in world.workers
    ]
    held = {slot: state.offsets for slot in range(world.floor.slots) if (state := world.store.held(slot))}
    return (
        f"workers {told}, stored {held}, ends {[world.log.ends(slot) for slot in range(world.floor.slots)]}"
    )


def is_caught_up(world: "World", slot: int) -> bool:
    ends, state = world.log.ends(slot), checks.stored(world, slot)
    if state is None:
        return not any(ends.values())
    return state.version == world.target.version and all(
        state.offsets.get(topic) == end for topic, end in ends.items()
    )


async def until_shown(world: "World") -> None:
    """Readers follow by themselves, whatever they missed."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + SHOWN_SECONDS
    while True:
        wrong = [said for screen in world.screens if (said := checks.not_shown(world, screen))]
        if not wrong:
            break
        if loop.time() > deadline:
            raise Violated(wrong[0])
        await asyncio.sleep(0.5)
    checks.check_screens(world)
    checks.check_claims(world)
    checks.check_oracle(world)
