"""Options that several commands have. A leaf of the command line; imports click only."""

from collections.abc import Callable
from typing import Any

import click

CLOCK = click.option(
    "--clock",
    type=click.Choice(["wall", "event"]),
    help="What now is: the wall clock, or the newest event (history, replays).",
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON for a program to read.")


def options(*wanted: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def add(command: Any) -> Any:
        for option in reversed(wanted):
            command = option(command)
        return command

    return add
