"""A bench's figures in, the same as JSON in a file out, for whoever asked for one. Measures nothing."""

import argparse
import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", type=Path, help="write the figures to this file too")


def keep(path: Path | None, figures: Mapping[str, object]) -> None:
    """Write the figures and the load they were taken under, if there is a path."""
    if path is not None:
        found = {**figures, "load": [round(each, 1) for each in os.getloadavg()]}
        path.write_text(f"{json.dumps(found, indent=1)}\n", encoding="utf-8")


def machine() -> dict[str, object]:
    model = "unknown"
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            model = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):  # not a Linux, or one that does not say
        pass
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }
