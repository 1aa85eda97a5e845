"""`embedded_keeper.py PARENT_PID COMMAND…`: runs one command so that it dies with its parent.

Standard library only, and started without site-packages: it costs 20 ms and no memory that stays.
Linux: the kernel kills the process when its parent ends, and the command replaces this program.
Elsewhere this program stays and watches its standard input, which closes when the parent ends.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
from typing import NoReturn

_PR_SET_PDEATHSIG = 1
_GONE = 70


def main(parent_pid: int, command: list[str]) -> NoReturn:
    if sys.platform == "linux" and _die_with_parent():
        # The parent may have ended before the kernel was told to watch it.
        if os.getppid() != parent_pid:
            sys.exit(_GONE)
        os.execv(command[0], command)  # noqa: S606 - a program with arguments, no shell wanted
    watch(command)


def _die_with_parent() -> bool:
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    return prctl is not None and prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) == 0


def watch(command: list[str]) -> NoReturn:
    """Run the command until it ends or our standard input does."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603 - the command of embedded.py

    def end_with_parent() -> None:
        while os.read(0, 1024):
            pass
        child.kill()

    threading.Thread(target=end_with_parent, daemon=True).start()
    sys.exit(child.wait())


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
