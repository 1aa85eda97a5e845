"""Addresses of Redis: one server or sentinels; what is shown holds no secret, what is wrong is named."""

import pytest

from streams.redis_address import Sentinels, address_of, hosts_of, sentinels_of

FULL = "redis+sentinel://u:p%40s@a:1,b,[::1]:3/my%20floor/2?ssl_ca_certs=ca.pem&sentinel_password=q"


def test_a_sentinel_address_says_whom_to_ask_for_whom_and_how_to_get_in() -> None:
    assert sentinels_of(FULL) == Sentinels(
        (("a", 1), ("b", 26379), ("::1", 3)),
        "my floor",
        "redis://u:p%40s@sentinel/2?ssl_ca_certs=ca.pem",
        {"password": "q"},
    )
    tls = sentinels_of("rediss+sentinel://a/m")
    assert tls is not None
    assert tls.server_url == "rediss://sentinel/0"


@pytest.mark.parametrize("url", ["redis://a:1/0", "rediss://a", "unix:///a.sock"])
def test_another_address_names_no_sentinels(url: str) -> None:
    assert sentinels_of(url) is None


@pytest.mark.parametrize(
    ("url", "fix"),
    [
        ("redis+sentinel://a:1", "name the master"),
        ("redis+sentinel://a:1/", "name the master"),
        ("redis+sentinel://a:1,/m", "not every sentinel is host:port"),
        ("redis+sentinel://a:1/m/first", "no number of a database"),
        ("redis+sentinel://a:x/m", "not every sentinel is host:port"),
    ],
)
def test_a_wrong_sentinel_address_is_named_with_its_fix(url: str, fix: str) -> None:
    with pytest.raises(ValueError, match=fix):
        sentinels_of(url)


def test_what_is_wrong_with_an_address_repeats_no_part_of_a_password() -> None:
    with pytest.raises(ValueError, match="%2F for /") as error:
        sentinels_of("redis+sentinel://u:hun/ter2@a:1/m")
    assert "hun" not in str(error.value)


@pytest.mark.parametrize(
    ("url", "shown", "hosts"),
    [
        (FULL, "redis+sentinel://a:1,b,[::1]:3/my%20floor/2", ("a", "b", "::1")),
        ("redis://u:p@a/1?x=y", "redis://a:6379/1", ("a",)),
        ("unix://u:p@/a.sock?db=1", "unix:///a.sock", ()),
        ("redis://a:x/0", "redis://a", ("a",)),
    ],
)
def test_what_is_shown_of_an_address_holds_no_secret(url: str, shown: str, hosts: tuple[str, ...]) -> None:
    assert (address_of(url), hosts_of(url)) == (shown, hosts)
