"""A real Apache Kafka on loopback, for tests and trials: one node or three, KRaft, jars from Maven Central, Java 17.

Not for production: data lies in a folder that its owner throws away. Missing tools raise Misconfigured, which names them.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from schemas.errors import Misconfigured, Unavailable

JARS = Path.home() / ".cache" / "segue" / "kafka-4.1.0"
START_SECONDS = 60.0
JVM = ("-Xms768m", "-Xmx768m", "-Xmn400m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")
"""Little for the compiler and the collector: a trial broker lives for minutes and shares the machine with what it serves."""
MISSED_MS = 4_000
"""One of several brokers that was not heard of for so long leads nothing any more (Kafka's own: 9 s)."""

_LOG4J = """<Configuration status="WARN"><Appenders><Console name="out"><PatternLayout pattern="%d %p %c %m%n"/></Console>
</Appenders><Loggers><Root level="WARN"><AppenderRef ref="out"/></Root></Loggers></Configuration>"""


def missing_tools() -> str | None:
    """What this machine lacks for a local Kafka, and how to get it; None when it has everything."""
    lacking = [name for name in ("java", "mvn") if shutil.which(name) is None]
    if not lacking:
        return None
    return f"no {' and no '.join(lacking)} on PATH: install a JDK 17 and Maven (Debian: openjdk-17-jre-headless, maven)"


def fetch_jars() -> Path:
    """The folder with Kafka's jars, fetched once (about 45 MB). Raises Misconfigured or Unavailable."""
    lacking = missing_tools()
    if lacking is not None:
        raise Misconfigured(f"A local Kafka needs more than is here: {lacking}.")
    done = JARS / "complete"
    if not done.exists():
        JARS.mkdir(parents=True, exist_ok=True)
        (JARS / "pom.xml").write_text(files("streams.kafka").joinpath("pom.xml").read_text())
        command = [
            "mvn",
            "-q",
            "-B",
            "-f",
            str(JARS / "pom.xml"),
            "dependency:copy-dependencies",
            f"-DoutputDirectory={JARS}",
        ]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        if ran.returncode != 0:
            raise Unavailable("maven", (ran.stdout + ran.stderr)[-600:])
        done.touch()
    return JARS


@dataclass
class Node:
    """One broker and controller."""

    number: int
    port: int
    controller_port: int
    folder: Path
    host: str = "127.0.0.1"
    process: subprocess.Popen[bytes] | None = None


@dataclass
class LocalKafka:
    """One node, or a cluster of three with replication 3 and min ISR 2. Use `start` and `stop`.

    `hosts`: an address of this machine for each node, where loopback will not do.
    """

    folder: Path
    size: int = 1
    hosts: Sequence[str] = ()
    nodes: list[Node] = field(default_factory=list)

    @property
    def servers(self) -> str:
        """Bootstrap servers."""
        return ",".join(f"{node.host}:{node.port}" for node in self.nodes)

    def start(self) -> None:
        """Format and start every node; returns when all of them listen."""
        jars = fetch_jars()
        ports = free_ports(2 * self.size)
        hosts = self.hosts or ["127.0.0.1"] * self.size
        self.nodes = [
            Node(n + 1, ports[2 * n], ports[2 * n + 1], self.folder / f"node-{n + 1}", hosts[n]) for n in range(self.size)
        ]
        cluster = self._tool(jars, "random-uuid").strip()
        directories = [self._tool(jars, "random-uuid").strip() for _ in self.nodes]
        voters = ",".join(
            f"{n.number}@127.0.0.1:{n.controller_port}:{d}" for n, d in zip(self.nodes, directories, strict=True)
        )
        for node in self.nodes:
            self._write_config(node)
            how = ["--standalone"] if self.size == 1 else ["--initial-controllers", voters]
            self._tool(jars, "format", *how, "-t", cluster, "-c", str(node.folder / "server.properties"))
        for node in self.nodes:
            self.start_node(node)
        for node in self.nodes:
            self.wait_for(node)

    def start_node(self, node: Node) -> None:
        """Start a node that was formatted before."""
        command = ["java", *JVM, f"-Dlog4j2.configurationFile={node.folder / 'log4j2.xml'}", "-cp", f"{JARS}/*",
                   "kafka.Kafka", str(node.folder / "server.properties")]  # fmt: skip
        with (node.folder / "broker.log").open("ab") as log:
            node.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    def stop(self) -> None:
        """End the nodes."""
        for node in self.nodes:
            if node.process is not None:
                node.process.kill()
                node.process.wait()

    def wait_for(self, node: Node) -> None:
        """Returns when a node listens. Raises Unavailable with its last words."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            with suppress(OSError), socket.create_connection((node.host, node.port), 0.2):
                return
            if node.process is not None and node.process.poll() is not None:
                break
            time.sleep(0.05)
        raise Unavailable("kafka", (node.folder / "broker.log").read_text(errors="replace")[-800:])

    def _write_config(self, node: Node) -> None:
        node.folder.mkdir(parents=True)
        copies, in_sync = (3, 2) if self.size >= 3 else (1, 1)
        quorum = ",".join(f"127.0.0.1:{other.controller_port}" for other in self.nodes)
        settings = {
            "process.roles": "broker,controller",
            "node.id": node.number,
            "controller.quorum.bootstrap.servers": quorum,
            "listeners": f"PLAINTEXT://{node.host}:{node.port},CONTROLLER://127.0.0.1:{node.controller_port}",
            "advertised.listeners": f"PLAINTEXT://{node.host}:{node.port},CONTROLLER://127.0.0.1:{node.controller_port}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "log.dirs": node.folder / "data",
            "offsets.topic.replication.factor": copies,
            "offsets.topic.num.partitions": 8,
            "transaction.state.log.replication.factor": copies,
            "transaction.state.log.min.isr": in_sync,
            "transaction.state.log.num.partitions": 8,
            "share.coordinator.state.topic.replication.factor": copies,
            "share.coordinator.state.topic.min.isr": in_sync,
            "min.insync.replicas": in_sync,
            "group.initial.rebalance.delay.ms": 0,
            "auto.create.topics.enable": "false",
        }
        if self.size > 1:
            settings |= {"broker.session.timeout.ms": MISSED_MS, "broker.heartbeat.interval.ms": MISSED_MS // 8}
        text = "\n".join(f"{name}={value}" for name, value in settings.items())
        (node.folder / "server.properties").write_text(text + "\n")
        (node.folder / "log4j2.xml").write_text(_LOG4J)

    def _tool(self, jars: Path, *arguments: str) -> str:
        ran = subprocess.run(
            ["java", "-cp", f"{jars}/*", "kafka.tools.StorageTool", *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
        if ran.returncode != 0:
            raise Unavailable("kafka", (ran.stdout + ran.stderr)[-600:])
        return ran.stdout


def free_ports(count: int) -> list[int]:
    """Loopback ports that are free now, all different."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()
