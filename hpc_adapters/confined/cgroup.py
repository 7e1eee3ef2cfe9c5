"""A control group of its own for a run, where this machine lets us make one (version 2 or 1)."""

from __future__ import annotations

import os
import time

_V1_ROOT = "/sys/fs/cgroup"
_V2_CONTROLLERS = "+memory +pids +cpu"
_PERIOD_US = 100_000


class Group:
    """Limits and exact measures of a run. `folders` are its directories: one in version 2, one a controller in 1."""

    def __init__(self, folders: dict[str, str]) -> None:
        self._folders = folders
        self._v2 = "" in folders

    def join(self) -> None:
        """Put the calling process into the group; what it starts follows."""
        for folder in self._folders.values():
            _write(folder, "cgroup.procs", str(os.getpid()))

    def memory_kills(self) -> int:
        """How often the kernel killed a process of the run for its memory."""
        content = self._read("memory", "memory.events" if self._v2 else "memory.oom_control")
        fields = dict(line.split() for line in content.splitlines())
        return int(fields.get("oom_kill", 0))

    def peak_memory_mb(self) -> float | None:
        """None: this kernel does not say."""
        content = self._read("memory", "memory.peak" if self._v2 else "memory.max_usage_in_bytes")
        return round(int(content) / 2**20, 1) if content else None

    def cpu_used_s(self) -> float | None:
        """None: this kernel does not say."""
        if not self._v2:
            content = self._read("cpuacct", "cpuacct.usage")
            return int(content) / 1e9 if content else None
        fields = dict(line.split() for line in self._read("cpu", "cpu.stat").splitlines())
        return int(fields["usage_usec"]) / 1e6 if "usage_usec" in fields else None

    def remove(self) -> None:
        """Needs an empty group; the kernel takes a moment after the last process has gone."""
        for folder in self._folders.values():
            for _ in range(20):
                try:
                    os.rmdir(folder)  # noqa: PTH106  the supervisor does not load pathlib
                except FileNotFoundError:
                    break
                except OSError:
                    time.sleep(0.01)
                else:
                    break

    def _read(self, controller: str, name: str) -> str:
        folder = self._folders.get("" if self._v2 else controller)
        return "" if folder is None else _read(folder, name)


def make(run: str, *, memory_mb: int, cpus: int, processes: int) -> Group | None:
    """None where the machine does not allow it (or not the memory controller, without which it is not worth it)."""
    try:
        return _make_v2(run, memory_mb, cpus, processes) or _make_v1(run, memory_mb, cpus, processes)
    except OSError:
        find(run).remove()
        return None


def find(run: str) -> Group:
    """The group that `make` once made for the run, whether it is still there or not."""
    base = _v2_base()
    if base is not None:
        return Group({"": f"{base}/{run}"})
    return Group({name: f"{_v1_base(name)}/{run}" for name in ("memory", "pids", "cpu", "cpuacct")})


def _make_v2(run: str, memory_mb: int, cpus: int, processes: int) -> Group | None:
    base = _v2_base()
    if base is None:
        return None
    os.makedirs(f"{base}/{run}", exist_ok=True)  # noqa: PTH103  the supervisor does not load pathlib
    _write(os.path.dirname(base), "cgroup.subtree_control", _V2_CONTROLLERS)  # noqa: PTH120  see above
    _write(base, "cgroup.subtree_control", _V2_CONTROLLERS)
    folder = f"{base}/{run}"
    _write(folder, "memory.max", str(memory_mb * 2**20))
    _write(folder, "memory.swap.max", "0", required=False)
    _write(folder, "memory.oom.group", "1", required=False)
    _write(folder, "pids.max", str(processes))
    _write(folder, "cpu.max", f"{cpus * _PERIOD_US} {_PERIOD_US}")
    return Group({"": folder})


def _make_v1(run: str, memory_mb: int, cpus: int, processes: int) -> Group | None:
    folders = {}
    for controller in ("memory", "pids", "cpu", "cpuacct"):
        folder = f"{_v1_base(controller)}/{run}"
        os.stat(f"{_V1_ROOT}/{controller}/cgroup.procs")  # noqa: PTH116  raises where the controller is not mounted
        os.makedirs(folder, exist_ok=True)  # noqa: PTH103  the supervisor does not load pathlib
        folders[controller] = folder
    _write(folders["memory"], "memory.limit_in_bytes", str(memory_mb * 2**20))
    _write(folders["memory"], "memory.memsw.limit_in_bytes", str(memory_mb * 2**20), required=False)
    _write(folders["pids"], "pids.max", str(processes))
    _write(folders["cpu"], "cpu.cfs_quota_us", str(cpus * _PERIOD_US), required=False)
    return Group(folders)


def _v2_base() -> str | None:
    controllers = _read(_V1_ROOT, "cgroup.controllers").split()
    return f"{_V1_ROOT}/kyoyo" if "memory" in controllers else None


def _v1_base(controller: str) -> str:
    """Below our own group, so that its limits hold for the runs too; at the top where a container hides our path."""
    root = f"{_V1_ROOT}/{controller}"
    for line in _read("/proc/self", "cgroup").splitlines():
        _, names, own = line.split(":", 2)
        if controller in names.split(",") and os.path.isdir(root + own):  # noqa: PTH112  no pathlib here
            return f"{root}{own.rstrip('/')}/kyoyo"
    return f"{root}/kyoyo"


def _read(folder: str, name: str) -> str:
    try:
        with open(f"{folder}/{name}", encoding="ascii") as file:  # noqa: PTH123  no pathlib here
            return file.read()
    except OSError:
        return ""


def _write(folder: str, name: str, content: str, *, required: bool = True) -> None:
    try:
        fd = os.open(f"{folder}/{name}", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, content.encode())
        finally:
            os.close(fd)
    except OSError:
        if required:
            raise
