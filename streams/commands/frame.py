"""What all commands share: the settings options, and errors as one clear line with the right exit code.

A user's mistake (arguments, settings) ends with 2, a failure with 1, Ctrl-C with 130. A traceback is shown
with `--debug` only.
"""

import functools
import logging
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from streams.settings import Settings

FAILED: Final = 1
MISUSED: Final = 2
INTERRUPTED: Final = 130


class Failed(click.ClickException):
    """The command could not do its work. The message is all a user needs."""

    exit_code = FAILED


def kafka_away(bootstrap: str, error: BaseException) -> Failed:
    """Return what to raise when no broker at these addresses answers."""
    from streams.kafka_client import meaning_of

    return Failed(
        f"Kafka at {bootstrap} does not answer ({meaning_of(error)}); start it, or name another with "
        "--kafka HOST:PORT"
    )


class _Debug:
    wanted = False


def _set_debug(_context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    _Debug.wanted = _Debug.wanted or wanted


debug_option = click.option(
    "--debug",
    is_flag=True,
    expose_value=False,
    callback=_set_debug,
    help="Show where an error came from, and log more.",
)


def debugging() -> bool:
    return _Debug.wanted


@dataclass(frozen=True, slots=True)
class Load:
    """Reads the settings: file, environment, the options every command has, then a command's own."""

    config: Path | None
    kafka: str | None
    redis: str | None

    def __call__(self, **overrides: Any) -> "Settings":
        from streams.settings import load_settings

        addresses = {"kafka": {"bootstrap": self.kafka}, "redis": {"url": self.redis}}
        return load_settings(self.config, {**addresses, **overrides})


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options every command has; the command gets a `Load` to read the settings with."""

    @functools.wraps(command)
    def wrapped(config: Path | None, kafka: str | None, redis: str | None, **options: Any) -> None:
        command(Load(config, kafka, redis), **options)

    config_file = click.Path(path_type=Path, dir_okay=False)
    options = (
        click.option("--config", type=config_file, help="Settings file; ./salesfloor.toml if there is one."),
        click.option("--kafka", metavar="HOST:PORT", help="Kafka's address (or SALESFLOOR_KAFKA)."),
        click.option("--redis", metavar="URL", help="Redis' address (or SALESFLOOR_REDIS)."),
        debug_option,
    )
    for option in reversed(options):
        wrapped = option(wrapped)
    return wrapped


def example(text: str) -> dict[str, str]:
    """Return the part of a command's help that shows how it is used, one line each, not refilled."""
    return {"epilog": "\b\nExamples:\n" + "\n".join(f"  {line}" for line in text.strip().splitlines())}


def run(group: click.Group, arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code after printing at most one error."""
    _Debug.wanted = False
    # What the Kafka client says while it fails is said again, better, by the error that ends the command.
    logging.getLogger("aiokafka").addHandler(logging.NullHandler())
    try:
        code = group.main(arguments, prog_name="salesfloor", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        # Who read our output (`| head`) has gone; Python must not complain again when it closes it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001 - the last line of defence: no traceback reaches a user unasked
        return _say(error)
    return code if isinstance(code, int) else 0


def _say(error: Exception) -> int:
    if debugging():
        traceback.print_exception(error)
    code, known = _fate_of(error)
    text = str(error) or type(error).__name__
    if not known:
        text = f"unexpected {type(error).__name__}: {text} (--debug shows where)"
    click.echo(f"Error: {text}", err=True)
    return code


def _fate_of(error: Exception) -> tuple[int, bool]:
    """Return the exit code, and whether the error's own message is written for people."""
    from aiokafka.errors import KafkaError

    from metrics.formula import FormulaError
    from streams.admin import TopicsError
    from streams.columns import ColumnMapError
    from streams.embedded import EmbeddedError
    from streams.publish import PublishError
    from streams.publish_input import InputError
    from streams.roles import RoleFailed
    from streams.serving import CannotListen
    from streams.settings import SettingsError
    from streams.stores.base import StoreMisconfigured, StoreUnavailable

    if isinstance(error, SettingsError | FormulaError | ColumnMapError | InputError):
        return MISUSED, True
    if isinstance(error, CannotListen | EmbeddedError | PublishError | RoleFailed | TopicsError):
        return FAILED, True
    if isinstance(error, StoreMisconfigured):
        return FAILED, True
    return FAILED, isinstance(error, StoreUnavailable | KafkaError)
