"""`python -m streams.embedded_fakeredis PORT`: a Redis in Python, where no real one is. Until killed."""

import sys

from fakeredis import TcpFakeServer


def main() -> None:
    server = TcpFakeServer(("127.0.0.1", int(sys.argv[1])), server_type="redis")
    # Handler threads must not keep the process from ending.
    server.daemon_threads = True
    server.serve_forever()


if __name__ == "__main__":
    main()
