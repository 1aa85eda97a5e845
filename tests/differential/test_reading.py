"""Any bytes: what the product decodes is what the oracle reads, field by field, and both refuse the same."""

from collections.abc import Sequence
from itertools import islice
from typing import Any

import pytest
from msgspec import UNSET, Struct

from oracle.reading import KIND_OF_TOPIC, Refusal, Told, read
from oracle.records import meaning
from streams.decode import decode
from streams.events import EntityKind, Event, ReferenceChanges
from tests.poisoned import Poisoned, poisoned
from tests.strength import amount

NOT_COUNTED = {"disqualified_at_ms"}
"""No number is made of it, and the oracle does not know it."""
OTHER_NAMES = {"expected_close_on": "expected_close_on", "from": "from_on", "to": "to_on"}
TIMES = {"active_from", "churned_at"}


def read_by_the_oracle(record: Poisoned) -> Told | None:
    try:
        return read(record.topic, record.value, record.headers)  # type: ignore[arg-type]
    except Refusal:
        return None


def decoded(record: Poisoned) -> Event | None:
    kind = EntityKind(KIND_OF_TOPIC[record.topic])
    found = decode(record.value, record.headers, kind=kind)  # type: ignore[arg-type]
    return found if isinstance(found, Event) else None


def written(event: Event) -> dict[str, Any]:
    held: Struct = event.changes.record if isinstance(event.changes, ReferenceChanges) else event.changes
    values = {name: getattr(held, name) for name in held.__struct_fields__}
    return {name: value for name, value in values.items() if value is not UNSET and name not in NOT_COUNTED}


def meant(kind: str, told: Told) -> dict[str, Any]:
    data, time_ms = told["data"], told["time"]
    assert isinstance(data, dict)
    assert isinstance(time_ms, int)
    if kind == "reference":
        return data
    fields = {name: value for name, value in data.items() if name != f"{kind}_id"}
    found = meaning(kind, str(told["type"]).rpartition(".")[2], fields, time_ms)
    return {_name(name): tuple(value) if isinstance(value, list) else value for name, value in found.items()}


def _name(name: str) -> str:
    is_time = name.endswith("_at") or name in TIMES
    return f"{name}_ms" if is_time else OTHER_NAMES.get(name, name)


def differing(kind: str, product: dict[str, Any], oracle: dict[str, Any]) -> Sequence[str]:
    names = oracle.keys() if kind == "reference" else product.keys() | oracle.keys()
    return [
        f"{name}: {product.get(name, 'absent')!r}, the oracle {oracle.get(name, 'absent')!r}"
        for name in sorted(names)
        if str(product.get(name, "absent")) != str(oracle.get(name, "absent"))
    ]


@pytest.mark.parametrize("seed", range(4))
def test_any_record_is_read_alike_or_refused_by_both(seed: int) -> None:
    counted = 0
    for record in islice(poisoned(seed), amount(2_500, long=50_000)):
        event, told = decoded(record), read_by_the_oracle(record)
        assert (event is None) == (told is None), f"{record}: {event}, the oracle: {told}"
        if event is None or told is None:
            continue
        counted += 1
        assert (event.time_ms, event.event_id) == (told["time"], told["id"]), record
        kind = KIND_OF_TOPIC[record.topic]
        assert not differing(kind, written(event), meant(kind, told)), record
    assert counted > 300
