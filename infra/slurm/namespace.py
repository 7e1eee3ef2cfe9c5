"""A cluster's namespaces from outside: starts the first process, runs commands inside, finds and signals processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

POLL_S = 0.02
_INIT = Path(__file__).with_name("init.py")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_DEFAULT_TIMEOUT_S = 60.0


class ClusterFailed(Exception):
    """The cluster cannot be started, or a command that must not fail did. The message says what was printed."""


@dataclass(frozen=True, slots=True)
class Namespace:
    """The first process, as this machine numbers it, with its start time: a number alone may be somebody else's."""

    pid: int
    born: int
    netns: bool

    @property
    def is_alive(self) -> bool:
        return born(self.pid) == self.born

    def command(
        self, argv: Sequence[str], *, user: str = "root", timeout_s: float | None = None, cwd: str | None = None
    ) -> list[str]:
        """The command line that runs argv inside: as a user, in its home, with nothing of our environment."""
        spaces = ["--mount", "--pid", "--uts", "--ipc", *(["--net"] if self.netns else [])]
        home = "/root" if user == "root" else str(Path("/home", user))
        environment = [f"PATH={_PATH}", f"HOME={home}", f"USER={user}", f"LOGNAME={user}", "LANG=C.UTF-8"]
        become = [] if user == "root" else ["setpriv", "--reuid", user, "--regid", user, "--init-groups"]
        limit = [] if timeout_s is None else ["timeout", "--kill-after=2", f"{timeout_s:g}"]
        enter = [program("nsenter"), "--target", str(self.pid), *spaces, "--"]
        return [*enter, "env", f"--chdir={cwd or home}", "-i", *environment, *limit, *become, *argv]

    def run(
        self,
        argv: Sequence[str],
        *,
        user: str = "root",
        check: bool = False,
        text_input: str = "",
        timeout_s: float = _DEFAULT_TIMEOUT_S,
    ) -> subprocess.CompletedProcess[str]:
        """A command to its end; 124 when it took too long. ClusterFailed, with check=True."""
        done = subprocess.run(  # noqa: S603  our own argv, no shell
            self.command(argv, user=user, timeout_s=timeout_s),
            input=text_input,
            capture_output=True,
            text=True,
            check=False,
        )
        if check and done.returncode != 0:
            raise ClusterFailed(f"{' '.join(argv)}: exit {done.returncode}\n{done.stdout}{done.stderr}".rstrip())
        return done

    def launch(self, argv: Sequence[str], *, user: str, log: IO[bytes]) -> None:
        """A daemon: it belongs to the first process, so it ends with the cluster and not with us."""
        subprocess.run(  # noqa: S603  our own argv, no shell
            self.command(["setsid", "--fork", *argv], user=user, cwd="/"),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            check=True,
        )

    def processes(self) -> Iterator[tuple[int, list[str]]]:
        """Every process inside: its number on this machine, and its command line. The first one is left out."""
        ours = _namespace_of(self.pid)
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == self.pid:
                continue
            if ours is not None and _namespace_of(int(entry.name)) == ours:
                with suppress(OSError):
                    words = (entry / "cmdline").read_bytes().split(b"\0")
                    yield int(entry.name), [word.decode(errors="replace") for word in words[:-1]]

    def end(self) -> None:
        """Kills the first process and with it everything; returns when all of it is gone."""
        everyone = [(self.pid, self.born), *((pid, born(pid)) for pid, _ in self.processes())]
        if self.is_alive:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        wait_until(lambda: all(born(pid) != at or at is None for pid, at in everyone), what="the cluster's end")


def start(plan: Mapping[str, object], log: Path) -> tuple[Namespace, subprocess.Popen[bytes]]:
    """The first process, when all is mounted. It ends with us, until its standard input hears `keep`. ClusterFailed."""
    netns = bool(plan["netns"])
    spaces = ["--mount", "--pid", "--uts", "--ipc", *(["--net"] if netns else [])]
    with log.open("wb") as errors:
        outer = subprocess.Popen(  # noqa: S603  our own argv, no shell
            [
                program("unshare"), *spaces, "--fork", "--kill-child", "--propagation", "private", "--",
                sys.executable, "-I", str(_INIT), json.dumps(plan),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,  # Ctrl-C is for us; we end it in order
        )  # fmt: skip
    assert outer.stdout is not None
    told = outer.stdout.readline().strip()
    outer.stdout.close()
    if not told.isdigit() or (at := born(int(told))) is None:
        outer.kill()
        outer.wait()
        raise ClusterFailed(f"no namespaces here (root, and the rights of a real machine, are needed): {tail(log)}")
    return Namespace(pid=int(told), born=at, netns=netns), outer


def born(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None: there is none, or only its shell is left.

    Where its first thread has ended and others have not, its sockets are still open: it is there.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        threads = sum(1 for _ in Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" and threads <= 1 else int(fields[19])


class Deadline:
    """So many seconds from now on."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    @property
    def is_over(self) -> bool:
        return time.monotonic() > self._until


def wait_until(is_so: Callable[[], bool], *, what: str, timeout_s: float = 90.0, every_s: float = POLL_S) -> None:
    """ClusterFailed when it does not become so."""
    deadline = Deadline(timeout_s)
    while not is_so():
        if deadline.is_over:
            raise ClusterFailed(f"{what}: not after {timeout_s:g} s")
        time.sleep(every_s)


def program(name: str) -> str:
    """Full path of a program of this machine."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:{_PATH}")
    if found is None:
        raise ClusterFailed(f"{name} is missing (apt-get install util-linux)")
    return found


def _namespace_of(pid: int) -> str | None:
    try:
        return str(Path(f"/proc/{pid}/ns/pid").readlink())
    except OSError:
        return None


def tail(log: Path) -> str:
    """The end of a log."""
    return log.read_text(encoding="utf-8", errors="replace").strip()[-2000:]
