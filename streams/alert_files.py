"""Settings in, the texts of Prometheus' rule files and of Alertmanager's configuration out. Writes nothing.

Refuses settings under which a rule would ask for a gauge that the metrics role does not export.
"""

from metrics.alerts.files import alertmanager_file, rule_files
from metrics.alerts.routes import FloorHours
from metrics.conversion_counts import built_in_funnels
from streams.settings import Settings, snapshot_config_of
from streams.settings_alerts import check_alerts
from streams.settings_rules import fold_rules

ALERTMANAGER = "alertmanager.yml"


def rules_of(settings: Settings) -> dict[str, str]:
    """Return `rules/<name>.yml` -> text. `SettingsError` when a rule would never see its numbers."""
    plan, config = settings.alerts.as_plan(settings.clock), snapshot_config_of(settings)
    own = [funnel.name for funnel in settings.funnels]
    check_alerts(plan, config, (*(funnel.name for funnel in built_in_funnels(config.catalogue)), *own))
    return {f"rules/{name}": text for name, text in rule_files(plan).items()}


def alertmanager_of(settings: Settings) -> dict[str, str]:
    floor, hours = settings.floor, fold_rules(settings).joins.hours
    open_days = {str(day): hours[day] for day in floor.business_days}
    when = FloorHours(floor.zone, open_days, floor.holidays)
    plan = settings.alerts.as_plan(settings.clock)
    return {ALERTMANAGER: alertmanager_file(plan, settings.alerts.as_delivery(), when)}
