"""Alert thresholds and the floor's hours in, Prometheus' rules and Alertmanager's routes out. Pure."""
