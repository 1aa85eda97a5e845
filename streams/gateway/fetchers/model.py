"""What the fetcher and a vendor's request builder say to each other. Types only; a leaf.

A builder is a generator: it yields one `Call` after the other, is sent the `Reply` to each, and returns the
records it found. It knows the vendor's API and nothing of HTTP clients, waiting or retries.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from streams.gateway.model import Source


class Batch(NamedTuple):
    """Records of one kind that are read together."""

    object: str
    """The vendor's word, as in `Thin.object`."""
    ids: Sequence[str]
    deleted: bool
    """They were deleted: ask for what the vendor keeps of such records."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request, below the API's base address."""

    method: str
    path: str
    """With its query; ids in it are escaped."""
    body: object = None
    """Sent as JSON, unless None."""
    also: frozenset[int] = frozenset()
    """Statuses besides 2xx that are an answer and no failure."""


class Reply(NamedTuple):
    status: int
    body: object
    """Parsed JSON with exact numbers; None where there was no body."""


Read = Generator[Call, Reply, Mapping[str, object]]
"""Returns the records by id as `Vendor.record` reads them; who is not in it was not found. May raise
`Unreadable` for an answer of an unknown shape."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """The vendor allows so many requests in any so many seconds."""

    requests: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetcher:
    """All there is to know of one vendor's API."""

    read: Callable[[Batch, Source], Read]
    batch_max: int
    limit: Limit
    base_url: str = ""
    """ "" where every customer has an address of his own; the source then names it."""
    scheme: str = "Bearer"
    """The word before the token in the Authorization header."""
    reads_deleted: bool = False
    """Whether it can find what the vendor keeps of deleted records."""
    exhausted: bytes = b""
    """What a body of a 403 holds when not the token but the account's allowance of calls is what lacks."""
