"""`python -m infra.slurm start | stop | exec | status`: a cluster by hand."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from infra.slurm import cluster
from infra.slurm.cluster import Cluster
from infra.slurm.host_python import this_python
from infra.slurm.namespace import ClusterFailed
from infra.slurm.site import DEFAULT_PORT, RELEASES

FAILED = 1


def main() -> int:
    """The exit code."""
    asked = _parser().parse_args()
    try:
        return int(asked.run(asked))
    except (ClusterFailed, ValueError) as wrong:
        sys.stderr.write(f"{wrong}\n")
        return FAILED


def _start(asked: argparse.Namespace) -> int:
    own = {} if asked.base_port is None else {"netns": False, "base_port": asked.base_port}
    users = (
        {} if asked.users is None else {"users": asked.users.split(","), "accounts": {"lab": asked.users.split(",")}}
    )
    binds = [*(this_python() if asked.python else ()), *(Path(place).resolve() for place in asked.bind)]
    started = cluster.start(
        asked.folder,
        asked.release,
        keep=True,
        nodes=asked.nodes,
        gpus=asked.gpus,
        binds=binds,
        **own,
        **users,
    )
    _show(started)
    return 0


def _stop(asked: argparse.Namespace) -> int:
    cluster.attach(asked.folder).stop()
    return 0


def _exec(asked: argparse.Namespace) -> int:
    space = cluster.attach(asked.folder).space
    return subprocess.run(space.command(asked.command, user=asked.user), check=False).returncode  # noqa: S603  as asked


def _status(asked: argparse.Namespace) -> int:
    running = cluster.attach(asked.folder)
    _show(running)
    return running.exec("sinfo", "--Node", "--format=%N %T %G %f", timeout_s=10).returncode


def _show(running: Cluster) -> None:
    nodes = running.exec("sinfo", "--noheader", "--format=%D %T", timeout_s=10).stdout.split("\n")
    facts = {
        "slurm": running.version,
        "nodes": ", ".join(filter(None, nodes)),
        "url": running.url,
        **({} if running.site.netns else {"tcp_url": running.tcp_url}),
        "jwt_key": str(running.jwt_key_file),
        "shared": str(running.shared),
        "users": dict(running.uids),
    }
    sys.stdout.write(json.dumps(facts, indent=1) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m infra.slurm", description=__doc__)
    commands = parser.add_subparsers(required=True)
    start = commands.add_parser("start", help="start a cluster that goes on until `stop`")
    start.set_defaults(run=_start)
    start.add_argument("folder", type=Path, help="a folder of its own; made when missing")
    start.add_argument("--release", choices=list(RELEASES), default=next(iter(RELEASES)))
    start.add_argument("--nodes", type=int, default=4)
    start.add_argument("--gpus", type=int, default=8, help="of each node")
    start.add_argument("--users", metavar="A,B", help="instead of alice, bob, carol; in one account, lab")
    start.add_argument("--bind", action="append", default=[], metavar="PATH", help="seen inside too, read-only")
    start.add_argument("--python", action="store_true", help="this Python and its packages are seen inside")
    start.add_argument(
        "--base-port", type=int, metavar="N", help=f"no network of its own: TCP from this port on (like {DEFAULT_PORT})"
    )
    for name, run, told in (("stop", _stop, "end it, remove the folder"), ("status", _status, "what runs there")):
        command = commands.add_parser(name, help=told)
        command.set_defaults(run=run)
        command.add_argument("folder", type=Path)
    execute = commands.add_parser("exec", help="run a command inside: exec FOLDER [--user U] -- sbatch …")
    execute.set_defaults(run=_exec)
    execute.add_argument("folder", type=Path)
    execute.add_argument("--user", default=os.environ.get("AS", "root"))
    execute.add_argument("command", nargs="+")
    return parser


if __name__ == "__main__":
    sys.exit(main())
