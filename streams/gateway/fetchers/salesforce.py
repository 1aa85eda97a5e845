"""Ids of Salesforce records in, the requests that read them out: 25 at once, each as REST gives it.

Each record is read whole, for which fields an organisation has, and lets the token see, is its own. Pure.
"""

import re
from typing import Final

from streams.events import Reason
from streams.gateway.fetchers.model import Batch, Call, Fetcher, Limit, Read
from streams.gateway.model import Source, Unreadable
from streams.gateway.reading import as_object, list_at, text_at

_VERSION: Final = "v62.0"
_ID: Final = re.compile(r"[0-9A-Za-z]{15,18}")


def read(batch: Batch, source: Source) -> Read:
    """Read the records by one composite batch, whose answers stand in the order of what was asked."""
    ids = [one for one in batch.ids if _ID.fullmatch(one)]
    if not ids:
        return {}
    parts = [{"method": "GET", "url": f"{_VERSION}/sobjects/{batch.object}/{one}"} for one in ids]
    reply = yield Call("POST", f"/services/data/{_VERSION}/composite/batch", {"batchRequests": parts})
    results = [as_object(one, "a result") for one in list_at(as_object(reply.body, "the answer"), "results")]
    if len(results) != len(ids):
        raise Unreadable(Reason.MALFORMED, "the answer has another number of results than was asked for")
    pairs = zip(ids, results, strict=True)
    return {one: result["result"] for one, result in pairs if text_at(result, "statusCode") == "200"}


FETCHER: Final = Fetcher(
    read=read,
    batch_max=25,
    # There is no limit per second, but a day's allowance, of which each record takes one: five batches a
    # second are enough, and leave the rest of it to others for longer.
    limit=Limit(requests=50, seconds=10.0),
    exhausted=b"REQUEST_LIMIT_EXCEEDED",
)
