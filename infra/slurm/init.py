"""The first process of a cluster's namespaces: builds its file system, then waits. Standard library only.

Started by namespace.py under `unshare`, with the plan as JSON in its first argument. When it ends, the kernel ends
every process of the cluster and unmounts everything. It ends when its standard input does, that is with whoever started
it in whatever way, unless it was told `keep` before.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import shlex
import signal
import socket
import stat
import struct
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

MS_RDONLY, MS_NOSUID, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 32, 4096, 16384, 1 << 18
MNT_DETACH = 2
SIOCSIFFLAGS, SIOCSIFADDR, IFF_UP = 0x8914, 0x8916, 0x1
NULL_DEVICE = os.makedev(1, 3)
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source: str, target: str | Path, kind: str = "", flags: int = 0, data: str = "") -> None:
    """The system call."""
    words = [word.encode() or None for word in (source, str(target), kind, data)]
    _check(_libc.mount(words[0], words[1], words[2], ctypes.c_ulong(flags), words[3]), f"mount {source} on {target}")


def bind(source: Path, target: Path, *, read_only: bool = False) -> None:
    """The same file or folder at a second place, which is made."""
    if source.is_dir():
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    mount(str(source), target, flags=MS_BIND | MS_REC)
    if read_only:
        mount("", target, flags=MS_BIND | MS_REMOUNT | MS_RDONLY)


def make_root(debian: Path, aside: Path) -> Path:
    """A root that may be written to: in memory, over the Debian folder, which stays as it is."""
    mount("tmpfs", aside, "tmpfs", data="mode=0755")
    upper, work, root = (aside / name for name in ("upper", "work", "root"))
    for folder in (upper, work, root):
        folder.mkdir(mode=0o755)
    mount("overlay", root, "overlay", data=f"lowerdir={debian},upperdir={upper},workdir={work}")
    return root


def make_devices(dev: Path, gpus: int) -> None:
    """What programs expect, and the fake GPUs: they swallow everything, as /dev/null does."""
    mount("tmpfs", dev, "tmpfs", MS_NOSUID, "mode=0755")
    for name in DEVICES:
        bind(Path("/dev", name), dev / name)
    for number in range(gpus):
        gpu = dev / f"nvidia{number}"
        os.mknod(gpu, stat.S_IFCHR | 0o666, NULL_DEVICE)
        gpu.chmod(0o666)
    for name, target in (("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        (dev / name).symlink_to(target)
    (dev / "pts").mkdir()
    mount("devpts", dev / "pts", "devpts", data="newinstance,ptmxmode=0666,mode=0620,gid=5")
    (dev / "ptmx").symlink_to("pts/ptmx")
    (dev / "shm").mkdir()
    mount("tmpfs", dev / "shm", "tmpfs", data="mode=1777")


def make_passable(root: Path, path: Path) -> None:
    """Every user may go through the folders above a path; what lies in them stays unreadable. In this root only."""
    for folder in path.relative_to("/").parents:
        above = root / folder
        above.chmod(above.stat().st_mode | 0o111)


def furnish(root: Path, plan: Mapping[str, object]) -> None:
    """Puts in place what the plan names: own folders, software of the host, users."""
    own = plan["own"]
    assert isinstance(own, dict)
    for inside, outside in own.items():
        bind(Path(outside), root / inside.lstrip("/"))
        make_passable(root, Path(inside))
    software, commands = plan["software"], plan["commands"]
    assert isinstance(software, Sequence)
    assert isinstance(commands, dict)
    for place in map(Path, software):
        bind(place, root / place.relative_to("/"), read_only=True)
        make_passable(root, place)

    for name, program in commands.items():
        command = root / "usr" / "local" / "bin" / name
        command.write_text(f'#!/bin/sh\nexec {shlex.quote(program)} "$@"\n')  # a link would not find its packages
        command.chmod(0o755)


def enter(root: Path) -> None:
    """From here on there is nothing else."""
    old = root / ".old"
    old.mkdir()
    _check(_libc.pivot_root(str(root).encode(), str(old).encode()), "pivot_root")
    os.chdir("/")
    _check(_libc.umount2(b"/.old", MNT_DETACH), "umount")
    Path("/.old").rmdir()


def loopback_up() -> None:
    """A new network namespace has a loopback that is down.

    A second address: with 127.0.0.1 alone the C library holds that there is no IPv4, and slurmdbd would not listen.
    """
    second = struct.pack("=HH4s8x", socket.AF_INET, 0, socket.inet_aton("127.0.0.2"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))
        fcntl.ioctl(any_socket, SIOCSIFADDR, struct.pack("16s16s", b"lo:1", second))


def wait() -> None:
    """Until standard input ends, or for ever once `keep` was read."""
    if sys.stdin.readline().strip() == "keep":
        while True:
            signal.pause()


def main() -> None:
    """Build, say so, wait."""
    plan = json.loads(sys.argv[1])
    me = Path("/proc/self").readlink().name  # the number that the world outside knows: this /proc is still its own
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the dead need no burial
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one who started us, who then ends us
    socket.sethostname(plan["host"])
    if plan["netns"]:
        loopback_up()
    mount("", "/", flags=MS_REC | MS_PRIVATE)
    root = make_root(Path(plan["debian"]), Path(plan["aside"]))
    mount("proc", root / "proc", "proc")
    make_devices(root / "dev", plan["gpus"])
    furnish(root, plan)
    enter(root)
    sys.stdout.write(f"{me}\n")
    sys.stdout.flush()
    wait()


if __name__ == "__main__":
    main()
