"""The kinds of sources there are. A vendor is one pure module with a `VENDOR`, and a line here."""

from typing import Final

from streams.gateway.model import Vendor
from streams.gateway.vendors import (
    cloudevents,
    dynamics,
    generic,
    hubspot,
    mapped,
    pipedrive,
    salesforce,
    standard_webhooks,
    twilio,
    typeform,
    zoho,
)

VENDORS: Final[dict[str, Vendor]] = {
    vendor.kind: vendor
    for vendor in (
        cloudevents.VENDOR,
        dynamics.VENDOR,
        generic.VENDOR,
        hubspot.VENDOR,
        mapped.AIRCALL,
        mapped.CLOSE,
        mapped.DELIGHTED,
        mapped.FRESHSALES,
        pipedrive.VENDOR,
        salesforce.VENDOR,
        standard_webhooks.VENDOR,
        twilio.VENDOR,
        typeform.VENDOR,
        zoho.VENDOR,
    )
}  # fmt: skip
