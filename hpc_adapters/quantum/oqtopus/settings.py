"""What an operator says of one OQTOPUS device and of the account that uses it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from hpc_adapters.quantum.queued.settings import QueuedSettings

_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class OqtopusSettings(QueuedSettings):
    """One device of one OQTOPUS Cloud."""

    url: str
    token_file: Path
    """The API token alone. Read again whenever the file changes, so a renewed token needs no restart."""
    qubits: int | None = None
    """Of programs, at most. None: as many as the vendor's list of devices tells."""
    technology: str = "superconducting"
    max_circuits: int = 100
    """Programs of the vendor's that one attempt may become: a document has one for each element of each PUB."""
    transpiler_info: Mapping[str, object] = field(default_factory=dict)
    mitigation_info: Mapping[str, object] = field(default_factory=dict)
    connect_s: float = 3.0
    call_s: float = 6.0
    body_bytes: int = 64 * 2**20

    def __post_init__(self) -> None:
        QueuedSettings.__post_init__(self)
        address = urlsplit(self.url)
        if address.scheme != "https" and address.hostname not in _LOCAL:
            raise ValueError("url: https, or the token would cross the network in clear")
        if self.max_circuits < 1 or (self.qubits is not None and self.qubits < 1):
            raise ValueError("qubits and max_circuits are at least 1")

    @property
    def is_local(self) -> bool:
        """A stub on this machine, which may hand out links without https."""
        return urlsplit(self.url).hostname in _LOCAL
