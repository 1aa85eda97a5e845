"""The bitmaps of a Salesforce change event in, the names of the fields they mean out. Pure.

The Pub/Sub API names the fields of a change by their places in the event's Avro schema: "0x1A" by the bits
of the number, the lowest for the first field; "4-0x3" the parts of the fifth, which is a compound.
"""

import re
from collections.abc import Sequence
from typing import Final

from streams.events import Reason
from streams.gateway.model import AvroField, Unreadable

_HEADER: Final = "ChangeEventHeader"
_LISTS: Final = ("changedFields", "nulledFields", "diffFields")
_BITMAP: Final = re.compile(r"(?:(\d{1,6})-)?0[xX]([0-9a-fA-F]{1,1024})", re.ASCII)


def with_names(event: object, fields: Sequence[AvroField]) -> object:
    """Put names in the place of the bitmaps of an event's header. Lists that hold names stay as they are."""
    header = event.get(_HEADER) if isinstance(event, dict) else None
    if isinstance(header, dict):
        for name in _LISTS:
            if isinstance(said := header.get(name), list):
                header[name] = [one for part in said for one in _names(part, name, fields)]
    return event


def _names(part: object, name: str, fields: Sequence[AvroField]) -> Sequence[object]:
    bitmap = _BITMAP.fullmatch(part) if isinstance(part, str) else None
    if bitmap is None:
        return [part]
    try:
        if bitmap[1] is None:
            return _chosen(bitmap[2], [field for field, _parts in fields])
        parent, parts = fields[int(bitmap[1])]
        return [f"{parent}.{one}" for one in _chosen(bitmap[2], parts)]
    except IndexError:
        raise Unreadable(Reason.MALFORMED, f"{name} means fields that the event's schema lacks") from None


def _chosen(digits: str, names: Sequence[str]) -> list[str]:
    bits = int(digits, 16)
    return [names[place] for place in range(bits.bit_length()) if bits >> place & 1]
