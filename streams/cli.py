"""The `salesfloor` commands: parse, call, print. No logic; what they do is in `streams.commands`."""

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from streams.cli_options import CLOCK, JSON, options
from streams.cli_publish import incomplete, publish
from streams.commands.frame import Load, debug_option, example, run, with_settings

# Commands import what they need when they run: Faust, Kafka and numpy take longer than `--help` should.

PORT = click.IntRange(0, 65535)
SIMULATION = (
    click.option("--seed", type=int, default=1, show_default=True, help="Another seed, another floor."),
    click.option(
        "--rate",
        type=click.FloatRange(min=0.01, max=1000),
        default=1.0,
        show_default=True,
        help="How much happens on the simulated floor.",
    ),
)
RUNNING = (
    click.option("--metrics-port", type=PORT, help="Port of /metrics, API and status page (8400)."),
    click.option("--gateway-port", type=PORT, help="Port of the events door (8401)."),
    click.option("--worker-port", type=PORT, help="Port of the worker's own metrics (8402)."),
    CLOCK,
    click.option("--no-live", is_flag=True, help="Plain lines instead of the live summary."),
)
EMBEDDED = (
    click.option("--kafka-port", type=PORT, help="Port of the embedded Kafka (9092); 0 picks a free one."),
    click.option("--redis-port", type=PORT, help="Port of the embedded Redis (6379); 0 picks a free one."),
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(version("salesfloor"), prog_name="salesfloor")
def cli() -> None:
    """Live, correct sales KPIs from CRM events on Kafka.

    Start with `salesfloor demo`. Every command reads salesfloor.toml and SALESFLOOR_… variables; every
    command's --help shows an example.
    """


@cli.command(**example("salesfloor demo\nsalesfloor demo --rate 5 --metrics-port 9400"))
@options(*EMBEDDED, *SIMULATION, *RUNNING)
@with_settings
def demo(load: Load, **given: Any) -> None:
    """Show a live floor: embedded Kafka and Redis, and made-up people and deals.

    The same as `run --embedded --simulate`, but a default port that is taken is replaced by a free one.
    Nothing is kept when it ends.
    """
    _run(load, embedded=True, simulate=True, any_port=True, title="salesfloor demo", **given)


@cli.command(
    name="run",
    **example(
        "salesfloor run --kafka broker:9092 --redis redis://cache:6379/0\n"
        "salesfloor run --embedded --clock event --kafka-port 0 --redis-port 0"
    ),
)
@click.option("--embedded", is_flag=True, help="Start a Kafka broker and Redis too, in memory, empty.")
@click.option("--simulate", is_flag=True, help="Write made-up events (needs --embedded).")
@options(*EMBEDDED, *SIMULATION, *RUNNING)
@with_settings
def run_command(load: Load, **given: Any) -> None:
    """Run worker, metrics and gateway in one process until Ctrl-C."""
    _run(load, any_port=False, title="salesfloor", **given)


@cli.command(**example("salesfloor simulate --kafka broker:9092\nsalesfloor simulate --rate 5"))
@options(*SIMULATION)
@with_settings
def simulate(load: Load, **asked: Any) -> None:
    """Write a made-up floor's events to a Kafka of your own, to try an installation.

    Refused where the topics hold anything else: made-up deals never go among real ones.
    """
    from streams.commands import simulating
    from streams.roles import Simulation

    simulating.simulate(load(), Simulation(**asked))


@cli.command(**example("salesfloor worker --kafka broker:9092 --redis redis://cache:6379/0"))
@click.option("--port", "--worker-port", type=PORT, help="Port of the worker's own metrics (8402).")
@click.option("--host", help="Address to listen on (127.0.0.1).")
@CLOCK
@with_settings
def worker(load: Load, port: int | None, host: str | None, clock: str | None) -> None:
    """Fold the events of some partitions into Redis. Start more of them to share the work."""
    _run_one("worker", load(worker={"port": port, "host": host}, clock=clock))


@cli.command(**example("salesfloor metrics --port 8400 --redis redis://cache:6379/0"))
@click.option("--port", "--metrics-port", type=PORT, help="Port of /metrics, API and status page (8400).")
@click.option("--host", help="Address to listen on (127.0.0.1).")
@CLOCK
@with_settings
def metrics(load: Load, port: int | None, host: str | None, clock: str | None) -> None:
    """Serve the numbers of all partitions: /metrics, the JSON API and the status page."""
    _run_one("metrics", load(metrics={"port": port, "host": host}, clock=clock))


@cli.command(
    **example(
        "SALESFLOOR_GATEWAY__TOKEN=long-random-text salesfloor gateway --port 8401\nsalesfloor gateway --tail"
    )
)
@click.option("--port", "--gateway-port", type=PORT, help="Port of POST /events and /hooks/… (8401).")
@click.option("--host", help="Address to listen on (127.0.0.1).")
@click.option("--tail", is_flag=True, help="Show what becomes of deliveries, of the gateway that runs.")
@click.option("--json", "as_json", is_flag=True, help="With --tail: a JSON line for each.")
@CLOCK
@with_settings
def gateway(
    load: Load, port: int | None, host: str | None, tail: bool, as_json: bool, clock: str | None
) -> None:
    """Take webhooks of CRMs and CloudEvents over HTTP, and answer once Kafka has them."""
    settings = load(gateway={"port": port, "host": host}, clock=clock)
    if tail:
        from streams.commands import tail as following

        following.tail(settings, as_json=as_json)
        return
    if as_json:
        raise click.UsageError("--json belongs to --tail")
    _run_one("gateway", settings)


cli.add_command(publish)
cli.add_command(incomplete)


@cli.command(
    **example(
        "salesfloor snapshot --level floor --window today\n"
        "salesfloor snapshot --at 2026-11-21T09:30:00Z --kpi revenue --kpi win_rate --json\n"
        "salesfloor snapshot --explain --kpi revenue --window mtd --level team --key T-1"
    )
)
@click.option("--at", metavar="RFC3339", help="The instant; now if left out.")
@click.option("--level", "levels", multiple=True, help="floor, team, rep, …; may be given again.")
@click.option("--kpi", "kpis", multiple=True, help="A KPI's name; may be given again.")
@click.option("--window", "windows", multiple=True, help="1h, today, mtd, …; may be given again.")
@click.option("--explain", is_flag=True, help="List the records behind one number.")
@click.option("--key", help="With --explain: the team, rep, … whose number it is.")
@click.option("--page", type=click.IntRange(min=1), help="With --explain: the page; 1 if left out.")
@click.option("--limit", type=click.IntRange(1, 1000), help="With --explain: records a page (100).")
@CLOCK
@JSON
@with_settings
def snapshot(
    load: Load,
    clock: str | None,
    as_json: bool,
    explain: bool,
    key: str | None,
    page: int | None,
    limit: int | None,
    **question: Any,
) -> None:
    """Print the KPIs at an instant, from the state in Redis. What cannot be exact is left out, and why."""
    from streams.commands import numbers, records_behind

    more = {"key": key, "page": page, "limit": limit}
    if explain:
        records_behind.explain(load(clock=clock), {**question, **more}, as_json=as_json)
        return
    if any(more.values()):
        raise click.UsageError("--key, --page and --limit belong to --explain")
    numbers.snapshot(load(clock=clock), numbers.Question(**question), as_json=as_json)


@cli.command(
    **example(
        "salesfloor verify\n"
        "salesfloor verify --level floor --window today --window mtd\n"
        "salesfloor verify --kpi revenue --at 2026-11-21T09:30:00Z --json"
    )
)
@click.option("--at", metavar="RFC3339", help="The instant; now if left out.")
@click.option("--level", "levels", multiple=True, help="floor, team, rep, …; may be given again.")
@click.option("--kpi", "kpis", multiple=True, help="A KPI's name; may be given again.")
@click.option("--window", "windows", multiple=True, help="1h, today, mtd, …; may be given again.")
@click.option(
    "--max-records",
    type=click.IntRange(min=1),
    default=2_000_000,
    show_default=True,
    help="Refuse to hold more records in memory (2 GB per million).",
)
@CLOCK
@JSON
@with_settings
def verify(load: Load, clock: str | None, as_json: bool, max_records: int, **question: Any) -> None:
    """Recompute the numbers from the topics' records, slowly and independently, and compare.

    Ends with 0 where all numbers are the same, 1 where some differ, 2 where it cannot be told.
    """
    from streams.commands import numbers
    from streams.commands import verify as verifying

    asked = numbers.Question(**question)
    verifying.verify(load(clock=clock), asked, records_max=max_records, as_json=as_json)


@cli.command(**example("salesfloor kpis\nsalesfloor kpis --json"))
@JSON
@with_settings
def kpis(load: Load, as_json: bool) -> None:
    """List the KPIs, built in and the floor's own: name, sentence, formula, unit and gauges."""
    from streams.commands import numbers
    from streams.settings import catalogue_of

    numbers.kpis(catalogue_of(load()), as_json=as_json)


@cli.command(
    **example("salesfloor topics\nsalesfloor topics adopt sales.deals\nsalesfloor topics spread --yes")
)
@click.argument("action", type=click.Choice(["list", "create", "check", "adopt", "spread"]), default="list")
@click.argument("topic", nargs=-1)
@click.option("--yes", is_flag=True, help="With spread: do not ask.")
@JSON
@with_settings
def topics(load: Load, action: str, topic: tuple[str, ...], yes: bool, as_json: bool) -> None:
    """List, create or check the topics, or mend what is wrong with them.

    \b
    list    how many partitions each has
    create  make those that are missing
    check   say which are missing, do not fit together or keep too little
    adopt   TOPIC… were truncated or made anew, and workers have stopped for it: keep all
            numbers and read them again from the beginning, which counts nothing twice
    spread  partitions were added, and workers wait: write all records again, each where
            its key belongs now, remove the old ones and rebuild; needs room for a copy
    """
    from streams.commands import records

    if (action == "adopt") != bool(topic):
        raise click.UsageError(
            f"{action} takes no topic" if topic else "name the topic: salesfloor topics adopt TOPIC…"
        )
    if topic:
        records.adopt(load(), topic, as_json=as_json)
    elif action == "spread":
        if not yes:
            click.confirm("This rewrites every source topic. Go on?", abort=True, err=True)
        records.spread(load(), as_json=as_json)
    else:
        records.topics(load(), action, as_json=as_json)


@cli.command(
    **example(
        "salesfloor alerts rules\n"
        "salesfloor alerts rules --output prometheus\n"
        "salesfloor alerts alertmanager --output prometheus\n"
        "salesfloor alerts check --config salesfloor.toml"
    )
)
@click.argument("what", type=click.Choice(["rules", "alertmanager", "check"]))
@click.option(
    "--output",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write the files there (rules/*.yml, alertmanager.yml) instead of printing them.",
)
@with_settings
def alerts(load: Load, what: Any, output: Path | None) -> None:
    """Make Prometheus' alert rules and Alertmanager's routes from the [alerts] settings.

    \b
    rules         what raises an alert: thresholds, windows, how long it must hold
    alertmanager  who is told: routes, what silences what, nights and holidays
    check         let promtool and amtool judge both

    Prometheus and Alertmanager read them after a reload (SIGHUP, or POST /-/reload).
    """
    from streams.commands import alerts

    alerts.alerts(load(), what, output)


@cli.command(**example("salesfloor schemas\nsalesfloor schemas --output schemas"))
@click.option(
    "--output",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write a file for each there instead of printing them as one object.",
)
@debug_option
def schemas(output: Path | None) -> None:
    """Give the JSON Schemas of the events, for programs that write them: event.json is any of them."""
    from streams.commands import schemas

    schemas.schemas(output)


@cli.command(**example("salesfloor rebuild --kafka broker:9092 --redis redis://cache:6379/0"))
@CLOCK
@click.option(
    "--allow-missing", is_flag=True, help="Go on although the topics no longer hold their oldest records."
)
@with_settings
def rebuild(load: Load, clock: str | None, allow_missing: bool) -> None:
    """Fold everything again from the topics beside the live state, then switch to it."""
    from streams.commands import records

    records.rebuild(load(clock=clock), allow_missing=allow_missing)


@cli.command(**example("salesfloor check\nsalesfloor check --config salesfloor.toml --connect"))
@click.option("--connect", is_flag=True, help="Also try Kafka and Redis.")
@JSON
@with_settings
def check(load: Load, connect: bool, as_json: bool) -> None:
    """Read all settings and say what is wrong with them."""
    from streams.commands import records

    records.check(load(), connect=connect, as_json=as_json)


def _run_one(role: str, settings: Any) -> None:
    from streams.commands import running
    from streams.roles import Role

    running.run(settings, running.Plan(title=f"salesfloor {role}", roles=(Role(role),)))


def _run(
    load: Load,
    *,
    title: str,
    any_port: bool,
    embedded: bool,
    simulate: bool,
    kafka_port: int | None,
    redis_port: int | None,
    seed: int,
    rate: float,
    no_live: bool,
    clock: str | None,
    **ports: int | None,
) -> None:
    from streams.commands import running
    from streams.roles import ALL_ROLES, Simulation

    if simulate and not embedded:
        raise click.UsageError(
            "--simulate needs --embedded; `salesfloor simulate` writes to a Kafka of your own"
        )
    if embedded and (load.kafka is not None or load.redis is not None):
        raise click.UsageError(
            "an embedded floor brings its own Kafka and Redis; leave out --kafka and --redis"
        )
    if not embedded and (kafka_port is not None or redis_port is not None):
        raise click.UsageError("--kafka-port and --redis-port belong to --embedded; use --kafka and --redis")
    chosen = {role: {"port": ports[f"{role}_port"]} for role in ("metrics", "gateway", "worker")}
    settings = load(clock=clock, **chosen)
    if any_port:
        free = {
            role: {"port": running.free_or_any(getattr(settings, role), role)}
            for role, port in chosen.items()
            if port["port"] is None
        }
        settings = load(clock=clock, **{**chosen, **free})
    plan = running.Plan(
        title=title,
        roles=ALL_ROLES,
        embedded=running.embedded_ports(kafka_port, redis_port, any_port=any_port) if embedded else None,
        simulation=Simulation(rate=rate, seed=seed) if simulate else None,
        live=not no_live,
    )
    running.run(settings, plan)


def main() -> None:
    sys.exit(run(cli))
