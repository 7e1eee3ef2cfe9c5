"""From the supervisor to the sandboxed program: pipes, limits, exec."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from dataclasses import dataclass

from hpc_adapters.confined import folder, sandbox
from hpc_adapters.confined.cgroup import Group

_PR_SET_PDEATHSIG = 1
_OPEN_FILES = 4096
_SCRATCH_MB = 4096


@dataclass(slots=True)
class Launched:
    """The supervisor's ends of a started program."""

    pid: int
    stdout: int
    stderr: int
    status: int


def launch(place: str, request: folder.Json, *, group: Group | None) -> Launched:
    """Fork; the child becomes bubblewrap (or, without walls, the start script)."""
    secrets = folder.take(place, folder.SECRETS)
    out_read, out_write = os.pipe()
    err_read, err_write = os.pipe()
    status_read, status_write = os.pipe()
    supervisor = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            _die_with(supervisor)
            stdin = os.open(os.devnull, os.O_RDONLY) if secrets is None else _held(secrets)
            _become(place, request, group, stdio=(stdin, out_write, err_write), status=status_write)
        except BaseException as error:  # noqa: BLE001  whatever it was: this process must not live on as a second supervisor
            os.write(2, f"kyoyo: cannot start: {error}\n".encode())
        os._exit(126)
    for fd in (out_write, err_write, status_write):
        os.close(fd)
    return Launched(pid, out_read, err_read, status_read)


def _become(place: str, request: folder.Json, group: Group | None, *, stdio: tuple[int, int, int], status: int) -> None:
    os.setsid()
    os.umask(0o022)
    for ignored in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and that would be inherited
        signal.signal(ignored, signal.SIG_DFL)
    for target, source in enumerate(stdio):
        os.dup2(source, target)
    if group is not None:
        group.join()
    _limit(request)
    start = folder.path(folder.path(place, folder.FILES), folder.START)
    if request["sandbox"] == sandbox.NONE:
        os.chdir(folder.path(place, folder.WORK))
        os.execve("/bin/sh", ["/bin/sh", start], sandbox.CLEAN_ENVIRONMENT)  # noqa: S606  a fixed program
    argv = _walled(place, request, status)
    os.execvpe(argv[0], argv, sandbox.CLEAN_ENVIRONMENT)  # noqa: S606  our own words only


def _die_with(supervisor: int) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != supervisor:
        os._exit(126)  # it died before we could ask


def _walled(place: str, request: folder.Json, status: int) -> list[str]:
    lock = folder.acquire(place, folder.SANDBOX)
    assert lock is not None, "the supervisor's lock lets only one of us be here"
    kind, uid = request["sandbox"], request["uid"]
    descriptors = {name: _held(content.encode()) for name, content in sandbox.accounts(kind, uid).items()}
    descriptors |= {"sync": lock, "status": status}
    for fd in descriptors.values():
        os.set_inheritable(fd, True)  # noqa: FBT003  the library's own form
    walls = sandbox.walls(
        kind,
        read_only=request["read_only"],
        network=request["network"],
        scratch_mb=min(request["memory_mb"], _SCRATCH_MB),
        work=folder.path(place, folder.WORK),
        files=folder.path(place, folder.FILES),
        lineage=request.get("lineage"),
        inputs=request.get("inputs"),
        descriptors=descriptors,
    )
    return [*walls, "/bin/sh", f"{sandbox.FILES_INSIDE}/{folder.START}"]


def _held(content: bytes) -> int:
    fd = os.memfd_create("held")
    os.write(fd, content)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _limit(request: folder.Json) -> None:
    size = request["disk_mb"] * 2**20
    for what, limit in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_FSIZE, size),
    ):
        _, hard = resource.getrlimit(what)
        limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)  # noqa: PLW2901  never above ours
        resource.setrlimit(what, (limit, limit))
    with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:  # noqa: PTH123  no pathlib here
        file.write("500")  # a machine short of memory kills the job before the supervisor
