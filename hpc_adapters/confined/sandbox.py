"""The walls around a run: how they are built here, and the proof that they stand.

`ROOT`: bubblewrap without a user namespace; inside, `setpriv` drops to the attempt's own user id for good.
`USER`: bubblewrap with a user namespace, for a server that is not root.
`NONE`: nothing works here; the run is an ordinary process of the server's user, which only one organisation may use.
"""

from __future__ import annotations

import functools
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence

ROOT, USER, NONE = "root", "user", "none"
WORK_INSIDE, FILES_INSIDE, LINEAGE_INSIDE = "/job", "/kyoyo", "/checkpoint"
INPUTS_INSIDE = f"{WORK_INSIDE}/input"
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
CLEAN_ENVIRONMENT = {"PATH": SYSTEM_PATH, "LANG": "C.UTF-8"}
_PROBE_UID = 1_900_000_000
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_ETC = ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "localtime", "nsswitch.conf", "ssl/certs")


@functools.cache
def detect() -> str:
    """The best kind that really works here, found by trying it."""
    if any(shutil.which(program, path=SYSTEM_PATH) is None for program in ("bwrap", "setpriv", "prlimit", "env")):
        return NONE
    kind = ROOT if os.geteuid() == 0 else USER
    return kind if _stands(kind) else NONE


def _stands(kind: str) -> bool:
    """Whether a run in such a sandbox has the user id meant for it and sees only its own processes."""
    uid = _PROBE_UID if kind == ROOT else os.geteuid()
    want = str(uid if kind == ROOT else _INNER_UID)
    inside = "id -u; cat /proc/self/status | grep -E '^(NoNewPrivs|CapEff|NSpid):'; ls /proc | grep -cE '^[0-9]+$'"
    argv = [*walls(kind), *inner(kind, uid=uid, processes=64), "/bin/sh", "-c", inside]
    try:
        done = subprocess.run(  # noqa: S603  our own words only
            argv, env=CLEAN_ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True, timeout=20, check=True, cwd="/"
        )
    except (OSError, subprocess.SubprocessError):
        return False
    lines = done.stdout.decode(errors="replace").split("\n")
    facts = dict(line.split(":", 1) for line in lines if ":" in line)
    alone = lines[-2].isdigit() and int(lines[-2]) < 10  # noqa: PLR2004  a handful: the sandbox's own processes
    no_rights = int(facts.get("CapEff", "1").strip(), 16) == 0 and facts.get("NoNewPrivs", "").strip() == "1"
    return lines[0] == want and alone and no_rights


_INNER_UID = 60_000


def walls(
    kind: str,
    *,
    read_only: Sequence[str] = (),
    network: bool = False,
    scratch_mb: int = 64,
    work: str | None = None,
    files: str | None = None,
    lineage: str | None = None,
    inputs: str | None = None,
    descriptors: Mapping[str, int] | None = None,
) -> list[str]:
    """The bubblewrap call up to its command. `descriptors`: 'sync', 'status', 'passwd', 'group', 'hosts'."""
    fds = descriptors or {}
    argv = ["bwrap", "--die-with-parent", "--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-cgroup-try"]
    argv += ["--hostname", "job"]
    argv += [] if network else ["--unshare-net"]
    if kind == USER:
        argv += ["--unshare-user", "--uid", str(_INNER_UID), "--gid", str(_INNER_UID)]
    for option, name in (("--sync-fd", "sync"), ("--json-status-fd", "status")):
        argv += [option, str(fds[name])] if name in fds else []
    argv += [*_system(), "--proc", "/proc", "--dev", "/dev"]
    for place in ("/tmp", "/dev/shm"):  # noqa: S108  inside the sandbox they are its own
        argv += ["--perms", "1777", "--size", str(scratch_mb * 2**20), "--tmpfs", place]
    for name in ("passwd", "group", "hosts"):
        argv += ["--perms", "0444", "--ro-bind-data", str(fds[name]), f"/etc/{name}"] if name in fds else []
    for source in sorted(set(read_only)):  # outer folders before what lies in them
        argv += [*_parents(source), "--ro-bind", source, source]
    argv += ["--bind", work, WORK_INSIDE, "--chdir", WORK_INSIDE] if work else ["--chdir", "/"]
    argv += ["--ro-bind", files, FILES_INSIDE] if files else []
    argv += ["--bind", lineage, LINEAGE_INSIDE] if lineage else []
    argv += ["--ro-bind", inputs, INPUTS_INSIDE] if inputs else []
    return [*argv, "--remount-ro", "/dev", "--remount-ro", "/", "--"]


def _system() -> list[str]:
    """The machine's programs and libraries, and the few files of /etc that programs need."""
    argv: list[str] = []
    for place in _SYSTEM:
        if os.path.islink(place):  # noqa: PTH114  the supervisor does not load pathlib
            argv += ["--symlink", os.readlink(place), place]  # noqa: PTH115  see above
        elif os.path.isdir(place):  # noqa: PTH112  see above
            argv += ["--ro-bind", place, place]
    for place in (f"/etc/{name}" for name in _ETC):
        argv += [*_parents(place), "--ro-bind-try", place, place]
    return argv


def _parents(place: str) -> list[str]:
    """The folders above a bound path: empty but for it. Bubblewrap by itself would let only its own user pass."""
    above = [place[: match.start()] for match in re.finditer("/", place) if match.start()]
    return [word for folder in above for word in ("--perms", "0755", "--dir", folder)]


def inner(kind: str, *, uid: int, processes: int) -> list[str]:
    """What runs first inside: takes every right away, then becomes the command that follows."""
    argv = ["prlimit", f"--nproc={processes}:{processes}", "--"]
    if kind == ROOT:
        argv += ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--no-new-privs"]
        argv += ["--bounding-set=-all", "--inh-caps=-all", "--"]
    return argv


_READ_SECRETS = 'eval "$(/bin/cat)"; exec "$@" </dev/null'


def start_script(
    kind: str,
    *,
    uid: int,
    processes: int,
    environment: Mapping[str, str],
    argv: Sequence[str],
    ends_in_s: int | None = None,
    reads_secrets: bool = False,
) -> str:
    """The first program inside. The job's environment is set only after the rights are gone: LD_PRELOAD comes too late.

    A file and not a command line, so that other users of the machine cannot read the environment in the process list.
    """
    first = [] if kind == NONE else inner(kind, uid=uid, processes=processes)
    pairs = [f"{name}={value}" for name, value in environment.items()]
    end = [] if ends_in_s is None else [f"KYOYO_END_AT=$(($(date +%s) + {ends_in_s}))"]
    reader = ["/bin/sh", "-c", _READ_SECRETS, "sh"] if reads_secrets else []
    words = [shlex.join([*first, "env", "-i", *pairs]), *end, shlex.join([*reader, *argv])]
    return f"#!/bin/sh\nexec {' '.join(words)}\n"


def secrets_text(secrets: Mapping[str, str]) -> str:
    """What the first program inside reads from its standard input: there, no other user of the machine sees it."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in secrets.items())


def accounts(kind: str, uid: int) -> dict[str, str]:
    """The sandbox's own small /etc: the job's user and nobody else of this machine."""
    number = uid if kind == ROOT else _INNER_UID
    return {
        "passwd": f"root:x:0:0::/:/bin/false\njob:x:{number}:{number}::{WORK_INSIDE}:/bin/sh\n",
        "group": f"root:x:0:\njob:x:{number}:\n",
        "hosts": "127.0.0.1 localhost job\n::1 localhost\n",
    }
