"""A Kafka and a Redis that let nobody in without TLS and a login, and let each do only what it must.

Certificates are made anew for each run. The broker's three doors: SASL over TLS for users with a password,
TLS for those with a certificate, and a plain one on loopback for itself and for who grants the rights.
"""

import asyncio
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import CreateAclsRequest

from streams.topics import ALERTS, DEAD_LETTERS, INCOMPLETE
from tests.ports import free_ports

ROOT: Final = Path(__file__).parent.parent.parent
JARS: Final = Path(os.environ.get("SALESFLOOR_TEST_KAFKA_JARS") or ROOT / ".cache" / "kafka")
START_SECONDS: Final = 60.0
PASSWORD: Final = "right-0123456789"
GROUP: Final = "salesfloor"

TOPIC, GROUPS = 2, 3
LITERAL, PREFIXED = 3, 4
READ, WRITE, CREATE, DESCRIBE, DESCRIBE_CONFIGS = 3, 4, 5, 8, 10

Right = tuple[int, str, int, int]
"""Kind of resource, its name, whether the name is a prefix, operation."""
RIGHTS: Final[dict[str, Sequence[Right]]] = {
    "admin": [(TOPIC, "sales.", PREFIXED, each) for each in (CREATE, DESCRIBE, DESCRIBE_CONFIGS)],
    "worker": [
        (TOPIC, "sales.", PREFIXED, READ),
        (TOPIC, DEAD_LETTERS, LITERAL, WRITE),
        (GROUPS, GROUP, LITERAL, READ),
    ],
    "metrics": [(TOPIC, "sales.", PREFIXED, DESCRIBE), (TOPIC, ALERTS, LITERAL, READ)],
    "gateway": [
        (TOPIC, "sales.", PREFIXED, WRITE),
        (TOPIC, INCOMPLETE, LITERAL, READ),
        (GROUPS, f"{GROUP}-source-", PREFIXED, READ),
    ],
    "publisher": [(TOPIC, "sales.", PREFIXED, WRITE)],
    "nobody": [],
    # Sees what there is, and may read and write none of it.
    "onlooker": [(TOPIC, "sales.", PREFIXED, DESCRIBE), (GROUPS, GROUP, LITERAL, READ)],
}
"""What docs/security.md tells to grant, and two who may do too little."""

READS: Final = "+ping +get +hget +hgetall +hmget +hscan +multi +exec"
REDIS_USERS: Final = {
    "worker": f"~{{salesfloor* &salesfloor:changes {READS} "
    "+hset +hdel +hincrby +del +unlink +set +publish +eval +evalsha +script|load",
    "metrics": f"~{{salesfloor* &salesfloor:changes {READS} +subscribe +unsubscribe +hsetnx",
    "nobody": "",
}


def missing() -> str:
    """Return what this machine lacks, "" when it has everything."""
    if not (JARS / ".complete").exists():
        return "no Apache Kafka here: run through .ci/with-real-services, which fetches it"
    absent = [tool for tool in ("java", "openssl", "redis-server") if shutil.which(tool) is None]
    return f"{', '.join(absent)} is not installed" if absent else ""


@dataclass(frozen=True)
class Secured:
    directory: Path
    sasl: str
    """host:port of the door with SASL over TLS."""
    mtls: str
    redis_port: int

    def file(self, name: str) -> str:
        return str(self.directory / name)

    def kafka_as(self, user: str, mechanism: str = "SCRAM-SHA-256", *, ca: str = "ca.pem") -> dict[str, str]:
        return {
            "SALESFLOOR_KAFKA": self.sasl,
            "SALESFLOOR_KAFKA__SECURITY_PROTOCOL": "SASL_SSL",
            "SALESFLOOR_KAFKA__SASL_MECHANISM": mechanism,
            "SALESFLOOR_KAFKA__SASL_USERNAME": user,
            "SALESFLOOR_KAFKA__SASL_PASSWORD": PASSWORD,
            "SALESFLOOR_KAFKA__SSL_CA_FILE": self.file(ca),
        }

    def kafka_by_certificate(self, user: str) -> dict[str, str]:
        return {
            "SALESFLOOR_KAFKA": self.mtls,
            "SALESFLOOR_KAFKA__SECURITY_PROTOCOL": "SSL",
            "SALESFLOOR_KAFKA__SSL_CA_FILE": self.file("ca.pem"),
            "SALESFLOOR_KAFKA__SSL_CERT_FILE": self.file(f"{user}.pem"),
            "SALESFLOOR_KAFKA__SSL_KEY_FILE": self.file(f"{user}.key"),
        }

    def redis_as(self, user: str, password: str = PASSWORD, *, ca: str = "ca.pem") -> dict[str, str]:
        address = f"rediss://{user}:{password}@127.0.0.1:{self.redis_port}/0"
        return {"SALESFLOOR_REDIS": f"{address}?ssl_ca_certs={self.file(ca)}"}


@contextmanager
def secured(directory: Path) -> Iterator[Secured]:
    if reason := missing():
        pytest.skip(reason)
    make_certificates(directory)
    plain, sasl, mtls, controller, redis = free_ports(5)
    with ExitStack() as parts:
        broker = parts.enter_context(_kafka(directory, plain, sasl, mtls, controller))
        server = parts.enter_context(_redis(directory, redis))
        until_listening(plain, broker, directory / "kafka.log")
        until_listening(redis, server, directory / "redis.log")
        asyncio.run(_grant(f"127.0.0.1:{plain}"))
        yield Secured(directory, f"localhost:{sasl}", f"localhost:{mtls}", redis)


# --- certificates -------------------------------------------------------------------------------


def make_certificates(directory: Path) -> None:
    """Make an authority, what it signed for the servers and for one user, and an authority nobody knows."""
    for name in ("ca", "other-ca"):
        _openssl(
            directory, "req", "-x509", *_NEW_KEY, "-keyout", f"{name}.key", "-out", f"{name}.pem",
            "-days", "2", "-subj", f"/CN={name}",
        )  # fmt: skip
    _signed(directory, "server", "subjectAltName=DNS:localhost,IP:127.0.0.1")
    _signed(directory, "publisher", "extendedKeyUsage=clientAuth")
    pair = [(directory / f"server.{kind}").read_text() for kind in ("key", "pem")]
    (directory / "keystore.pem").write_text("".join(pair))


_NEW_KEY: Final = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def _signed(directory: Path, name: str, extension: str) -> None:
    (directory / f"{name}.ext").write_text(extension)
    _openssl(
        directory, "req", *_NEW_KEY, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}"
    )
    _openssl(
        directory, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
        "-CAcreateserial", "-days", "2", "-out", f"{name}.pem", "-extfile", f"{name}.ext",
    )  # fmt: skip


def _openssl(directory: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)


# --- servers ------------------------------------------------------------------------------------


@contextmanager
def _kafka(
    directory: Path, plain: int, sasl: int, mtls: int, controller: int
) -> Iterator[subprocess.Popen[bytes]]:
    users = " ".join(f'user_{name}="{PASSWORD}"' for name in RIGHTS)
    login = "org.apache.kafka.common.security"
    lines = [
        (ROOT / ".ci" / "kafka" / "server.properties").read_text(),
        f"controller.quorum.voters=1@127.0.0.1:{controller}",
        f"listeners=PLAIN://127.0.0.1:{plain},SASL://127.0.0.1:{sasl},MTLS://127.0.0.1:{mtls},"
        f"CONTROLLER://127.0.0.1:{controller}",
        f"advertised.listeners=PLAIN://127.0.0.1:{plain},SASL://localhost:{sasl},MTLS://localhost:{mtls}",
        "listener.security.protocol.map=PLAIN:PLAINTEXT,SASL:SASL_SSL,MTLS:SSL,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name=PLAIN",
        f"log.dirs={directory / 'kafka'}",
        "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users=User:ANONYMOUS",
        "ssl.keystore.type=PEM",
        f"ssl.keystore.location={directory / 'keystore.pem'}",
        "ssl.truststore.type=PEM",
        f"ssl.truststore.location={directory / 'ca.pem'}",
        "listener.name.mtls.ssl.client.auth=required",
        "ssl.principal.mapping.rules=RULE:^CN=(.*?)$/$1/",
        "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
        f"listener.name.sasl.plain.sasl.jaas.config={login}.plain.PlainLoginModule required {users};",
        *(
            f"listener.name.sasl.scram-sha-{bits}.sasl.jaas.config={login}.scram.ScramLoginModule required;"
            for bits in (256, 512)
        ),
    ]
    config = directory / "server.properties"
    config.write_text("\n".join(lines) + "\n")
    java = (
        "java", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
        f"-Dlog4j2.configurationFile={ROOT / '.ci' / 'kafka' / 'log4j2.properties'}", "-cp", f"{JARS}/*",
    )  # fmt: skip
    scram = [
        option
        for name in RIGHTS
        for bits in (256, 512)
        for option in ("--add-scram", f"SCRAM-SHA-{bits}=[name={name},iterations=4096,password={PASSWORD}]")
    ]
    cluster = ("--cluster-id", "MkU3OEVBNTcwNTJENDM2Qg", "--config", str(config))
    with (directory / "kafka.log").open("wb") as log:
        subprocess.run(
            [*java, "kafka.tools.StorageTool", "format", *cluster, *scram],
            check=True, stdout=log, stderr=log,
        )  # fmt: skip
        with running([*java, "kafka.Kafka", str(config)], log.fileno()) as process:
            yield process


@contextmanager
def _redis(directory: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    users = [f"user {name} on >{PASSWORD} resetchannels -@all {may}" for name, may in REDIS_USERS.items()]
    (directory / "users.acl").write_text("\n".join(["user default off", *users]) + "\n")
    options = {
        "port": "0", "tls-port": str(port), "bind": "127.0.0.1", "dir": str(directory), "save": "",
        "tls-cert-file": "server.pem", "tls-key-file": "server.key", "tls-ca-cert-file": "ca.pem",
        "tls-auth-clients": "no", "aclfile": "users.acl", "appendonly": "yes",
    }  # fmt: skip
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    with (
        (directory / "redis.log").open("wb") as log,
        running(["redis-server", *arguments], log.fileno(), directory) as process,
    ):
        yield process


@contextmanager
def running(
    command: Sequence[str], log: int, directory: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, stdout=log, stderr=log, cwd=directory)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def until_listening(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text()[-3000:]
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError(log.read_text()[-3000:])


async def _grant(bootstrap: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        for user, rights in RIGHTS.items():
            for kind, name, pattern, operation in rights:
                asked = CreateAclsRequest(kind, name, pattern, f"User:{user}", "*", operation, _ALLOW)
                answer = await admin._send_request(asked)
                assert [code for code, _ in answer.creation_responses] == [0], answer
    finally:
        await admin.close()


_ALLOW: Final = 3
