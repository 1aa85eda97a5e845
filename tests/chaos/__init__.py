"""Real faults on real parts: Kafka, Redis and salesfloor's own processes, broken on purpose, then judged."""
