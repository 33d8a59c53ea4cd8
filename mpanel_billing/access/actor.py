"""Who makes a change: the holder of a key, or a user at the command line."""

import os
import pwd
import socket
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Actor:
    """The author of a change in the audit log.

    `name` is the key's, or `cli:<user>@<host>`; `key_id` is set for keys in the database, and
    `request_id` for changes over HTTP.
    """

    name: str
    key_id: str | None = None
    request_id: str | None = None


def command_line_actor() -> Actor:
    """Return the operating system user who runs this command, or who ran sudo."""
    return Actor(f"cli:{_system_user()}@{socket.gethostname()}")


def _system_user() -> str:
    """Ask the system: the environment can say anything."""
    user_id = os.getuid()
    if user_id == 0 and (behind_sudo := os.environ.get("SUDO_USER")):
        return behind_sudo
    try:
        return pwd.getpwuid(user_id).pw_name
    except KeyError:  # a container may run under an unnamed uid
        return str(user_id)
