"""The queue of records to be fetched: each once, in batches of a kind, within the limit, and not for ever."""

from streams.events import EntityKind
from streams.gateway.fetch_queue import FetchQueue, Pace, Turnstile, batch_of, wait_seconds
from streams.gateway.fetchers.model import Limit
from streams.gateway.model import Thin, ThinOp

PACE = Pace(linger=1.0, first=2.0, last=60.0, give_up=100.0, waiting_max=5)


def thin(one: str, op: ThinOp = "update", name: str = "deal", time_ms: int = 0) -> Thin:
    return Thin(name, one, op, time_ms, EntityKind.DEAL)


def ids(queue: FetchQueue, now: float) -> list[str]:
    return [wanted.thin.entity_id for wanted in queue.take(now)]


def test_record_told_of_twice_is_fetched_once_as_the_newest_says() -> None:
    queue = FetchQueue(PACE, 100)
    told = [thin("1", "create", time_ms=5), thin("1", "delete", time_ms=9), thin("1", time_ms=7)]
    assert all(queue.put(one, 0.0) for one in told)
    assert [(one.thin.op, one.deleted) for one in queue.take(1.0)] == [("delete", True)]
    assert len(queue) == 0


def test_batch_is_of_one_kind_and_waits_for_more_of_it() -> None:
    queue = FetchQueue(PACE, 2)
    for one in (thin("1"), thin("c", name="call"), thin("2", "delete"), thin("3"), thin("4")):
        queue.put(one, 0.0)
    assert ids(queue, 0.9) == []
    assert queue.next_due() == 1.0
    assert [ids(queue, 1.0) for _ in range(5)] == [["1", "3"], ["c"], ["2"], ["4"], []]


def test_full_queue_takes_no_more_but_what_it_knows() -> None:
    queue = FetchQueue(PACE, 100)
    assert [queue.put(thin(str(one)), 0.0) for one in range(6)] == [True] * 5 + [False]
    assert queue.put(thin("0", time_ms=1), 0.0)


def test_failed_record_waits_longer_each_time_until_it_is_given_up() -> None:
    queue = FetchQueue(PACE, 100)
    queue.put(thin("1"), 0.0)
    now, waits = 1.0, []
    while wanted := queue.take(now):
        if not queue.back(wanted[0], now, draw=lambda: 1.0):
            break
        due = queue.next_due()
        assert due is not None
        waits.append(due - now)
        now = due
    assert waits == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0]
    assert len(queue) == 0


def test_waits_are_spread_and_bounded_however_often_it_failed() -> None:
    assert [wait_seconds(1, PACE, lambda: 0.0), wait_seconds(1, PACE, lambda: 1.0)] == [1.0, 2.0]
    assert wait_seconds(10_000, PACE, lambda: 1.0) == PACE.last


def test_failed_record_does_not_hide_what_was_told_of_it_meanwhile() -> None:
    queue = FetchQueue(PACE, 100)
    queue.put(thin("1"), 0.0)
    [wanted] = queue.take(1.0)
    queue.put(thin("1", "delete", time_ms=9), 1.0)
    assert queue.back(wanted, 1.0)
    assert batch_of(queue.take(2.0)) == ("deal", ["1"], True)


def test_record_that_spoiled_a_batch_is_asked_for_alone() -> None:
    queue = FetchQueue(PACE, 100)
    for one in ("1", "2", "3"):
        queue.put(thin(one), 0.0)
    for wanted in queue.take(1.0)[:2]:
        wanted.alone = True
        queue.back(wanted, 1.0)
    queue.put(thin("4"), 1.0)
    queue.put(thin("5"), 1.0)
    assert [ids(queue, 99.0) for _ in range(4)] == [["1"], ["2"], ["4", "5"], []]


def test_no_stretch_of_time_sees_more_requests_than_the_limit() -> None:
    turnstile, now, passed = Turnstile(Limit(requests=100, seconds=10.0), 0.0), 0.0, []
    for number in range(500):
        now += turnstile.pass_at(now)
        passed.append(now)
        if number == 250:
            now += 30.0  # a rest gives no more than one fifth back
    busiest = max(sum(start <= at < start + 10.0 for at in passed) for start in passed)
    assert 95 <= busiest <= 100, busiest
    assert passed[19] == 0.0, "a fifth may be used at once"
    assert passed[20] > 0.0
