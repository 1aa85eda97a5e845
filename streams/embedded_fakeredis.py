"""`python -m streams.embedded_fakeredis PORT`: a Redis in Python, where no real one is. Until killed."""

import sys
from collections.abc import Callable

from fakeredis import TcpFakeServer
from fakeredis._clients._tcp_server import TCPFakeRequestHandler
from redis.exceptions import ResponseError


class _Handler(TCPFakeRequestHandler):  # type: ignore[misc]  # fakeredis ships no types for it
    """Answers an error and goes on, as Redis does; fakeredis closes the connection after any error reply,
    so that a client which learns that a script is unknown could not load it."""

    def setup(self) -> None:
        super().setup()
        self.current_client.read_response = _answering(self.current_client.read_response)


def _answering(read: Callable[..., object]) -> Callable[..., object]:
    def read_response(*arguments: object, **options: object) -> object:
        try:
            return read(*arguments, **options)
        except ResponseError as error:
            return error

    return read_response


def main() -> None:
    server = TcpFakeServer(("127.0.0.1", int(sys.argv[1])), server_type="redis")
    server.RequestHandlerClass = _Handler
    # Handler threads must not keep the process from ending.
    server.daemon_threads = True
    server.serve_forever()


if __name__ == "__main__":
    main()
