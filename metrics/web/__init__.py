"""The HTTP faces of the numbers: /metrics, the JSON API and the status page."""
