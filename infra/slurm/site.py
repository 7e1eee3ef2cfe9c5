"""What a cluster is to be like, and the files that say so. Pure, but for reading the templates beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

HOST = "kyoyo-slurm"
"""The host name inside; all nodes are played by one host."""
CLUSTER = "kyoyo"
SERVICE_USER = "kyoyo"
REST_USER = "restd"
SERVICE_ACCOUNT = "site-services"
SYSTEM_UIDS = {SERVICE_USER: 2000, REST_USER: 1999}
"""slurmrestd runs as neither root nor slurm; the service user is an operator of Slurm, and nothing on the machine."""
FIRST_UID = 2001
DEFAULT_PORT = 6817
QPU_TYPE = "kyo"
CTLD, DBD, RESTD, FIRST_SLURMD = 0, 1, 2, 10
"""Ports, counted from the base."""

RELEASES: Mapping[str, str] = {"24.11": "trixie", "26.05": "sid"}
"""Debian suite by the release that it had when this was written; Cluster.version is what it has now."""

_TEMPLATES = Path(__file__).parent / "templates"
_SLOT = re.compile(r"\{\{(\w+)\}\}")
_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,31}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """users get the uids 2001, 2002, … in order. accounts: who belongs to which; a user may be in none or in several.

    binds: folders and files of this machine that are seen inside, at the same path, read-only. commands: names that
    jobs may call, each with the program that is meant. base_port: first TCP port; with netns=True it is one of the
    cluster's own loopback, where nothing else is.
    """

    nodes: int = 4
    gpus: int = 8
    qpus: int = 1
    """Of the first node, of the type QPU_TYPE: nothing but a number, as where QRMI's plugin leads to the device."""
    users: Sequence[str] = ("alice", "bob", "carol")
    accounts: Mapping[str, Sequence[str]] = field(
        default_factory=lambda: {"lab-a": ("alice", "bob"), "lab-b": ("carol",)}
    )
    binds: Sequence[Path] = ()
    commands: Mapping[str, str] = field(default_factory=dict)
    base_port: int = DEFAULT_PORT
    netns: bool = True
    min_job_age_s: int = 3600
    first_job_id: int = 1
    max_job_id: int = 67_043_328
    preempt_grace_s: int = 5
    options: Mapping[str, str] = field(default_factory=dict)
    """Lines of slurm.conf that replace ours, or are added."""

    def __post_init__(self) -> None:
        strange = [name for name in (*self.users, *self.accounts) if not _NAME.fullmatch(name)]
        if strange or set(self.users) & set(SYSTEM_UIDS):
            raise ValueError(f"not a name for a user or an account: {strange or sorted(SYSTEM_UIDS)}")

    @property
    def uids(self) -> Mapping[str, int]:
        """Every user that the cluster has beyond Debian's own."""
        return {**SYSTEM_UIDS, **{user: FIRST_UID + place for place, user in enumerate(self.users)}}

    @property
    def node_names(self) -> list[str]:
        return [f"gpu{number}" for number in range(self.nodes)]

    def port(self, offset: int) -> int:
        return self.base_port + offset


def configuration(site: Site) -> Mapping[str, str]:
    """Files of /etc/slurm by name."""
    words = {
        "cluster": CLUSTER,
        "host": HOST,
        "ctld_port": site.port(CTLD),
        "dbd_port": site.port(DBD),
        # Without a network of its own nothing may listen for others; NoInAddrAny ties all daemons to one address.
        "listen": "NoCtldInAddrAny" if site.netns else "NoCtldInAddrAny,NoInAddrAny",
        "min_job_age_s": site.min_job_age_s,
        "first_job_id": site.first_job_id,
        "max_job_id": site.max_job_id,
        "nodes": "\n".join(_node(site, number) for number in range(site.nodes)),
        "node_range": f"gpu[0-{site.nodes - 1}]",
        "gpu_files": f"/dev/nvidia[0-{site.gpus - 1}]",
        "qpus": f"NodeName=gpu0 Name=qpu Type={QPU_TYPE} Count={site.qpus} Flags=CountOnly" if site.qpus else "",
    }
    files = {path.name: _fill(path.read_text(encoding="utf-8"), words) for path in sorted(_TEMPLATES.glob("*.conf"))}
    for option, value in site.options.items():
        files["slurm.conf"] = with_option(files["slurm.conf"], option, value)
    return files


def with_option(conf: str, option: str, value: str) -> str:
    """slurm.conf with one option set: in its place, or before the nodes."""
    line = f"{option}={value}"
    changed, count = re.subn(rf"(?im)^{re.escape(option)}=.*$", lambda _: line, conf)
    return changed if count else conf.replace("\nNodeName=", f"\n{line}\n\nNodeName=", 1)


def people(site: Site, passwd: str, group: str) -> Mapping[str, str]:
    """Debian's own /etc/passwd and /etc/group with the site's users, and /etc/hosts."""
    users, groups = [], []
    for user, uid in site.uids.items():
        users.append(f"{user}:x:{uid}:{uid}::{home(user)}:/bin/bash\n")
        groups.append(f"{user}:x:{uid}:\n")
    nodes = "".join(f"{_address(site, number)} {name}\n" for number, name in enumerate(site.node_names))
    return {
        "passwd": passwd + "".join(users),
        "group": group + "".join(groups),
        "hosts": f"127.0.0.1 localhost {HOST}\n{nodes}",
    }


def home(user: str) -> str:
    """Home folder inside the cluster."""
    return str(Path("/home") / user)


def accounting(site: Site) -> list[str]:
    """Commands for sacctmgr, one text per session: QOS first, since a session knows those that it began with."""
    normal = f"set Priority=1 PreemptMode=cancel GraceTime={site.preempt_grace_s}"
    classes = [f"modify qos normal {normal}", "add qos high Priority=100 Preempt=normal PreemptMode=cancel"]
    lines = [
        f"add account {SERVICE_ACCOUNT} Description=services Organization=site",
        f"add user {SERVICE_USER} account={SERVICE_ACCOUNT} adminlevel=Operator",
    ]
    for account, members in site.accounts.items():
        lines.append(f"add account {account} Description={account} Organization=site fairshare=10")
        lines += [f"add user {user} account={account} qos=normal,high defaultqos=normal" for user in members]
    return ["\n".join([*session, "quit", ""]) for session in (classes, lines)]


def _node(site: Site, number: int) -> str:
    """The first half of the nodes has a faster network between GPUs, the first one the QPUs."""
    qpus = f",qpu:{QPU_TYPE}:{site.qpus}" if site.qpus and number == 0 else ""
    feature = " Feature=nvlink" if number < (site.nodes + 1) // 2 else ""
    return (
        f"NodeName=gpu{number} NodeHostname={HOST} NodeAddr={_address(site, number)} "
        f"Port={site.port(FIRST_SLURMD + number)} "
        "CPUs=64 Boards=1 SocketsPerBoard=2 CoresPerSocket=32 ThreadsPerCore=1 RealMemory=1000000 "
        f"Gres=gpu:h200:{site.gpus}{qpus}{feature} State=UNKNOWN"
    )


def _address(site: Site, number: int) -> str:
    """In its own network every node has an address of its own: all of 127/8 is loopback."""
    return f"127.0.1.{number + 1}" if site.netns else "127.0.0.1"


def _fill(template: str, words: Mapping[str, object]) -> str:
    return _SLOT.sub(lambda slot: str(words[slot.group(1)]), template)
