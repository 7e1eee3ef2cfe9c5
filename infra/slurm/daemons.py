"""The six kinds of daemons: how each is started, how its processes are told apart, and when it serves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from infra.slurm.layout import LOG, RUN, STATE
from infra.slurm.namespace import Namespace
from infra.slurm.site import HOST, REST_USER, RESTD, Site

MYSQL_SOCKET = "/run/mysqld/mysqld.sock"
REST_SOCKET = f"{RUN}/restd/restd.sock"
_READY_S = 5.0


class Daemon(StrEnum):
    """In the order in which they are started."""

    MUNGED = "munged"
    MARIADBD = "mariadbd"
    SLURMDBD = "slurmdbd"
    SLURMCTLD = "slurmctld"
    SLURMD = "slurmd"
    SLURMRESTD = "slurmrestd"


@dataclass(frozen=True, slots=True)
class Start:
    """user: who it runs as; slurmctld and slurmdbd become `slurm` by themselves."""

    argv: Sequence[str]
    user: str = "root"


def how(daemon: Daemon, site: Site, node: str | None = None) -> Start:
    """Its command line."""
    match daemon:
        case Daemon.MUNGED:
            key, log = "--key-file=/etc/slurm/munge.key", f"--log-file={LOG}/munged.log"
            return Start(["/usr/sbin/munged", "--foreground", "--force", key, log], user="munge")
        case Daemon.MARIADBD:
            return Start(_mariadbd(), user="mysql")
        case Daemon.SLURMDBD:
            return Start(["env", f"MYSQL_UNIX_PORT={MYSQL_SOCKET}", "/usr/sbin/slurmdbd", "-D"])
        case Daemon.SLURMCTLD:
            return Start(["/usr/sbin/slurmctld", "-D"])
        case Daemon.SLURMD:
            assert node is not None, "slurmd runs on a node"
            return Start(["/usr/sbin/slurmd", "-D", "-N", node])
        case Daemon.SLURMRESTD:
            # SLURM_JWT=daemon: it speaks to slurmctld with the tokens of whoever asks, and has no right of its own.
            words = ["SLURM_JWT=daemon", "SLURMRESTD_SECURITY=disable_unshare_sysv,disable_unshare_files"]
            listens = [f"unix:{REST_SOCKET}", f"127.0.0.1:{site.port(RESTD)}"]
            return Start(["env", *words, "/usr/sbin/slurmrestd", "-a", "rest_auth/jwt", *listens], user=REST_USER)


def _mariadbd() -> list[str]:
    """A small one that need not survive a power cut."""
    return [
        "/usr/sbin/mariadbd",
        "--no-defaults",
        f"--datadir={STATE}/mysql",
        f"--socket={MYSQL_SOCKET}",
        f"--pid-file={STATE}/mysql/pid",
        "--skip-networking",
        "--innodb-buffer-pool-size=128M",
        "--innodb-log-file-size=32M",
        "--innodb-flush-log-at-trx-commit=0",
        "--innodb-lock-wait-timeout=900",
        "--loose-innodb-snapshot-isolation=OFF",
        "--max-allowed-packet=16M",
    ]


def is_of(daemon: Daemon, words: Sequence[str], node: str | None) -> bool:
    """Whether a command line is that daemon's (on that node; None: on any)."""
    if not words or words[0].rpartition("/")[2] != daemon.value:
        return False
    return daemon is not Daemon.SLURMD or node is None or words[-1] == node


_CONNECT = "IO::Socket::UNIX->new(Peer => $ARGV[0]) and print 'yes'"
"""Its socket's file outlives a server that was killed."""


def serves(space: Namespace, daemon: Daemon, node: str | None = None) -> bool:
    """Whether it answers at this moment."""

    def answers(*argv: str) -> str:
        done = space.run(argv, timeout_s=_READY_S)
        return done.stdout if done.returncode == 0 else ""

    checks: dict[Daemon, Callable[[], bool]] = {
        Daemon.MUNGED: lambda: "STATUS" in answers("sh", "-c", "munge -n | unmunge"),
        Daemon.MARIADBD: lambda: bool(answers("mariadb-admin", "--no-defaults", f"--socket={MYSQL_SOCKET}", "ping")),
        Daemon.SLURMDBD: lambda: HOST in answers("sacctmgr", "ping") or bool(answers("sacctmgr", "-n", "list", "qos")),
        Daemon.SLURMCTLD: lambda: " is UP" in answers("scontrol", "ping"),
        Daemon.SLURMD: lambda: _is_up(answers("sinfo", "--noheader", "--Node", "--format=%t", f"--nodes={node}")),
        Daemon.SLURMRESTD: lambda: bool(answers("perl", "-MIO::Socket::UNIX", "-e", _CONNECT, REST_SOCKET)),
    }
    return checks[daemon]()


def _is_up(states: str) -> bool:
    """In sinfo's words, which mark a node that does not answer with an asterisk."""
    words = states.split()
    return bool(words) and not any(word.endswith("*") or word.startswith(("down", "unk", "inval")) for word in words)
