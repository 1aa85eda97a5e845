"""Ports for programs that a test starts later: nobody gets one of them by chance meanwhile.

A port that the system gave out and that was let go may go to the next who asks, before the program that was
meant to have it listens. These lie below what systems give out, and each test process has its own; two runs
at once on one machine begin at different ones.
"""

import itertools
import os
import socket
from collections.abc import Iterator
from typing import Final

_FIRST: Final = 20_000
_EACH: Final = 1_000
_PROCESS: Final = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 12
_OWN: Final = range(_FIRST + _PROCESS * _EACH, _FIRST + (_PROCESS + 1) * _EACH)
_BEGIN: Final = os.getpid() * 37 % _EACH
_candidates: Final[Iterator[int]] = itertools.cycle((*_OWN[_BEGIN:], *_OWN[:_BEGIN]))


def free_port() -> int:
    for _ in range(_EACH):
        port = next(_candidates)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError(f"none of {_EACH} ports from {_FIRST + _PROCESS * _EACH} on is free")


def free_ports(count: int) -> list[int]:
    return [free_port() for _ in range(count)]
