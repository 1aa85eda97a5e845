"""The second opinion: every number computed the slow, obvious way, from raw records alone.

Written from the sentences that define the numbers. It imports nothing of `streams` or `metrics`, nor a
library that they count with, so that an error there is not repeated here: `make lint` proves it. The tests
hold the product to it, and `salesfloor verify` holds a running system to it.
"""
