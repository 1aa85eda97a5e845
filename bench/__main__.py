"""Every measurement by name: `python -m bench NAME [options]`, or all of them without a name."""

import runpy
import sys

BENCHES = (
    "backlog",
    "backtest",
    "fold",
    "freshness",
    "gateway",
    "hot_path",
    "restart",
    "scaling",
    "snapshot",
    "wall",
)


def main() -> None:
    name, rest = (sys.argv[1], sys.argv[2:]) if len(sys.argv) > 1 else ("", [])
    if name and name not in BENCHES:
        sys.exit(f"unknown bench {name!r}; there are {', '.join(BENCHES)}")
    for each in (name,) if name else BENCHES:
        sys.argv = [f"python -m bench {each}", *rest]
        # `alter_sys`, so that processes which a bench starts find it as their main module too.
        runpy.run_module(f"bench.{each}", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
