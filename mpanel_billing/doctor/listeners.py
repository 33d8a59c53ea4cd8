"""Who listens on PORT: a process that outlived its manager answers there with old settings."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mpanel_billing.doctor.finding import Finding, failed, ok, some, warning

PROC = Path("/proc")

_LISTENING = "0A"
_PM2 = "NODE_CHANNEL_FD="
_NAME = "listeners"


@dataclass(frozen=True, slots=True)
class Listener:
    """A process with a listening socket of its own; `from_pm2`: PM2 has started it."""

    pid: int
    parent: int
    parent_name: str
    from_pm2: bool

    @property
    def is_orphan(self) -> bool:
        """Whether PM2 started it, and is gone."""
        return self.from_pm2 and not any(
            name in self.parent_name.lower() for name in ("pm2", "node")
        )


async def check_listeners(port: int) -> list[Finding]:
    """Check that all that listens on the port belongs together. Only Linux tells."""
    if not (PROC / "net" / "tcp").exists():
        return []
    sockets = set(_listening_sockets(port))
    return [judge_listeners(port, len(sockets), _holders(sockets))]


def judge_listeners(port: int, sockets: int, found: Sequence[Listener]) -> Finding:
    """Judge the processes that share a port; `sockets` counts those of other users, too."""
    if not sockets:
        return ok(_NAME, f"nothing listens on port {port}")
    named = [f"pid {listener.pid}" for listener in found]
    if orphans := [f"pid {listener.pid}" for listener in found if listener.is_orphan]:
        text = (
            f"port {port} has {len(named)}, and {some(orphans)} outlived PM2: its settings are old"
        )
        return failed(_NAME, text, f"stop it: kill {' '.join(o.split()[1] for o in orphans)}")
    if len({listener.parent for listener in found}) > 1:
        parents = [f"pid {each.pid} from {each.parent_name} ({each.parent})" for each in found]
        text = f"port {port} is shared by programs that were started apart: {some(parents)}"
        return warning(_NAME, text, "stop those that should not run")
    if not found:
        return ok(_NAME, f"{sockets} on port {port}, of another user")
    return ok(_NAME, f"{some(named)} on port {port}")


def _listening_sockets(port: int) -> Iterator[str]:
    """Yield the inodes: field 2 has address and port in hexadecimal, 4 the state, 10 the inode."""
    for table in ("tcp", "tcp6"):
        path = PROC / "net" / table
        for line in path.read_text().splitlines()[1:] if path.exists() else ():
            fields = line.split()
            if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]


def _holders(sockets: set[str]) -> list[Listener]:
    """Return one process for each socket: a child may have inherited its parent's."""
    by_socket: defaultdict[str, list[int]] = defaultdict(list)
    for process in PROC.glob("[0-9]*"):
        for inode in _sockets_of(process) & sockets:
            by_socket[inode].append(int(process.name))
    return [_describe(pid) for pid in sorted({min(pids) for pids in by_socket.values()})]


def _sockets_of(process: Path) -> set[str]:
    try:
        targets = [str(fd.readlink()) for fd in (process / "fd").iterdir()]
    except OSError:  # it has ended, or belongs to another user
        return set()
    return {name[8:-1] for name in targets if name.startswith("socket:[")}


def _describe(pid: int) -> Listener:
    parent = _parent_of(pid)
    environment = _read(pid, "environ").split("\0")
    return Listener(
        pid,
        parent,
        _read(parent, "cmdline").replace("\0", " ").strip() or _read(parent, "comm").strip(),
        any(word.startswith(_PM2) for word in environment),
    )


def _parent_of(pid: int) -> int:
    stat = _read(pid, "stat").rpartition(")")[2].split()
    return int(stat[1]) if stat else 0


def _read(pid: int, name: str) -> str:
    try:
        return (PROC / str(pid) / name).read_text(errors="replace")
    except OSError:
        return ""
