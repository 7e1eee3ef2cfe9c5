"""What a site's operator does after a crash, so that one crash does not park nodes and jobs for ever.

Slurm drains a node that says it still runs a job which slurmctld has forgotten, and holds a job whose start failed.
Long fault runs call tend() again and again, as a person on call would look.
"""

from __future__ import annotations

from enum import StrEnum

from infra.slurm.cluster import Cluster
from infra.slurm.daemons import Daemon

_BAD = ("down", "drain", "fail", "error")
_HELD = ("held", "launch_failed")


class Held(StrEnum):
    """What becomes of a job that Slurm holds."""

    RELEASE = "release"
    CANCEL = "cancel"


def tend(cluster: Cluster, *, held: Held = Held.RELEASE, start_missing: bool = False) -> list[str]:
    """Returns what was done, in words: empty when there is nothing to do, or no answer. A sick cluster is no error."""
    done = _start_missing(cluster) if start_missing else []
    return done + _resume_nodes(cluster) + _free_held(cluster, held)


def _start_missing(cluster: Cluster) -> list[str]:
    """Daemons that died by themselves, as a supervisor would start them again."""
    done = []
    for daemon in Daemon:
        for node in cluster.site.node_names if daemon is Daemon.SLURMD else [None]:
            if not cluster.runs(daemon, node=node):
                cluster.start_daemon(daemon, node=node, wait=False)
                done.append(f"start {daemon} {node or ''}".rstrip())
    return done


def _resume_nodes(cluster: Cluster) -> list[str]:
    done = []
    for node, state in _lines(cluster, "sinfo", "--noheader", "--Node", "--format=%N %T"):
        if any(word in state.lower() for word in _BAD):
            cluster.exec("scontrol", "update", f"nodename={node}", "state=resume", timeout_s=5)
            done.append(f"resume {node} ({state})")
    return done


def _free_held(cluster: Cluster, held: Held) -> list[str]:
    done = []
    for job, reason in _lines(cluster, "squeue", "--noheader", "--states=PENDING", "--format=%A %r"):
        if any(word in reason.lower() for word in _HELD):
            command = ("scontrol", "release", job) if held is Held.RELEASE else ("scancel", job)
            cluster.exec(*command, timeout_s=5)
            done.append(f"{held} {job} ({reason})")
    return done


def _lines(cluster: Cluster, *command: str) -> list[tuple[str, str]]:
    """Two words of each line; none when there is no answer."""
    printed = cluster.exec(*command, timeout_s=5).stdout
    pairs = [line.split(maxsplit=1) for line in printed.splitlines()]
    return [(pair[0], pair[1].strip()) for pair in pairs if len(pair) == 2]  # noqa: PLR2004  a pair
