"""Runs commands in processes that are forked from one that has loaded the program already.

Loading it takes two seconds of CPU, most commands a tenth of that. Started by tests/forked.py:
`python -m tests.command_server SOCKET`. A client sends the descriptors of its files for stdout and
stderr, with the arguments and the environment as JSON, and gets two lines: the pid when the command
begins, and its exit status when it ends.
"""

import gc
import json
import os
import socket
import sys
from contextlib import suppress
from importlib import import_module

from mpanel_billing import cli

_LONGEST = 1 << 16


def serve(path: str) -> None:
    """Take requests until the process is ended; each is handled by a process of its own."""
    for command in cli.COMMANDS.values():
        import_module(command.partition(":")[0])
    gc.freeze()  # what is loaded stays: no command looks for garbage in it
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        print("ready", flush=True)
        while True:
            client, _ = listener.accept()
            _reap()
            if os.fork() == 0:
                listener.close()
                _handle(client)
            client.close()


def _reap() -> None:
    """Take note of those that have ended: then their CPU time counts as this process's."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _handle(client: socket.socket) -> None:
    request, files, _, _ = socket.recv_fds(client, _LONGEST, 2)
    child = os.fork()
    if child == 0:
        os.dup2(files[0], 1)
        os.dup2(files[1], 2)
        os.closerange(3, 256)
        _run(**json.loads(request))
    for file in files:
        os.close(file)
    client.sendall(f"{child}\n".encode())
    _, status = os.waitpid(child, 0)
    client.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _run(words: list[str], environment: dict[str, str], folder: str) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["mpanel-billing", *words]
    status: object = 0
    try:
        cli.main()
    except SystemExit as ended:
        status = ended.code
    except (Exception, KeyboardInterrupt):  # noqa: BLE001 - as the interpreter does at its end
        sys.excepthook(*sys.exc_info())
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status if isinstance(status, int) else 0)


if __name__ == "__main__":
    serve(sys.argv[1])
