"""Ids of Zoho CRM records in, the requests that read them out: one each, whole. Pure.

Read whole, for which fields a module has is each organisation's own, and a list of names must fit exactly.
"""

from typing import Final
from urllib.parse import quote

from streams.gateway.fetchers.model import Batch, Call, Fetcher, Limit, Read
from streams.gateway.model import Source


def read(batch: Batch, source: Source) -> Read:
    """Read the records one after the other; one that is not there is answered with nothing (204) or 404."""
    records: dict[str, object] = {}
    for one in batch.ids:
        path = f"/crm/v8/{quote(batch.object, safe='')}/{quote(one, safe='')}"
        reply = yield Call("GET", path, also=frozenset({404}))
        if reply.status == 200 and reply.body is not None:
            records[one] = reply.body
    return records


FETCHER: Final = Fetcher(
    read=read,
    batch_max=1,
    # There is no limit per second, but a number of calls at a time and a day's credits: five a second, one
    # after the other, stay far below the former.
    limit=Limit(requests=50, seconds=10.0),
    base_url="https://www.zohoapis.com",
    scheme="Zoho-oauthtoken",
)
