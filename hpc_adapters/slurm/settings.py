"""What a site says of its cluster. Values only; reading files and the environment is the portal's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

_PLAIN_PATH: Final = re.compile(r"/[A-Za-z0-9._/-]+")
_GRES: Final = re.compile(r"[a-z][a-z0-9_]{0,31}(:[A-Za-z0-9][A-Za-z0-9_.-]{0,63})?")
_IMAGE_SLOTS: Final = ("{image}", "{work}")


class ImageKind(StrEnum):
    """How the site starts containers."""

    OCI = "oci"
    """Slurm's own `container` field: the reference is the path of an OCI bundle on the nodes."""
    PREFIX = "prefix"
    """Words before the command, such as `apptainer exec --nv {image}`."""
    STEP = "step"
    """Options of srun, as Pyxis adds them: `--container-image={image}`; the command becomes a step of the job."""


@dataclass(frozen=True, slots=True)
class ImageHook:
    """`words` may hold {image} (the allowed reference) and {work} (the working folder, which must be seen inside)."""

    kind: ImageKind
    words: tuple[str, ...] = ()

    def filled(self, *, image: str, work: str) -> tuple[str, ...]:
        """The words for one job."""
        first, second = _IMAGE_SLOTS
        return tuple(word.replace(first, image).replace(second, work) for word in self.words)


@dataclass(frozen=True, slots=True, kw_only=True)
class SlurmSettings:
    """One cluster behind one slurmrestd, and one of its partitions."""

    name: str
    """Our name of the backend."""
    cluster: str
    """Slurm's ClusterName."""
    url: str
    """slurmrestd: "http://host:port", "https://…" or "unix:/path/of/socket"."""
    jwt_key: bytes = field(repr=False)
    """The HS256 key of AuthAltParameters=jwt_key. Whoever has it can act for every user of the cluster."""
    folder: Path
    """On the file system that the nodes, the portal and the worker share, at the same path; ours, writable by nobody
    else. It holds the working folders of all jobs."""
    service_user: str = "kyoyo"
    """The Slurm user that reads: AdminLevel=Operator, an ordinary user of the system."""
    partition: str = "main"
    domestic: bool = False
    """Its machines and file systems stand in Japan."""
    gpu_type: str | None = None
    """Ask for GPUs of this type (`gres/gpu:<type>`) unless the job names one; None: of any type."""
    gpu_types: frozenset[str] = frozenset()
    """Types that a job may name; `gpu_type` is always one of them."""
    qpu_gres: str | None = None
    """What this site's QPU is called among its GRES: "qpu", or with its type "qpu:<name>"; None: it has none. Both
    GresTypes and AccountingStorageTRES must name it."""
    constraints: frozenset[str] = frozenset()
    """Features of nodes that jobs may ask for, alone or joined with & or |."""
    reservations: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Reservation → accounts that may use it; an empty set: everyone's."""
    licenses: frozenset[str] = frozenset()
    images: Mapping[str, str] = field(default_factory=dict)
    """Name that a job gives → reference that the site starts."""
    image_hook: ImageHook | None = None
    qos: str = "ky-{account}"
    """Name of the QOS; may hold {account} and {service_class}. Empty: the default of the association."""
    uids: Mapping[str, int] = field(default_factory=dict)
    """User ids that this machine's own directory does not know."""
    group_id: int | None = None
    """Group that working folders get and hand on, where we are not root and read them as its member."""
    max_nodes: int = 64
    max_walltime_s: int = 7 * 86_400
    look_ahead: int = 4
    save_interval_s: float = 6.0
    """How long slurmctld may take to write down what it accepted (5 s in its source, and a little)."""
    accounting_lag_s: float = 30.0
    call_timeout_s: float = 15.0
    view_s: float = 1.0
    """How old a look at queue and nodes may be when it is asked whether there is room."""
    script_cap_bytes: int = 2**20
    stdout_cap_bytes: int = 256 * 2**20
    """What is served of a stream; the rest stays in the job's folder."""
    result_cap_bytes: int = 2**20
    prometheus_url: str | None = None
    """A Prometheus that has DCGM's figures by job (`hpc_job`); None, or without an answer: what jobs measured."""
    python: str | None = None
    """Path of the Python that torchrun uses on the nodes, unless the program's first line or its image names one."""

    def __post_init__(self) -> None:
        if _PLAIN_PATH.fullmatch(str(self.folder)) is None or ".." in self.folder.parts:
            raise ValueError(f"folder: an absolute path of plain characters, not {str(self.folder)!r}")
        if self.python is not None and _PLAIN_PATH.fullmatch(self.python) is None:
            raise ValueError(f"python: an absolute path of plain characters, not {self.python!r}")
        if self.qpu_gres is not None and _GRES.fullmatch(self.qpu_gres) is None:
            raise ValueError(f"qpu_gres: a GRES, perhaps with its type, not {self.qpu_gres!r}")
        if self.images and self.image_hook is None:
            raise ValueError("images need an image_hook that says how they are started")
        if self.look_ahead < 0 or self.save_interval_s <= 0:
            raise ValueError("look_ahead must not be negative, and save_interval_s positive")

    @property
    def settle_window_s(self) -> float:
        """How long an absence must last to prove anything: a request on its way, and two saves of slurmctld."""
        return self.call_timeout_s + 2 * self.save_interval_s + 1

    def qos_of(self, account: str, service_class: str) -> str | None:
        """The QOS of a job; None: its association's default."""
        return self.qos.replace("{account}", account).replace("{service_class}", service_class) or None

    @property
    def qpu_tres(self) -> str | None:
        """The same as a TRES."""
        return None if self.qpu_gres is None else f"gres/{self.qpu_gres}"

    def types(self) -> frozenset[str]:
        """GPU types that a job may ask for."""
        return self.gpu_types | ({self.gpu_type} if self.gpu_type else frozenset())
