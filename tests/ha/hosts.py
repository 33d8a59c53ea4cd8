"""Hosts on one machine: network namespaces on a bridge, with processes that can be lost together.

They exist inside the namespaces that scripts/test-ha.sh opens for the run, and end with it.
"""

import os
import pwd
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

BRIDGE = "mpbha-br"
ADDRESSES = {
    "edge": "10.77.0.1",
    "db1": "10.77.0.11",
    "db2": "10.77.0.12",
    "db3": "10.77.0.13",
    "app1": "10.77.0.21",
    "app2": "10.77.0.22",
}
PASSWORD = "of-the-tests"
CONFIGURATION = Path(__file__).parents[2] / "deploy" / "ha"

_CUT = """
table inet cut {
    chain incoming { type filter hook input priority 0; policy drop; iif lo accept; }
    chain outgoing { type filter hook output priority 0; policy drop; oif lo accept; }
}
"""
# neither PostgreSQL nor PgBouncer runs as root; the programs of the tests may be in root's home
_AS_NOBODY = (
    "setpriv",
    "--reuid=nobody",
    "--regid=nogroup",
    "--clear-groups",
    "--inh-caps=+dac_read_search",
    "--ambient-caps=+dac_read_search",
)


@dataclass
class Host:
    """A machine. `edge` is the one that the test itself is on."""

    name: str
    folder: Path
    parts: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def _namespace(self) -> str:
        return f"mpbha-{self.name}"

    @property
    def _inside(self) -> tuple[str, ...]:
        if self.name == "edge":
            return ()
        return ("nsenter", f"--net=/run/netns/{self._namespace}")

    def configuration(self, file: str) -> Path:
        """Return a file of deploy/ha as this host has it: its name, its folders, the password."""
        text = (CONFIGURATION / file).read_text()
        for given, here in {
            "<host>": self.name,
            "<password>": PASSWORD,
            "/var/lib/": f"{self.folder}/lib/",
            "/var/run/": f"{self.folder}/run/",
            "/etc/": f"{self.folder}/etc/",
        }.items():
            text = text.replace(given, here)
        rendered = self.folder / "etc" / "pgbouncer" / file
        rendered.write_text(text)
        return rendered

    def variables(self, file: str) -> dict[str, str]:
        """Return the variables that a file of deploy/ha sets."""
        lines = self.configuration(file).read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))

    def start(
        self,
        part: str,
        *command: object,
        environment: Mapping[str, str] | None = None,
        as_root: bool = False,
    ) -> None:
        """Start a process, as nobody; its output goes to a file of its name."""
        account = () if as_root else _AS_NOBODY
        with self.log(part).open("ab") as log:
            self.parts[part] = subprocess.Popen(
                [*self._inside, *account, *map(str, command)],
                env={"PATH": os.environ["PATH"], "HOME": "/", **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def log(self, part: str) -> Path:
        """Return the file that a process writes to."""
        return self.folder / f"{part}.log"

    def stop(self, *parts: str, seconds: float = 30) -> None:
        """Ask processes to end, one after the other, and wait for each."""
        for part in parts:
            process = self.parts.pop(part)
            process.terminate()
            process.wait(seconds)

    def kill(self, part: str) -> None:
        """Kill one process."""
        process = self.parts.pop(part)
        process.kill()
        process.wait()

    def signal(self, part: str, signum: signal.Signals) -> None:
        """Send a signal to a process that stays."""
        self.parts[part].send_signal(signum)

    def cut(self) -> None:
        """Drop every packet that comes or leaves; the processes live, and can reach each other."""
        self._run("nft", "-f", "-", text=_CUT)

    def heal(self) -> None:
        """Let packets through again."""
        self._run("nft", "flush", "ruleset")

    def crash(self) -> None:
        """Lose the machine: no packet says good-bye, and every process is gone."""
        self.cut()
        while pids := self._pids():  # some may start others before they are gone
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        for process in self.parts.values():
            process.wait()
        self.parts.clear()

    def kill_postgres(self) -> None:
        """Kill the server; its children end with it. Patroni stays."""
        pid_file = self.folder / "lib" / "postgresql" / "18" / "billing" / "postmaster.pid"
        os.kill(int(pid_file.read_text().split()[0]), signal.SIGKILL)

    def _pids(self) -> list[int]:
        command = ["ip", "netns", "pids", self._namespace]
        listed = subprocess.run(command, check=True, capture_output=True, text=True)
        return [int(pid) for pid in listed.stdout.split()]

    def connect_network(self) -> None:
        """Give the host its namespace, and a cable to the bridge."""
        _run("ip", "netns", "add", self._namespace)
        cable = f"mpbha-{self.name}"
        _run("ip", "link", "add", cable, "type", "veth", "peer", "eth0", "netns", self._namespace)
        _run("ip", "link", "set", cable, "master", BRIDGE, "up")
        for settings in (
            ("link", "set", "lo", "up"),
            ("addr", "add", f"{ADDRESSES[self.name]}/24", "dev", "eth0"),
            ("link", "set", "eth0", "up"),
        ):
            _run("ip", "-n", self._namespace, *settings)

    def _run(self, *command: str, text: str = "") -> None:
        subprocess.run([*self._inside, *command], check=True, input=text, text=True)


@contextmanager
def running_hosts(folder: Path) -> Iterator[dict[str, Host]]:
    """Connect all hosts, and kill what was started when the block ends."""
    hosts = {name: Host(name, folder / name) for name in ADDRESSES}
    _build_bridge(folder)
    for host in hosts.values():
        _make_folders(host.folder)
        if host.name != "edge":
            host.connect_network()
    try:
        yield hosts
    finally:
        for host in hosts.values():
            for part in list(host.parts):
                host.kill(part)


def _build_bridge(folder: Path) -> None:
    names = "".join(f"{address} {name}\n" for name, address in ADDRESSES.items())
    known = folder / "hosts"
    known.write_text(f"127.0.0.1 localhost\n{names}")
    _run("mount", "--bind", str(known), "/etc/hosts")
    _run("ip", "link", "add", BRIDGE, "type", "bridge")
    _run("ip", "addr", "add", f"{ADDRESSES['edge']}/24", "dev", BRIDGE)
    _run("ip", "link", "set", BRIDGE, "up")


def _make_folders(folder: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    for name in ("lib/etcd", "lib/postgresql/18", "run/postgresql", "etc/pgbouncer"):
        (folder / name).mkdir(parents=True)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
    (folder / "lib" / "etcd").chmod(0o700)


def _run(*command: str) -> None:
    subprocess.run(command, check=True)
