"""`kyoyod` as real processes without two seconds of imports each: forked from one that has imported the command.

What runs is `portal.__main__.main()` in a process of its own, with the arguments, environment, folder and streams that
it is given, to be watched and killed like any other. That the command also starts from nothing is proven where it is
started as users start it: `kyoyod up` (test_kyoyod), the demos, the houses of the end-to-end tests.

`python -m tests.support.forked FD` is the process that is forked from; it ends with whoever started it.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from tests.support.repository import ROOT

LARGEST = 200_000
"""Bytes of a request: the environment, mostly."""
_STATUS, _READY = 64, b"ready"


class Forked:
    """One running `kyoyod`, with what tests use of `subprocess.Popen`."""

    def __init__(
        self, arguments: Sequence[str], environment: Mapping[str, str], *, out: IO[bytes], err: IO[bytes]
    ) -> None:
        self.returncode: int | None = None
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        told = {"arguments": list(arguments), "environment": dict(environment), "folder": str(Path.cwd())}
        with theirs:
            socket.send_fds(_source(), [json.dumps(told).encode()], [theirs.fileno(), out.fileno(), err.fileno()])
        self.pid = int(self._line.recv(_STATUS))

    def poll(self) -> int | None:
        """Its exit code, negative for a signal; None: it runs."""
        if self.returncode is None and select.select([self._line], [], [], 0)[0]:
            self._read()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """subprocess.TimeoutExpired: it still runs."""
        if self.returncode is None:
            if not select.select([self._line], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("kyoyod", timeout or 0)
            self._read()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _read(self) -> None:
        self.returncode = int(self._line.recv(_STATUS))
        self._line.close()


def kyoyod(
    arguments: Sequence[str], environment: Mapping[str, str], *, timeout_s: float | None = None
) -> subprocess.CompletedProcess[bytes]:
    """A whole run of the command. subprocess.TimeoutExpired: it was killed after so long."""
    with TemporaryFile() as out, TemporaryFile() as err:
        running = Forked(arguments, environment, out=out, err=err)
        try:
            code = running.wait(timeout_s)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()
            raise
        for stream in (out, err):
            stream.seek(0)
        return subprocess.CompletedProcess(["kyoyod", *arguments], code, out.read(), err.read())


@cache
def _source() -> socket.socket:
    """The way to the process that is forked from, one for each test process."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.forked", str(theirs.fileno())],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )
    assert ours.recv(_STATUS) == _READY

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


# -- the process that is forked from -----------------------------------------------------------------------------------


def main() -> None:
    """Imports, and then forks for each request, until the other end is closed."""
    import uvicorn.loops.auto  # noqa: PLC0415  else each portal would
    import uvicorn.protocols.http.auto  # noqa: F401, PLC0415

    import portal.__main__ as command  # noqa: PLC0415  what everybody else here must not load

    asked = socket.socket(fileno=int(sys.argv[1]))
    gc.freeze()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one who started us
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # whoever watches ends by itself
    asked.send(_READY)
    while True:
        request, descriptors, _, _ = socket.recv_fds(asked, LARGEST, 3)
        if not request:
            return
        if os.fork() == 0:
            asked.close()
            _fork_and_watch(descriptors[0])
            _become(json.loads(request), *descriptors)
            command.main()
            return
        for each in descriptors:
            os.close(each)


def _fork_and_watch(line: int) -> None:
    """Returns in the new process. The old one tells its number and its end, and ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        return
    os.write(line, str(pid).encode())
    _, status = os.waitpid(pid, 0)
    os.write(line, str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _become(request: Mapping[str, object], line: int, out: int, err: int) -> None:
    """As a new process would find itself."""
    os.close(line)
    for ours, place in ((out, 1), (err, 2)):
        os.dup2(ours, place)
        os.close(ours)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    environment, arguments = request["environment"], request["arguments"]
    assert isinstance(environment, dict)
    assert isinstance(arguments, list)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    os.chdir(str(request["folder"]))
    sys.argv = ["kyoyod", *arguments]


if __name__ == "__main__":
    main()
