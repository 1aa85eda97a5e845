"""A topic made anew is adopted: offsets go back, numbers stay, and reading it again counts nothing twice."""

import pytest
from aiokafka.structs import TopicPartition

from streams import adopt as adopt_module
from streams import keeper as keeper_module
from streams.adopt import Adopted, AdoptFailed, adopt, set_back
from streams.ownership import Phase
from streams.settings import Settings
from streams.stores.base import Outcome
from streams.topics import DEALS, LEADS
from tests.unit.slots_at_hand import Desk, deals

DEALS_0 = TopicPartition(DEALS, 0)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper_module, "RELOAD_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(adopt_module, "TRY_SECONDS", 0.001)


async def stopped() -> Desk:
    """Return a desk that has folded five deals, and stopped because the topic holds three now."""
    desk = Desk()
    await desk.take(0)
    desk.fold(deals(0, 5))
    await desk.checkpointer.commit_all()
    desk.reader.watermarks = {DEALS_0: 3}
    await desk.look(3)
    assert desk.slot().ownership.phase is Phase.STOPPED
    return desk


async def test_stopped_slot_goes_on_from_the_beginning_with_all_its_numbers() -> None:
    desk = await stopped()
    before = (await desk.store.read_board(0)).fields
    assert await set_back(desk.store, DEALS, {0: 0}) == Adopted(1, 0)
    await desk.look()
    await desk.reloaded()
    assert desk.slot().ownership.phase is Phase.OWNING
    assert desk.slot().positions()[DEALS_0] == 0
    desk.fold(deals(0, 3))
    await desk.checkpointer.commit_all()
    after = (await desk.store.read_board(0)).fields
    panes = [name for name in before if name != b"s"]
    assert [after[name] for name in panes] == [before[name] for name in panes]
    assert (await desk.stored())[DEALS] == 3


async def test_other_topics_stay_where_they_are_and_a_slot_without_records_too() -> None:
    desk = await stopped()
    offsets = await desk.stored()
    assert await set_back(desk.store, LEADS, {0: 7, 1: 7}) == Adopted(2, 1)
    assert await desk.stored() == {**offsets, LEADS: 7}


async def test_worker_that_claims_in_between_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = await stopped()
    commit, refusals = desk.store.commit, [Outcome.FENCED, Outcome.ROLLED_BACK]

    async def refused(slot: int, what: object) -> Outcome:
        return refusals.pop() if refusals else await commit(slot, what)  # type: ignore[arg-type]

    monkeypatch.setattr(desk.store, "commit", refused)
    assert await set_back(desk.store, DEALS, {0: 0}) == Adopted(1, 0)


async def test_slot_that_never_settles_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = await stopped()

    async def refused(_slot: int, _what: object) -> Outcome:
        return Outcome.FENCED

    monkeypatch.setattr(desk.store, "commit", refused)
    with pytest.raises(AdoptFailed, match="slot 0 changes hands"):
        await set_back(desk.store, DEALS, {0: 0})


async def test_topic_that_no_number_is_made_of_is_refused() -> None:
    with pytest.raises(AdoptFailed, match=r"sales\.deals, "):
        await adopt(Settings(), "sales.alerts")
