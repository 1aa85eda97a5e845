"""Topic names and what lives on them. A leaf: names only, no I/O."""

from streams.events import EntityKind

DEALS = "sales.deals"
LEADS = "sales.leads"
ACTIVITIES = "sales.activities"
ACCOUNTS = "sales.accounts"
FEEDBACK = "sales.feedback"
SPEND = "sales.spend"
REFERENCE = "sales.reference"
DEAD_LETTERS = "sales.dead-letters"
ALERTS = "sales.alerts"
INCOMPLETE = "sales.incomplete"
"""Records of a CRM that are known by their id only: a key each, without a value once it is known."""

TOPIC_OF_KIND: dict[EntityKind, str] = {
    EntityKind.DEAL: DEALS,
    EntityKind.LEAD: LEADS,
    EntityKind.ACTIVITY: ACTIVITIES,
    EntityKind.ACCOUNT: ACCOUNTS,
    EntityKind.FEEDBACK: FEEDBACK,
    EntityKind.SPEND: SPEND,
    EntityKind.REFERENCE: REFERENCE,
}
KIND_OF_TOPIC: dict[str, EntityKind] = {topic: kind for kind, topic in TOPIC_OF_KIND.items()}

SOURCES: tuple[str, ...] = tuple(TOPIC_OF_KIND.values())
"""The co-partitioned source topics: partition p of all of them forms slot p."""

TOLD: tuple[str, ...] = (DEAD_LETTERS, ALERTS, INCOMPLETE)
"""What salesfloor itself writes for others to read; no number is made of it."""

COMPACTED: tuple[str, ...] = (REFERENCE,)
"""Topics that keep the newest record of each key for ever."""
