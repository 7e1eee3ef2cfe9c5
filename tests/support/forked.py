"""Real processes without seconds of imports each: forked from one that has imported what they need.

`kyoyod` is the server's command, with its arguments, environment, folder and streams, to be watched and killed like any
other. That it also starts from nothing is proven where it is started as users start it: `kyoyod up` (test_kyoyod), the
demos, the houses of the end-to-end tests. `python_with` is an interpreter for adapters that start a library of a vendor
in a process of its own, each time anew.

One source for each set of modules and test process; it ends with the latter (`main` is what it does). What was forked
ends at the latest with whoever holds the line to it.
"""

from __future__ import annotations

import atexit
import gc
import importlib
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
from typing import IO, Any

from tests.support.postgres import RUN_DIR
from tests.support.repository import ROOT

LARGEST = 200_000
"""Bytes of a request: the environment, mostly."""
KYOYOD = ("portal.__main__", "uvicorn.loops.auto", "uvicorn.protocols.http.auto")
_MAIN = "from portal.__main__ import main; main()"
_STATUS = 64


class Forked:
    """One running `kyoyod`, with what tests use of `subprocess.Popen`. Its standard input is empty."""

    def __init__(
        self, arguments: Sequence[str], environment: Mapping[str, str], *, out: IO[bytes], err: IO[bytes]
    ) -> None:
        self.returncode: int | None = None
        told = {"code": _MAIN, "argv": ["kyoyod", *arguments], "environment": dict(environment), "folder": os.getcwd()}  # noqa: PTH109  a text
        self._line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._line.connect(str(_source(KYOYOD)))
        with Path(os.devnull).open("rb") as nothing:
            streams = [each.fileno() for each in (nothing, out, err)]
            socket.send_fds(self._line, [json.dumps(told).encode()], streams)
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
def python_with(*modules: str) -> str:
    """Path of a program that takes `-I -B -c CODE`, as this interpreter does, and has these modules loaded."""
    source = _source(modules)
    program = source.with_suffix(".python")
    program.write_text(_LAUNCHER.format(python=Path(sys.executable).resolve(), source=str(source)), encoding="utf-8")
    program.chmod(0o755)
    return str(program)


_LAUNCHER = """#!{python} -IS
import json, os, socket, sys
*options, word, code = sys.argv[1:]
assert (options, word) == (["-I", "-B"], "-c"), sys.argv
told = {{"code": code, "argv": ["-c"], "environment": dict(os.environ), "folder": os.getcwd()}}
line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
line.connect({source!r})
socket.send_fds(line, [json.dumps(told).encode()], [0, 1, 2])
for stream in (0, 1, 2):
    os.close(stream)
line.recv(64)
code = int(line.recv(64))
os._exit(code) if code >= 0 else os.kill(os.getpid(), -code)
"""


@cache
def _source(modules: tuple[str, ...]) -> Path:
    """The socket of a process that has loaded them."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    path = Path(os.environ[RUN_DIR], f"source-{worker}-{modules[0]}")
    boot = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tests.support.forked import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", boot, str(path), *modules],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.read() == b"ready\n"

    def end() -> None:
        assert process.stdin is not None
        process.stdin.close()
        process.wait()

    atexit.register(end)
    return path


# -- the process that is forked from -----------------------------------------------------------------------------------


def main() -> None:
    """Imports, and then forks for whoever comes to its socket, until its standard input ends."""
    path, *modules = sys.argv[1:]
    for module in modules:
        importlib.import_module(module)
    gc.freeze()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one who started us
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # whoever watches ends by itself
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(path)
    listener.listen(64)
    os.write(1, b"ready\n")
    _redirect(os.open(os.devnull, os.O_WRONLY), 1)
    while listener in select.select([listener, sys.stdin], [], [])[0]:
        line, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            request, streams, _, _ = socket.recv_fds(line, LARGEST, 3)
            _fork_and_watch(line)
            line.close()
            _become(json.loads(request), streams)
            return
        line.close()


def _fork_and_watch(line: socket.socket) -> None:
    """Returns in the new process. The old one tells its number and its end, and ends it when nobody listens."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        return
    line.send(str(pid).encode())
    process = os.pidfd_open(pid)
    if process not in select.select([line, process], [], [])[0]:
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    try:
        line.send(str(os.waitstatus_to_exitcode(status)).encode())
    finally:
        os._exit(0)


def _become(request: Mapping[str, Any], streams: Sequence[int]) -> None:
    """As a new process would find itself."""
    for place, stream in enumerate(streams):
        _redirect(stream, place)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(request["environment"])
    time.tzset()
    os.chdir(request["folder"])
    sys.argv = request["argv"]
    exec(compile(request["code"], "<string>", "exec"), {"__name__": "__main__"})  # as `python -c` does


def _redirect(descriptor: int, place: int) -> None:
    os.dup2(descriptor, place)
    os.close(descriptor)
