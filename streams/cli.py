"""The salesfloor command (under construction)."""


def main() -> None:
    raise SystemExit("not yet")
