"""Watching one run: time, memory, disk, wishes; then its end record."""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import time

from hpc_adapters.confined import cgroup, folder, processes, sandbox, untrusted
from hpc_adapters.confined.launch import launch
from hpc_adapters.confined.streams import CappedCopy

_TICK_S = 0.2
_HEARTBEAT_S = 1.0
_DISK_EVERY_S = 2.0
_DISK_SHARE = 20  # counting may take one twentieth of the time


class Supervision:
    """The life of one program, from its launch to its end record."""

    def __init__(self, place: str, request: folder.Json, lock: int) -> None:
        self._place, self._request, self._lock = place, request, lock
        self._stopped_for = ""
        self._detail = ""
        self._kill_at: float | None = None
        self._asked = False
        self._warned = request.get("signal") is None
        self._peak_mb = 0.0
        self._next_heartbeat = self._next_disk = 0.0
        self._status = b""
        limits = {name: request[name] for name in ("memory_mb", "cpus", "processes")}
        self._group = cgroup.make(request["attempt_id"], **limits) if request["control_groups"] else None

    def run(self) -> None:
        """Launch, watch, bury the dead, write the end."""
        self._started_us = folder.utc_us()
        folder.write_json(self._place, folder.STARTED, {"started_us": self._started_us, "supervisor": os.getpid()})
        self._began = time.monotonic()
        self._child = launch(self._place, self._request, group=self._group)
        cap = self._request["stdout_cap_bytes"]
        self._copies = {
            "stdout": CappedCopy(self._child.stdout, folder.path(self._place, folder.STDOUT), cap_bytes=cap),
            "stderr": CappedCopy(self._child.stderr, folder.path(self._place, folder.STDERR), cap_bytes=cap),
        }
        code = self._watch()
        elapsed_us = round((time.monotonic() - self._began) * 1e6)
        self._clear_away()
        for copy in self._copies.values():
            copy.drain()
        self._write_end(code, elapsed_us)

    # ---- while it runs

    def _watch(self) -> int:
        """Until the program ends. Its wait status."""
        poller = select.poll()
        exited = os.pidfd_open(self._child.pid)
        copies = {copy.source: copy for copy in self._copies.values()}
        for fd in (exited, self._child.status, *copies):
            poller.register(fd, select.POLLIN | select.POLLHUP)
        next_tick = 0.0
        while True:
            for fd, _ in poller.poll(_TICK_S * 1000):
                more = copies[fd].pump() if fd in copies else fd == exited or self._read_status()
                if not more:
                    poller.unregister(fd)
            pid, code = os.waitpid(self._child.pid, os.WNOHANG)
            if pid:
                os.close(exited)
                return code
            if time.monotonic() >= next_tick:
                self._tick(time.monotonic())
                next_tick = time.monotonic() + _TICK_S

    def _read_status(self) -> bool:
        data = os.read(self._child.status, 4096)
        self._status += data
        return bool(data)

    def _tick(self, now: float) -> None:
        if now >= self._next_heartbeat:
            os.utime(self._lock)
            self._next_heartbeat = now + _HEARTBEAT_S
        if self._kill_at is not None and now >= self._kill_at:
            self._kill()
        elif self._kill_at is not None and not self._asked:
            self._ask()
        if self._memory_exceeded():
            self._stop("out_of_memory", grace_s=0)
        if folder.exists(self._place, folder.CANCEL):
            self._stop("cancelled", grace_s=self._request["grace_s"])
        self._warn(now)
        if now - self._began >= self._request["walltime_s"]:
            self._stop("timed_out", grace_s=self._request["grace_s"])
        if now >= self._next_disk:
            self._look_at_disk(now)

    def _memory_exceeded(self) -> bool:
        if self._group is not None:
            return self._group.memory_kills() > 0
        limit: int = self._request["memory_mb"]
        used = processes.memory_mb(processes.descendants(self._child.pid), suspect_mb=limit)
        self._peak_mb = max(self._peak_mb, used)
        return used > limit

    def _look_at_disk(self, now: float) -> None:
        limit = self._request["disk_mb"]
        places = [folder.path(self._place, folder.WORK), self._request.get("lineage")]
        used = sum(untrusted.disk_used_mb(place, stop_mb=limit) for place in places if place)
        self._next_disk = now + max(_DISK_EVERY_S, _DISK_SHARE * (time.monotonic() - now))
        if used > limit:
            self._stop("failed", grace_s=0, detail="disk-limit")

    def _stop(self, reason: str, *, grace_s: float, detail: str = "") -> None:
        """Ask the program to end, for the first reason that comes up; without grace: make it end."""
        if self._stopped_for:
            return
        self._stopped_for, self._detail = reason, detail
        if grace_s <= 0:
            self._kill()
            return
        self._kill_at = time.monotonic() + grace_s
        self._ask()

    def _warn(self, now: float) -> None:
        """The signal that the job asked for, once, to those of its processes that wait for it."""
        if self._warned:
            return
        name, before_s = self._request["signal"]
        if now - self._began >= self._request["walltime_s"] - before_s:
            self._warned = True
            number = signal.Signals[f"SIG{name}"]
            processes.signal_all(processes.listening(self._inside(), number), number, below=os.getpid())

    def _inside(self) -> list[int]:
        """The job's own. The first one inside the walls is bubblewrap's; without walls the child itself is the job."""
        inside = processes.descendants(self._child.pid)
        return inside[1:] if self._request["sandbox"] != sandbox.NONE else [self._child.pid, *inside]

    def _ask(self) -> None:
        """SIGTERM to all that is inside; again at the next tick when nothing is there yet."""
        targets = self._inside()
        processes.signal_all(targets, signal.SIGTERM, below=os.getpid())
        self._asked = bool(targets)

    def _kill(self) -> None:
        """The whole PID namespace falls with its bubblewrap; without walls `_clear_away` gets the rest."""
        os.kill(self._child.pid, signal.SIGKILL)

    # ---- when it has ended

    def _clear_away(self) -> None:
        """Wait until no process of the run is left. As subreaper we inherit every orphan."""
        while True:
            for pid in processes.descendants(os.getpid()):
                processes.send(pid, signal.SIGKILL)
            try:
                pid, _ = os.waitpid(-1, 0)
            except ChildProcessError:
                break
        while self._read_status():
            pass
        os.close(self._child.status)

    def _write_end(self, code: int, elapsed_us: int) -> None:
        exit_code = self._exit_code(code)
        truncated = [name for name, copy in self._copies.items() if copy.truncated]
        if not self._keep_result():
            truncated.append("result")
        end = {
            "started_us": self._started_us,
            "ended_us": self._started_us + elapsed_us,
            "exit_code": exit_code,
            "ending": self._stopped_for or self._own_ending(exit_code),
            "detail": self._detail,
            "truncated": truncated,
            **self._measures(),
        }
        while True:
            try:
                folder.write_json(self._place, folder.END, end)
            except OSError:  # a full disk: hold on, the run stays 'running' until its end is durable
                time.sleep(_HEARTBEAT_S)
            else:
                break

    def _exit_code(self, code: int) -> int | None:
        """The program's. None: it was never reached, or somebody tore its walls down."""
        own = os.waitstatus_to_exitcode(code)
        if self._request["sandbox"] == sandbox.NONE:
            return own if own >= 0 else 128 - own
        for line in self._status.splitlines():
            status = json.loads(line)
            if "exit-code" in status:
                return int(status["exit-code"])
        return 128 + signal.SIGKILL if self._stopped_for else None

    def _own_ending(self, exit_code: int | None) -> str:
        if self._group is not None and self._group.memory_kills() > 0:
            return "out_of_memory"
        if exit_code is None:
            self._detail = "sandbox-failed"  # the walls did not stand, or somebody outside tore them down
            return "node_failed"
        return "succeeded" if exit_code == 0 else "failed"

    def _keep_result(self) -> bool:
        """Copy the result out of the job's hands. False: there is something that is no usable result."""
        work = folder.path(self._place, folder.WORK)
        content = untrusted.read_regular(work, folder.RESULT, cap_bytes=self._request["result_cap_bytes"])
        if content is None:
            return not folder.exists(work, folder.RESULT)
        try:
            folder.write_bytes(self._place, folder.RESULT, content)
        except OSError:
            return False
        return True

    def _measures(self) -> folder.Json:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu_used_s, peak_mb = used.ru_utime + used.ru_stime, max(self._peak_mb, used.ru_maxrss / 1024)
        by = "process"
        if self._group is not None:
            by = "cgroup"
            cpu_used_s = self._group.cpu_used_s() or cpu_used_s
            peak_mb = self._group.peak_memory_mb() or peak_mb
            self._group.remove()
        return {"cpu_used_s": round(cpu_used_s, 6), "peak_memory_mb": round(peak_mb, 1), "measured_by": by}
