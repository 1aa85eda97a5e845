"""Groups of rules and Alertmanager's tree in, the texts of their files out. Writes nothing."""

from collections.abc import Mapping
from typing import Final

import yaml

from metrics.alerts.business import business_group
from metrics.alerts.conversion import conversion_group
from metrics.alerts.pipeline import pipeline_group
from metrics.alerts.plan import AlertPlan
from metrics.alerts.routes import Delivery, FloorHours, alertmanager_tree
from metrics.alerts.rules import Yaml

_WIDTH: Final = 110
_HEAD: Final = (
    "# Made by `salesfloor alerts {command}` from the [alerts] settings; change those and run it again.\n"
)


class _Block(yaml.SafeDumper):
    """Texts of several lines as blocks, lists indented below their key, no anchors."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, indentless=False)

    def ignore_aliases(self, data: object) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Block.add_representer(str, _text)


def rule_files(plan: AlertPlan) -> dict[str, str]:
    """Return file name -> text of every rule file; one group each."""
    groups = {
        "conversion.yml": conversion_group(plan),
        "business.yml": business_group(plan),
        "pipeline.yml": pipeline_group(plan),
    }
    return {
        name: as_text({"groups": [group.as_yaml()]}, command="rules")
        for name, group in groups.items()
        if group.rules
    }


def as_text(tree: Mapping[str, object] | Yaml, *, command: str) -> str:
    body: str = yaml.dump(
        dict(tree), Dumper=_Block, sort_keys=False, allow_unicode=True, width=_WIDTH, default_flow_style=False
    )
    return _HEAD.format(command=command) + body


def alertmanager_file(plan: AlertPlan, delivery: Delivery, hours: FloorHours) -> str:
    return as_text(alertmanager_tree(plan, delivery, hours), command="alertmanager")
