"""Who acts: the holder of a key, or somebody at a command line."""

import os
import pwd
import socket
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Actor:
    """Who is on record for a change.

    `name` is the key's, or `cli:<user>@<host>`; `key_id` that of a key in the database;
    `request_id` that of the request by which it was asked for.
    """

    name: str
    key_id: str | None = None
    request_id: str | None = None


def command_line_actor() -> Actor:
    """Name the user of the operating system who runs this command; behind sudo, who ran that."""
    return Actor(f"cli:{_system_user()}@{socket.gethostname()}")


def _system_user() -> str:
    """Ask the system rather than the environment, which says whatever it was told to say."""
    user_id = os.getuid()
    if user_id == 0 and (behind_sudo := os.environ.get("SUDO_USER")):
        return behind_sudo
    try:
        return pwd.getpwuid(user_id).pw_name
    except KeyError:  # as in a container that runs under a number of its own
        return str(user_id)
