"""Moves records: Kafka, Redis, offsets, ownership, doors. May import `metrics`; never the reverse."""
