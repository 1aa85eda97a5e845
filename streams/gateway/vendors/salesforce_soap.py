"""The SOAP envelope of a Salesforce Outbound Message in, its notifications as plain values out. Pure.

The XML comes from a stranger: a document type is refused, no entity is expanded, nobody is called. Of the
envelope's other parts only the organisation is read; its SessionId is a credential and is left alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from lxml import etree

from streams.gateway.model import Malformed

_SOAP: Final = "{http://schemas.xmlsoap.org/soap/envelope/}"
_OUTBOUND: Final = "{http://soap.sforce.com/2005/09/outbound}"
_INSTANCE: Final = "{http://www.w3.org/2001/XMLSchema-instance}"
_FIELDS: Final = ("{urn:sobject.enterprise.soap.sforce.com}", "{urn:sobject.partner.soap.sforce.com}")

ACKNOWLEDGED: Final = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n'
    b'<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body>'
    b'<notificationsResponse xmlns="http://soap.sforce.com/2005/09/outbound"><Ack>true</Ack>'
    b"</notificationsResponse></soapenv:Body></soapenv:Envelope>\n"
)
"""One for the whole envelope; without it Salesforce sends the envelope again."""


@dataclass(frozen=True, slots=True)
class Notification:
    id: str
    name: str
    values: dict[str, object]
    """Field -> its text, None for xsi:nil; the part of a compound field as "MailingAddress.City"."""


@dataclass(frozen=True, slots=True)
class Message:
    organisation: str
    notifications: Sequence[Notification]


def message_of(body: bytes) -> Message:
    """Read an envelope; raise `Malformed` for anything that is not one."""
    root = _parsed(body)
    found = root.find(f"{_SOAP}Body/{_OUTBOUND}notifications") if root.tag == f"{_SOAP}Envelope" else None
    if found is None:
        raise Malformed("the body is not the SOAP envelope of an outbound message")
    organisation = (found.findtext(f"{_OUTBOUND}OrganizationId") or "").strip()
    return Message(organisation, [_notification(one) for one in found.iterfind(f"{_OUTBOUND}Notification")])


def _parsed(body: bytes) -> etree._Element:
    # The parser is told to read UTF-8 whatever the body declares, so this finds every document type.
    if b"<!DOCTYPE" in body:
        raise Malformed("the body has a document type, which is not read")
    parser = etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        return etree.fromstring(body, parser)
    except etree.XMLSyntaxError as error:
        raise Malformed(f"the body is not XML in UTF-8: line {error.lineno}") from None


def _notification(found: etree._Element) -> Notification:
    record = found.find(f"{_OUTBOUND}sObject")
    values: dict[str, object] = {}
    kind = ""
    if record is not None:
        kind = record.get(f"{_INSTANCE}type", "").rpartition(":")[2]
        for field in record:
            if name := _name(field):
                values |= _values(name, field)
    return Notification((found.findtext(f"{_OUTBOUND}Id") or "").strip(), kind, values)


def _values(name: str, field: etree._Element) -> dict[str, object]:
    if len(field):
        return {f"{name}.{_name(part)}": _text(part) for part in field if _name(part)}
    return {name: _text(field)}


def _name(element: etree._Element) -> str:
    namespace, brace, name = str(element.tag).partition("}")
    return name if f"{namespace}{brace}" in _FIELDS else ""


def _text(element: etree._Element) -> str | None:
    return None if element.get(f"{_INSTANCE}nil") in ("true", "1") else element.text or ""
