"""Runs `salesfloor demo` in a terminal of its own and writes what it shows to docs/terminal.svg.

So the picture in the README is a real run: `python docs/terminal.py [SECONDS]`. Ends the demo as a person
does, with Ctrl-C.
"""

import io
import os
import pty
import re
import select
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

COMMAND = ["salesfloor", "demo"]
SHOWN = ["$ make run"]
LINES_OF_LOG = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+ ")
FRAME = "salesfloor demo  ·  Ctrl-C ends it"
COLUMNS = 84
CHARACTER_WIDTH = 12.2
LEADING_BLANKS = re.compile(
    r'<text class="([\w-]+)" x="([\d.]+)" y="([\d.]+)" textLength="([\d.]+)"([^>]*>)((?:&#160;)+)(?=[^&<\s])'
)


def run(seconds: float) -> str:
    """Return everything the demo wrote until Ctrl-C, control sequences included."""
    child, terminal = pty.fork()
    if child == 0:
        os.environ |= {"TERM": "xterm-256color", "COLUMNS": str(COLUMNS), "LINES": "50"}
        os.execvp(COMMAND[0], COMMAND)
    written, until, interrupted = bytearray(), time.monotonic() + seconds, 0
    while True:
        if not interrupted and time.monotonic() > until:
            interrupted = len(written)
            os.write(terminal, b"\x03")
        if not select.select([terminal], [], [], 0.2)[0]:
            continue
        try:
            read = os.read(terminal, 65536)
        except OSError:  # Linux tells the end of a pseudo-terminal so
            break
        if not read:
            break
        written += read
    os.waitpid(child, 0)
    return written[:interrupted].decode(errors="replace")


def picture(written: str) -> str:
    """Return the addresses and the last whole screen as an SVG that loads nothing from elsewhere."""
    frames = written.split(FRAME)
    assert len(frames) > 2, f"no live screen:\n{written[-2000:]}"
    addresses = [
        line for line in frames[0].splitlines()
        if re.match(r"\s+(status page|gauges|numbers|events door) ", line) and not LINES_OF_LOG.match(line)
    ]  # fmt: skip
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    for line in (*SHOWN, *addresses, ""):
        console.print(Text(line.rstrip(), style="dim" if line in addresses else ""))
    # The frame before the last one is whole. Cursor movements go, colours stay.
    screen = re.sub(r"\x1b\[[0-9;?]*[A-HJKhl]", "", FRAME + frames[-2])
    lines = [line.rstrip() for line in screen.splitlines() if not LINES_OF_LOG.match(line)]
    console.print(Text.from_ansi("\x1b[1m" + "\n".join(lines).rstrip()))
    svg = console.export_svg(title="salesfloor", theme=MONOKAI, unique_id="salesfloor")
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    svg = svg.replace("Fira Code", "ui-monospace, SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono")
    svg = LEADING_BLANKS.sub(_without_leading_blanks, svg)
    return "\n".join(line.rstrip() for line in svg.splitlines() if line.strip()) + "\n"


def _without_leading_blanks(match: re.Match[str]) -> str:
    """Move a text to where its first character stands: viewers disagree on the width of blanks in bold."""
    style, x, y, length, rest, blanks = match.groups()
    shift = CHARACTER_WIDTH * blanks.count("&#160;")
    place = f'x="{float(x) + shift:.1f}" y="{y}" textLength="{float(length) - shift:.1f}"'
    return f'<text class="{style}" {place}{rest}'


if __name__ == "__main__":
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 45.0
    Path(__file__).with_suffix(".svg").write_text(picture(run(seconds)), encoding="utf-8")
