"""The vendors whose records can be read back: kind of source -> its API. A line here for each."""

from typing import Final

from streams.gateway.fetchers import hubspot, salesforce, zoho
from streams.gateway.fetchers.model import Fetcher

FETCHERS: Final[dict[str, Fetcher]] = {
    "hubspot": hubspot.FETCHER,
    "salesforce": salesforce.FETCHER,
    "zoho": zoho.FETCHER,
}
