"""The built-in catalogue, one module per topic. Definitions only; computes no number."""

from typing import Final

from metrics.catalogue.activities import ACTIVITY_KPIS
from metrics.catalogue.customers import CUSTOMER_KPIS
from metrics.catalogue.leads import LEAD_KPIS
from metrics.catalogue.people import PEOPLE_KPIS
from metrics.catalogue.pipeline import PIPELINE_KPIS
from metrics.catalogue.revenue import REVENUE
from metrics.catalogue.satisfaction import SATISFACTION_KPIS
from metrics.kpi import Catalogue

BUILT_IN: Final = Catalogue(
    (
        *REVENUE, *PIPELINE_KPIS, *LEAD_KPIS, *ACTIVITY_KPIS, *PEOPLE_KPIS, *CUSTOMER_KPIS,
        *SATISFACTION_KPIS,
    )
)  # fmt: skip
