"""Who asks too often waits, for as long as it is told, and nobody else does."""

import pytest

from streams import limits
from streams.limits import BURST_SECONDS, Rate, asker_of, whole_seconds


class Clock:
    seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def taken(rate: Rate, asker: str, times: int) -> int:
    return sum(not rate.take(asker) for _ in range(times))


def test_a_burst_is_allowed_and_then_so_many_a_second() -> None:
    clock = Clock()
    rate = Rate(2.0, clock)
    assert taken(rate, "a", 100) == 2 * BURST_SECONDS
    clock.seconds += 3.0
    assert taken(rate, "a", 100) == 6


def test_who_waits_as_long_as_told_may_go_on() -> None:
    clock = Clock()
    rate = Rate(0.5, clock)
    taken(rate, "a", 100)
    wait = rate.take("a")
    assert wait > 0
    clock.seconds += wait
    assert rate.take("a") == 0


def test_one_asker_takes_nothing_from_another() -> None:
    rate = Rate(1.0, Clock())
    taken(rate, "a", 100)
    assert rate.take("b") == 0


def test_a_refusal_costs_more_than_an_answer() -> None:
    rate = Rate(1.0, Clock())
    rate.take("a", 9.0)
    assert taken(rate, "a", 100) == 1


def test_no_rate_is_no_limit() -> None:
    assert taken(Rate(0, Clock()), "a", 10_000) == 10_000


def test_askers_remembered_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "KEPT_MAX", 3)
    rate = Rate(1.0, Clock())
    for number in range(100):
        rate.take(str(number))
    assert len(rate._left) == 3


@pytest.mark.parametrize(
    ("address", "asker"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        (None, ""),
        ("/run/door.sock", "/run/door.sock"),
    ],
)
def test_who_has_half_of_an_ipv6_address_is_one_asker(address: str | None, asker: str) -> None:
    assert asker_of(address) == asker


def test_a_wait_is_told_in_whole_seconds_and_never_as_none() -> None:
    assert [whole_seconds(each) for each in (0.001, 1.0, 1.2)] == ["1", "1", "2"]
