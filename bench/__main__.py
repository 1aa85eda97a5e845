"""Every measurement by name: `python -m bench NAME [options]`, or all of them in one run without a name.

`python -m bench [--json FILE]` runs each as by its name, one after the other, and says at the end what could
not run and why. The file holds the figures of all that ran so far, with the machine. It takes an hour or two.
"""

import argparse
import json
import os
import runpy
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from bench.report import keep, machine

BENCHES = {
    "fold": ("--runs", "5", "--events", "100000"),
    "scaling": (),
    "freshness": (),
    "scrape": (),
    "restart": (),
    "hot_path": (),
    "snapshot": (),
    "backlog": (),
    "gateway": (),
    "wall": (),
    "backtest": (),
}
"""Name -> options it is given in a run of all."""
_INTERRUPTED = 130
HAS_JSON = ("fold", "scaling", "freshness", "scrape", "restart", "wall")


def one(name: str, rest: list[str]) -> None:
    sys.argv = [f"python -m bench {name}", *rest]
    # `alter_sys`, so that processes which a bench starts find it as their main module too.
    try:
        runpy.run_module(f"bench.{name}", run_name="__main__", alter_sys=True)
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)


def run(name: str) -> dict[str, object]:
    """Run one in a process of its own, its table on the screen; return its figures, or what it said."""
    with tempfile.TemporaryDirectory(prefix="salesfloor-bench-") as folder:
        figures = Path(folder, "figures.json")
        options = [*BENCHES[name], *(("--json", str(figures)) if name in HAS_JSON else ())]
        began = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "bench", name, *options], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        said: list[str] = []
        for line in process.stdout:
            print(line, end="", flush=True)
            said.append(line.rstrip())
        found: dict[str, object] = {"seconds": round(time.monotonic() - began, 1)}
        if process.wait():
            found["could_not_run"] = f"ended with {process.returncode}; what it said is above"
        if figures.is_file():
            return {**found, **json.loads(figures.read_text(encoding="utf-8"))}
        return {**found, "said": said}


def main() -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name in BENCHES:
        one(name, sys.argv[2:])
        return
    if name and not name.startswith("-"):
        sys.exit(f"unknown bench {name!r}; there are {', '.join(sorted(BENCHES))}")
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="write the figures of all to this file too")
    parser.add_argument("--only", nargs="+", choices=BENCHES, default=tuple(BENCHES), help="only these")
    asked = parser.parse_args()
    found: dict[str, dict[str, object]] = {}
    for number, each in enumerate(asked.only, start=1):
        print(f"\n=== {each} ({number} of {len(asked.only)}, {time.strftime('%H:%M')})", flush=True)
        load = os.getloadavg()[0]
        try:
            found[each] = {"load_before": load, **run(each)}
        except KeyboardInterrupt:
            kept = f"; the figures before it are in {asked.json}" if asked.json and found else ""
            sys.exit(f"stopped at {each}{kept}")
        keep(asked.json, {"machine": machine(), "benches": found})
    for place, why in could_not_run(found):
        print(f"could not run: {place}: {why}")
    sys.exit(any("could_not_run" in figures for figures in found.values()))


def could_not_run(found: Mapping[str, object], place: str = "") -> Iterator[tuple[str, object]]:
    """Yield what could not run, benches and the ways they compare, and why."""
    for name, each in found.items():
        if name == "could_not_run":
            yield place, each
        elif isinstance(each, dict):
            yield from could_not_run(each, f"{place}, {name}" if place else name)


if __name__ == "__main__":
    main()
