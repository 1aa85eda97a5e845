"""`alerts`: settings in, files for Prometheus and Alertmanager out; their own tools check them."""

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Literal

import click

from streams.alert_files import ALERTMANAGER, alertmanager_of, rules_of
from streams.commands.files import written
from streams.commands.frame import Failed
from streams.settings import Settings

What = Literal["rules", "alertmanager", "check"]
_TOOL_SECONDS = 60


def alerts(settings: Settings, what: What, output: Path | None) -> None:
    if what == "check":
        _check({**rules_of(settings), **alertmanager_of(settings)})
        return
    files = rules_of(settings) if what == "rules" else alertmanager_of(settings)
    if output is None:
        click.echo(_printed(files), nl=False)
        return
    for path in written(files, output):
        click.echo(f"wrote {path}")


def _printed(files: dict[str, str]) -> str:
    """Return all files as one: each is a list of groups below the same key."""
    first, *others = files.values()
    bodies = [text.split("groups:\n", 1)[1] for text in others]
    return first + "".join(bodies)


def _check(files: dict[str, str]) -> None:
    """Let promtool and amtool judge the files; say which of them is not there."""
    with tempfile.TemporaryDirectory(prefix="salesfloor-alerts-") as temporary:
        paths = written(files, Path(temporary))
        rules = [path for path in paths if path.name != ALERTMANAGER]
        _run("promtool", "check", "rules", *rules)
        _run("amtool", "check-config", *(path for path in paths if path.name == ALERTMANAGER))


def _run(tool: str, *arguments: str | Path) -> None:
    program = shutil.which(tool)
    if program is None:
        raise Failed(f"{tool} is not on the PATH; it comes with Prometheus and Alertmanager")
    done = subprocess.run(  # noqa: S603 - the tool found on the PATH, with files of our own
        [program, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=_TOOL_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise Failed(f"{tool} refuses what these settings make:\n{done.stdout}{done.stderr}")
    click.echo(f"{tool}: {'rules' if tool == 'promtool' else 'routes'} are right")
