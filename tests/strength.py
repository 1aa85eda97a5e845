"""How much a run tries: with SALESFLOOR_TEST_LONG=1 seeded and generated tests take their long form.

The ordinary form runs with every change; the long one, `make test-long`, is for the night and for a release.
"""

import os
from typing import Final

LONG: Final = os.environ.get("SALESFLOOR_TEST_LONG", "") not in ("", "0")


def amount(ordinary: int, *, long: int) -> int:
    """Return how many seeds or examples a test takes in this run."""
    return long if LONG else ordinary
