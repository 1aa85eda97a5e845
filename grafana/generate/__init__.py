"""The KPI catalogue in, Grafana's dashboards out: `python -m grafana.generate`. Not in the wheel."""
