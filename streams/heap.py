"""How often Python looks through this process' heap for cycles. Sets it; measures nothing."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

# The heap of a worker, and of who follows its boards, is state that lives on and holds no cycles. Looking
# through it after every 700 new objects, as Python does by default, takes a tenth of the time of a fold, of a
# reader and of a rendering.
GC_THRESHOLDS: Final = (50_000, 20, 10)


def look_seldom() -> None:
    gc.set_threshold(*GC_THRESHOLDS)


@contextmanager
def not_looking() -> Iterator[None]:
    """Make many objects that stay: it would take two fifths of the time to look for cycles among them."""
    was_looking = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_looking:
            gc.enable()
