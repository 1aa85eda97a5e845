"""The kinds of sources there are. A vendor is one pure module with a `VENDOR`, and a line here."""

from typing import Final

from streams.gateway.model import Vendor
from streams.gateway.vendors import cloudevents, generic, hubspot, pipedrive, salesforce, standard_webhooks

VENDORS: Final[dict[str, Vendor]] = {
    vendor.kind: vendor
    for vendor in (
        cloudevents.VENDOR,
        generic.VENDOR,
        hubspot.VENDOR,
        pipedrive.VENDOR,
        salesforce.VENDOR,
        standard_webhooks.VENDOR,
    )
}  # fmt: skip
