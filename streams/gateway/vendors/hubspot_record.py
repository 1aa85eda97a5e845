"""One HubSpot record, taken apart: what all its readers share. A leaf; pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from streams.events import EntityKind
from streams.gateway.model import Canonical, Form, Source


@dataclass(frozen=True, slots=True)
class HubSpotRecord:
    name: str
    kind: EntityKind
    entity_id: str
    time_ms: int
    """Of the record's last change."""
    properties: Mapping[str, str]
    associated: Mapping[str, str]
    """Plural name of the other kind -> id, "" for none; what was not asked for is absent."""
    created: str
    account: str

    def dedup(self, *more: str, time_ms: int | None = None) -> tuple[str, ...]:
        return (self.name, self.entity_id, str(self.time_ms if time_ms is None else time_ms), *more)

    def event(
        self,
        action: str,
        form: Form,
        data: Mapping[str, object],
        *dedup: str,
        time_ms: int | None = None,
    ) -> Canonical:
        at_ms = self.time_ms if time_ms is None else time_ms
        return Canonical(
            f"sales.{self.kind}.{action}",
            self.entity_id,
            at_ms,
            data,
            self.dedup("record", *dedup, time_ms=at_ms),
            form,
            self.account,
        )

    def whose(self, source: Source) -> dict[str, object]:
        """Return the fields of an activity that say whom it concerns."""
        data: dict[str, object] = {}
        for name, field in (("deals", "deal_id"), ("contacts", "lead_id"), ("companies", "account_id")):
            if name in self.associated and not (
                name == "contacts" and source.options["lead_object"] != "contact"
            ):
                data[field] = self.associated[name] or None
        if (owner := self.properties.get("hubspot_owner_id")) is not None:
            data["rep_id"] = source.rep(owner) if owner else None
        return data
