"""The `salesfloor` command, whose main loop hangs for ever on SIGUSR1 while its other threads go on."""

import signal
import time

from streams.cli import main


def hang(_number: int, _frame: object) -> None:
    while True:
        time.sleep(1.0)


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, hang)
    main()
