"""Runs inside a job, standard library only: tries every way out that it knows, and prints what it reached."""

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

GOALS = json.loads(sys.argv[1])
CLONE_NEWNS, MS_REMOUNT, PTRACE_ATTACH, PIDS_OF_OUR_OWN = 0x20000, 32, 16, 10
LIBC = ctypes.CDLL(None, use_errno=True)


def read_files() -> list[str]:
    reached = []
    for name in GOALS["files"]:
        for way in (name, f"/proc/1/root{name}", f"/proc/self/cwd/../../../../../..{name}"):
            try:
                found = any(Path(way).iterdir()) if Path(way).is_dir() else bool(Path(way).read_bytes())
            except OSError:
                continue
            if found:
                reached.append(f"read {name}")
                break
    return reached


def write_folders() -> list[str]:
    reached = []
    for folder in GOALS["folders"]:
        try:
            Path(folder, "planted").write_text("x")
            reached.append(f"write {folder}")
        except OSError:
            continue
    return reached


def connect(family: int, address: object, name: str) -> list[str]:
    with socket.socket(family) as client:
        client.settimeout(2)
        try:
            client.connect(address)
        except OSError:
            return []
    return [f"connect {name}"]


def change_own_script() -> list[str]:
    try:
        with Path("/kyoyo/script").open("a") as file:
            file.write("x")
    except OSError:
        return []
    return ["own script"]


def see_processes() -> list[str]:
    pids = [entry for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return ["processes"] if len(pids) > PIDS_OF_OUR_OWN else []


def kill_the_keeper() -> list[str]:
    """The first process of our own namespace. When it falls, we fall with it, and the report is never printed."""
    with suppress(OSError):
        os.kill(1, signal.SIGKILL)
    return []


def become_root() -> list[str]:
    for way in (lambda: os.setuid(0), lambda: os.setgroups([0]), lambda: os.seteuid(0)):
        try:
            way()
        except OSError:
            continue
        return ["root"]
    done = subprocess.run(["/bin/su", "-c", "id -u"], capture_output=True, stdin=subprocess.DEVNULL, check=False)
    return ["root by su"] if done.stdout.strip() == b"0" else []


def mount_anew() -> list[str]:
    """Also from within a user namespace of our own, where we are a kind of root."""
    program = "mount -o remount,rw,bind /usr && echo x > /usr/planted && echo reached; umount /job && ls /"
    done = subprocess.run(["unshare", "-Urm", "sh", "-c", program], capture_output=True, check=False)
    return ["mount"] if b"reached" in done.stdout else []


def make_device() -> list[str]:
    try:
        os.mknod("disk", 0o60600, os.makedev(8, 0))
        Path("disk").read_bytes()
    except OSError:
        return []
    return ["device"]


def attach() -> list[str]:
    """Without root on the machine, the first process of our namespace is our own user's: no prize."""
    if not GOALS["root"]:
        return []
    return ["ptrace"] if LIBC.ptrace(PTRACE_ATTACH, 1, 0, 0) == 0 else []


WAYS: list[Callable[[], list[str]]] = [
    read_files,
    write_folders,
    lambda: connect(socket.AF_UNIX, GOALS["socket"], "socket"),
    lambda: connect(socket.AF_UNIX, "\0" + GOALS["abstract"], "abstract"),
    lambda: connect(socket.AF_INET, ("127.0.0.1", GOALS["port"]), "network"),
    see_processes,
    change_own_script,
    become_root,
    mount_anew,
    make_device,
    attach,
    kill_the_keeper,
]
QUIET_WAYS = WAYS[:6]  # what does no harm when it works

ways = QUIET_WAYS if "quiet" in sys.argv else WAYS
reached = [f"REACHED {thing}" for way in ways for thing in way()]
report = [f"tried {len(ways)} ways", *(reached or ["reached nothing"])]
sys.stdout.write("\n".join(report) + "\n")
