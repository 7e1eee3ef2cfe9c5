"""A private Slurm cluster on this machine: started, used, hurt and stopped from Python.

Everything runs in namespaces of its own whose first process ends with whoever started it. Nothing is written outside
the given folder, and only the folder is left when it was killed. Needs root, and the Debian folders of roots.sh.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from infra.slurm import daemons, namespace, records
from infra.slurm.daemons import MYSQL_SOCKET, Daemon
from infra.slurm.layout import STATE, write_files
from infra.slurm.namespace import ClusterFailed, Deadline, Namespace, tail, wait_until
from infra.slurm.site import (
    CLUSTER,
    HOST,
    RELEASES,
    RESTD,
    SERVICE_USER,
    Site,
    accounting,
    with_option,
)

FACTS = "cluster.json"
DATABASE = Path(__file__).parent / "templates" / "database.sql"
GRACE_S = 1.0
"""A daemon that is not there so long after its start has ended by itself."""
LONGEST_FOLDER = 80
"""A socket's path may have no more than 107 characters."""


class RootMissing(ClusterFailed):
    """The Debian folder of this release is not there. The message says how to get it."""


class InUse(ClusterFailed):
    """A cluster runs in this folder, or something else lies there."""


def roots() -> Path:
    """Where the Debian folders are."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "kyoyo" / "slurm"


def version_of(release: str) -> str | None:
    """Slurm's full version in the Debian folder of a release; None: it is not there, or not whole."""
    stamp = roots() / RELEASES[release] / "etc" / "kyoyo-root"
    try:
        facts = dict(line.split("=", 1) for line in stamp.read_text(encoding="utf-8").splitlines())
    except (OSError, ValueError):
        return None
    return facts.get("slurm")


@dataclass(slots=True)
class Cluster:
    """A running cluster. As a context manager it ends with the block."""

    folder: Path
    release: str
    version: str
    site: Site
    space: Namespace
    _outer: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """The REST API, for who is outside."""
        return f"unix:{self.folder / 'run' / 'restd' / 'restd.sock'}"

    @property
    def tcp_url(self) -> str:
        """The REST API over TCP: reachable from outside without a network namespace only."""
        return f"http://127.0.0.1:{self.site.port(RESTD)}"

    @property
    def name(self) -> str:
        """ClusterName."""
        return CLUSTER

    @property
    def service_user(self) -> str:
        """Operator of Slurm, an ordinary user of the machine."""
        return SERVICE_USER

    @property
    def jwt_key(self) -> bytes:
        return self.jwt_key_file.read_bytes()

    @property
    def jwt_key_file(self) -> Path:
        return self.folder / "etc" / "jwt.key"

    @property
    def shared(self) -> Path:
        """The site's shared file system: the same path inside and outside, and every user may go through it."""
        return self.folder / "shared"

    @property
    def uids(self) -> Mapping[str, int]:
        """Unix users of the cluster, which this machine itself does not know."""
        return self.site.uids

    def exec(
        self,
        *argv: str,
        user: str = "root",
        check: bool = False,
        text_input: str = "",
        timeout_s: float = 60.0,
    ) -> subprocess.CompletedProcess[str]:
        """A command inside; exit code 124 when it took too long. ClusterFailed, with check=True."""
        return self.space.run(argv, user=user, check=check, text_input=text_input, timeout_s=timeout_s)

    def kill(self, daemon: str, *, node: str | None = None, number: signal.Signals = signal.SIGKILL) -> None:
        """Ends a daemon, on one node or on all, and returns when it is gone. Its jobs go on."""
        gone = self._signal(Daemon(daemon), node, number)
        wait_until(lambda: all(namespace.born(pid) != born for pid, born in gone), what=f"end of {daemon}")

    def pause(self, daemon: str, *, node: str | None = None) -> None:
        """It is there, and answers nothing."""
        self._signal(Daemon(daemon), node, signal.SIGSTOP)

    def resume(self, daemon: str, *, node: str | None = None) -> None:
        """After pause()."""
        self._signal(Daemon(daemon), node, signal.SIGCONT)

    def runs(self, daemon: str, *, node: str | None = None) -> bool:
        """Whether there is a process of it."""
        return bool(self._pids(Daemon(daemon), node))

    def start_daemon(self, daemon: str, *, node: str | None = None, wait: bool = True) -> None:
        """Starts what does not run, on one node or on all; with wait=True returns when it serves. ClusterFailed."""
        kind = Daemon(daemon)
        nodes: Sequence[str | None] = [None] if kind is not Daemon.SLURMD else [node] if node else self.site.node_names
        for each in nodes:
            if not self._pids(kind, each):
                self._launch(kind, each)
        for each in nodes if wait else ():
            self._wait_for(kind, each)

    def set_option(self, option: str, value: str) -> None:
        """Changes slurm.conf; daemons read it when they start, or after `scontrol reconfigure`."""
        path = self.folder / "etc" / "slurm.conf"
        path.write_text(with_option(path.read_text(encoding="utf-8"), option, value), encoding="utf-8")

    def let_preempt(self, *qos: str, by: str = "high") -> None:
        """From now on jobs of `by` may preempt those of the given QOS."""
        for each in qos:
            self.exec("sacctmgr", "-i", "modify", "qos", by, "set", f"preempt+={each}", check=True)
            self.exec("sacctmgr", "-i", "modify", "qos", each, "set", "preemptmode=cancel", check=True)

    def sacct(self, *, since: str = "now-1day") -> list[records.Row]:
        """What Slurm's accounting says, one row for each run of a job, also those that have the same number."""
        argv = ("sacct", "--json", "--duplicates", "--allusers", f"--starttime={since}")
        return records.parse(json.loads(self.exec(*argv, check=True).stdout))

    def keep(self) -> None:
        """From now on it goes on when we end; stop() or `python -m infra.slurm stop` ends it."""
        if self._outer is not None and self._outer.stdin is not None:
            self._outer.stdin.write(b"keep\n")
            self._outer.stdin.close()
            self._outer.stdin = None

    def stop(self) -> None:
        """Ends all of it and removes the folder. Harmless when it has ended already."""
        self.end()
        shutil.rmtree(self.folder, ignore_errors=True)

    def end(self) -> None:
        """Ends all of it; the folder stays, for who wants to read its logs."""
        self.space.end()
        if self._outer is not None:
            if self._outer.stdin is not None:
                self._outer.stdin.close()
                self._outer.stdin = None
            self._outer.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _pids(self, daemon: Daemon, node: str | None) -> list[int]:
        return [pid for pid, words in self.space.processes() if daemons.is_of(daemon, words, node)]

    def _signal(self, daemon: Daemon, node: str | None, number: signal.Signals) -> list[tuple[int, int | None]]:
        found = [(pid, namespace.born(pid)) for pid in self._pids(daemon, node)]
        for pid, _ in found:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        return found

    def _wait_for(self, daemon: Daemon, node: str | None) -> None:
        deadline = Deadline(GRACE_S)

        def serves_or_died() -> bool:
            if daemons.serves(self.space, daemon, node):
                return True
            if deadline.is_over and not self._pids(daemon, node):
                raise ClusterFailed(f"{daemon} ended at its start:\n{tail(self._log(daemon, node))}")
            return False

        wait_until(serves_or_died, what=f"{daemon} {node or ''}".rstrip())

    def _log(self, daemon: Daemon, node: str | None) -> Path:
        return self.folder / "log" / f"{daemon}{f'-{node}' if node else ''}.out"

    def _launch(self, daemon: Daemon, node: str | None = None) -> None:
        start = daemons.how(daemon, self.site, node)
        with self._log(daemon, node).open("ab") as log:
            self.space.launch(start.argv, user=start.user, log=log)


def start(folder: Path, release: str = "24.11", *, keep: bool = False, **site: Any) -> Cluster:
    """A running cluster in a folder of its own; site: what site.Site takes. Blocks for a few seconds.

    It ends with this process, however that ends; with keep=True it goes on. RootMissing, InUse, ClusterFailed.
    """
    version = version_of(release)
    if version is None:
        raise RootMissing(f"the Debian folder with Slurm {release} is missing: run infra/slurm/roots.sh as root")
    folder = _fresh(folder)
    cluster = _open(folder, release, version, Site(**site))
    try:
        _bring_up(cluster)
    except BaseException:
        cluster.end()  # the folder stays: its logs say why
        raise
    if keep:
        cluster.keep()
    return cluster


def attach(folder: Path) -> Cluster:
    """A cluster that somebody else started. ClusterFailed: none runs there."""
    try:
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    except (OSError, ValueError) as unreadable:
        raise ClusterFailed(f"no cluster in {folder}") from unreadable
    cluster = Cluster(
        folder=folder.resolve(),
        release=facts["release"],
        version=facts["version"],
        site=Site(**{**facts["site"], "binds": [Path(place) for place in facts["site"]["binds"]]}),
        space=Namespace(**facts["space"]),
    )
    if not cluster.space.is_alive:
        raise ClusterFailed(f"the cluster in {folder} has ended")
    return cluster


def _fresh(folder: Path) -> Path:
    """The folder, empty. What a killed cluster left behind there is removed."""
    folder = folder.resolve()
    if len(str(folder)) > LONGEST_FOLDER:
        raise InUse(f"{folder}: choose a shorter path, {LONGEST_FOLDER} characters at most (it will hold a socket)")
    if folder.exists() and any(folder.iterdir()):
        if not (folder / FACTS).exists():
            raise InUse(f"{folder} holds something else")
        if _runs_in(folder):
            raise InUse(f"a cluster runs in {folder}")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _runs_in(folder: Path) -> bool:
    with suppress(ClusterFailed):
        attach(folder)
        return True
    return False


def _open(folder: Path, release: str, version: str, site: Site) -> Cluster:
    """Namespaces and files; no daemon yet."""
    debian = roots() / RELEASES[release]
    own = write_files(folder, debian, site)
    plan = {
        "host": HOST,
        "netns": site.netns,
        "debian": str(debian),
        "aside": str(folder / "aside"),
        "gpus": site.gpus,
        "own": own,
        "software": [str(place) for place in site.binds],
        "commands": dict(site.commands),
    }
    space, outer = namespace.start(plan, folder / "log" / "init.out")
    facts = {"release": release, "version": version, "site": asdict(site), "space": asdict(space)}
    (folder / FACTS).write_text(json.dumps(facts, default=str, indent=1), encoding="utf-8")
    return Cluster(folder=folder, release=release, version=version, site=site, space=space, _outer=outer)


def _bring_up(cluster: Cluster) -> None:
    """Everything in its order, and side by side what does not wait for each other."""
    with ThreadPoolExecutor() as pool:
        munge = pool.submit(cluster.start_daemon, Daemon.MUNGED)
        _make_database(cluster)
        munge.result()
    cluster.start_daemon(Daemon.SLURMDBD)
    cluster.exec("sacctmgr", "-i", "add", "cluster", CLUSTER, check=True)
    cluster.start_daemon(Daemon.SLURMCTLD, wait=False)
    for session in accounting(cluster.site):
        done = cluster.exec("sacctmgr", "-i", text_input=session, check=True)
        if "error" in done.stderr:
            raise ClusterFailed(f"sacctmgr: {done.stderr}")
    cluster.start_daemon(Daemon.SLURMCTLD)
    # It must have ended in order once: a new one that was killed would never start again (it misses a state file).
    cluster.kill(Daemon.SLURMCTLD, number=signal.SIGTERM)
    for daemon in (Daemon.SLURMCTLD, Daemon.SLURMD, Daemon.SLURMRESTD):
        cluster.start_daemon(daemon)


def _make_database(cluster: Cluster) -> None:
    install = ["mariadb-install-db", "--no-defaults", "--user=mysql", f"--datadir={STATE}/mysql", "--skip-test-db"]
    cluster.exec(*install, "--auth-root-authentication-method=normal", check=True)
    cluster.start_daemon(Daemon.MARIADBD)
    client = ("mariadb", "--no-defaults", "-uroot", f"--socket={MYSQL_SOCKET}")
    cluster.exec(*client, text_input=DATABASE.read_text(encoding="utf-8"), check=True)
