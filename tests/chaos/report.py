"""Results in, a table for people or JSON for programs out."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from tests.chaos.runner import Result

HEAD = ("scenario", "rows", "faults", "recovery s", "records", "lost", "doubled", "MB", "took s", "verdict")


def table(results: Sequence[Result]) -> str:
    lines = [HEAD, *(_cells(result) for result in results)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
    for result in results:
        text += [f"{result.scenario}: {note}" for note in result.notes]
    for result in results:
        if result.failure:
            text += [f"{result.scenario} FAILED:", *(f"    {line}" for line in result.failure.splitlines())]
    return "\n".join(line.rstrip() for line in text)


def _cells(result: Result) -> tuple[str, ...]:
    took = sorted(fault.recovery_seconds for fault in result.faults)
    recovery = "-" if not took else f"{took[len(took) // 2]:.1f} (max {took[-1]:.1f})"
    verdict = result.verdict
    return (
        result.scenario,
        " ".join(map(str, result.rows)),
        str(len(result.faults)),
        recovery,
        str(verdict.records),
        str(verdict.lost),
        str(verdict.doubled),
        f"{result.resident_mb:.0f}",
        f"{result.seconds:.0f}",
        "FAILED"
        if result.failure
        else "exact" + f", {verdict.counted_lost} lost and counted" * bool(verdict.counted_lost),
    )


def as_json(results: Sequence[Result], *, seed: int) -> str:
    return json.dumps({"seed": seed, "results": [asdict(result) for result in results]}, indent=2)
