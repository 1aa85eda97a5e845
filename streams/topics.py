"""Topic names and what lives on them. A leaf: names only, no I/O."""

from streams.events import EntityKind

DEALS = "sales.deals"
LEADS = "sales.leads"
ACTIVITIES = "sales.activities"
DEAD_LETTERS = "sales.dead-letters"

SOURCES: tuple[str, ...] = (DEALS, LEADS, ACTIVITIES)
"""The co-partitioned source topics: partition p of all three forms slot p."""

TOPIC_OF_KIND: dict[EntityKind, str] = {
    EntityKind.DEAL: DEALS,
    EntityKind.LEAD: LEADS,
    EntityKind.ACTIVITY: ACTIVITIES,
}
KIND_OF_TOPIC: dict[str, EntityKind] = {topic: kind for kind, topic in TOPIC_OF_KIND.items()}
