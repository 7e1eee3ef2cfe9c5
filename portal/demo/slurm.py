"""The demo's Slurm cluster: a real one, private to the demo, with the demo's organisations as its users."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import kyoyo
from infra.slurm import cluster as clusters
from infra.slurm.cluster import Cluster
from infra.slurm.host_python import this_python
from portal.demo import world

RELEASE = "24.11"
NODES, GPUS = 2, 4
ADMIN = "kyoyo-admin"
"""A Unix user of the site who may change its accounts; only what synchronises them speaks for it."""
ACCOUNTING_LAG_S = 5


def is_here() -> bool:
    """Whether one can be started: as root, and with the Debian folder of infra/slurm/roots.sh."""
    return os.geteuid() == 0 and clusters.version_of(RELEASE) is not None


def binds() -> tuple[Path, ...]:
    """Our Python, and our client where it is installed by reference and lies elsewhere: jobs import it as we do."""
    python, client = this_python(), Path(kyoyo.__file__).parent
    return python if any(client.is_relative_to(place) for place in python) else (*python, client)


def start(folder: Path) -> Cluster:
    """Jobs find this Python under its usual name. infra.slurm.namespace.ClusterFailed."""
    cluster = clusters.start(
        folder,
        RELEASE,
        nodes=NODES,
        gpus=GPUS,
        users=(*(organisation.slug for organisation in world.ORGANISATIONS), ADMIN),
        accounts={},
        binds=binds(),
        commands={"python3": sys.executable},
    )
    make_admin = ("sacctmgr", "-i", "add", "user", ADMIN, "account=site-services", "adminlevel=Administrator")
    cluster.exec(*make_admin, check=True)
    return cluster


def table(cluster: Cluster) -> str:
    """Its settings, as an operator would write them."""
    uids = "\n".join(f'"{user}" = {uid}' for user, uid in cluster.uids.items())
    return f"""\
# A real Slurm {cluster.version}, started for this demo: {NODES} nodes with {GPUS} GPUs each, played by this machine.
[backends.{world.SLURM_BACKEND}]
kind = "slurm"
cluster = "{cluster.name}"
url = "{cluster.url}"
jwt_key_file = "{cluster.jwt_key_file}"
folder = "{cluster.shared}"
service_user = "{cluster.service_user}"
admin_user = "{ADMIN}"
preempted_by = ["high"]
accounting_lag_s = {ACCOUNTING_LAG_S}

[backends.{world.SLURM_BACKEND}.uids]
{uids}
"""
