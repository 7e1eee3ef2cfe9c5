"""What an operator sets: the environment (KYOYO_…); secrets also from files (KYOYO_…_FILE), never with a default."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import quote, urlsplit, urlunsplit

import psutil
from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    TypeAdapter,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from infra.paper.typesetting import FONT_FOLDERS

PORTAL_LOGIN = "kyoyo_portal"
WORKER_LOGIN = "kyoyo_worker"
AUDITOR_LOGIN = "kyoyo_auditor"
_MEGABYTE = 2**20
_THIS_MACHINE = frozenset({"localhost", "127.0.0.1", "::1"})


class SettingsWrong(Exception):
    """The settings do not fit together. The message says what to change."""


class Environment(StrEnum):
    DEVELOPMENT = "development"
    PRODUCTION = "production"


class LocalMachine(BaseModel):
    """The machine under us as a small cluster. software: folders that jobs may read; "python": our own Python."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    kind: Literal["local"]
    gpus: int = Field(default=2, ge=0)
    cpus: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1)
    memory_mb: int = Field(default_factory=lambda: psutil.virtual_memory().total // _MEGABYTE // 2, ge=64)
    software: tuple[str, ...] = ("python",)
    domestic: bool = False
    """It stands in Japan: it may run jobs whose data must not leave the country. So of every machine below."""
    root: Path | None = None
    """Where its jobs live; default: backends/<name> in the data folder."""


class DeviceWindow(BaseModel):
    """A quantum device takes no work in [since, until)."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    since: AwareDatetime
    until: AwareDatetime
    kind: Literal["calibrating", "maintenance"] = "maintenance"


class AerDevice(BaseModel):
    """A simulated quantum device; the same words as hpc_adapters.quantum.aer.device.DeviceSettings.

    like: a device of qiskit-ibm-runtime ('fake_manila') whose remembered properties are its calibration, where no file
    is named; qubits, gates and couplings are then the device's own.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    kind: Literal["aer"]
    qubits: int = Field(default=7, ge=1)
    max_shots: int = Field(default=100_000, ge=1)
    base_us: int = Field(default=500_000, ge=0)
    per_kshot_us: int = Field(default=250_000, ge=0)
    slots: int = Field(default=1, ge=1)
    paced: bool = True
    memory_mb: int = Field(default=1024, ge=1)
    cpus: int = Field(default=1, ge=1)
    basis_gates: tuple[str, ...] = ("rz", "sx", "x", "cx")
    coupling: tuple[tuple[int, int], ...] | None = None
    domestic: bool = True
    max_operations: int = Field(default=100_000, ge=1)
    methods: tuple[Literal["automatic", "statevector", "matrix_product_state", "stabilizer"], ...] = (
        "automatic",
        "statevector",
        "matrix_product_state",
        "stabilizer",
    )
    gpu: bool = False
    noise: bool = True
    calibration: Path | None = None
    like: str | None = Field(default=None, pattern="^fake_[a-z0-9_]{1,40}$")
    technology: str = "simulator"
    sold_as: Literal["qpu", "simulator"] = "qpu"
    rep_delay_us: int = Field(default=250, ge=0)
    windows: tuple[DeviceWindow, ...] = ()
    estimate_s: float = Field(default=20.0, gt=0)
    root: Path | None = None


class SimulatedCluster(BaseModel):
    """A cluster in memory, for trying things out: it forgets everything when the process ends."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    kind: Literal["simulated"]
    gpus: int = Field(default=8, ge=0)
    cpus: int = Field(default=64, ge=1)
    memory_mb: int = Field(default=262_144, ge=64)
    qpus: int = Field(default=0, ge=0)
    seed: int = 0
    domestic: bool = False


class SlurmImages(BaseModel):
    """How a site starts containers; the same words as hpc_adapters.slurm.settings.ImageHook."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    kind: Literal["oci", "prefix", "step"]
    words: tuple[str, ...] = ()


class SlurmSite(BaseModel):
    """A Slurm cluster behind slurmrestd; the words of hpc_adapters.slurm.settings.SlurmSettings, and who provisions.

    jwt_key_file: the cluster's HS256 key. admin_user: a Unix user of the site with AdminLevel=Administrator, used
    only to synchronise (`kyoyod site sync`, KYOYO_SITE_SYNC_S); without one the service user, which may make no QOS.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    kind: Literal["slurm"]
    cluster: str
    url: str
    jwt_key_file: Path
    folder: Path
    service_user: str = "kyoyo"
    partition: str = "main"
    domestic: bool = False
    gpu_type: str | None = None
    gpu_types: frozenset[str] = frozenset()
    qpu_gres: str | None = None
    constraints: frozenset[str] = frozenset()
    reservations: dict[str, frozenset[str]] = {}
    licenses: frozenset[str] = frozenset()
    images: dict[str, str] = {}
    image_hook: SlurmImages | None = None
    qos: str = "ky-{account}"
    uids: dict[str, int] = {}
    group_id: int | None = None
    max_nodes: int = Field(default=64, ge=1)
    max_walltime_s: int = Field(default=7 * 86_400, ge=60)
    look_ahead: int = Field(default=4, ge=0)
    save_interval_s: float = Field(default=6.0, gt=0)
    accounting_lag_s: float = Field(default=30.0, ge=0)
    call_timeout_s: float = Field(default=15.0, gt=0)
    prometheus_url: str | None = None
    python: str | None = None

    admin_user: str | None = None
    elastic: bool = False
    """Nodes of the partition may be drained, powered down and brought back, by admin_user (`kyoyod elastic`)."""
    root_account: str = Field(default="kyoyo", pattern="^[a-z0-9][a-z0-9_-]{0,62}$")
    """The account under which all of ours lie; no other installation on the cluster may have the same."""
    preempted_by: tuple[str, ...] = ()
    """QOS of the site that may preempt our jobs."""

    def require_safe(self, name: str) -> None:
        """SettingsWrong: production must not run like this."""
        address = urlsplit(self.url)
        if self.jwt_key_file.stat().st_mode & 0o077:
            raise SettingsWrong(f"backend {name}: others may read {self.jwt_key_file}, which speaks for every user")
        if address.scheme == "http" and address.hostname not in _THIS_MACHINE:
            raise SettingsWrong(f"backend {name}: tokens would cross the network in clear: use https, or a socket")
        if not self.folder.is_dir():
            raise SettingsWrong(f"backend {name}: the shared folder {self.folder} is not there")


class PbsSite(BaseModel):
    """One queue of a PBS server; the words of hpc_adapters.pbs.settings.PbsSettings. No live server was ever met."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    kind: Literal["pbs"]
    server: str
    queue: str
    folder: Path
    accounting_folder: Path
    zone: str = "Asia/Tokyo"
    run_as: tuple[str, ...] = ("sudo", "-n", "-H", "-u", "{user}", "--")
    service_user: str = "kyoyo"
    bin_folder: Path | None = None
    select: str = "{nodes}:ncpus={cpus}:ngpus={gpus}:mem={memory_mb}mb"
    project_option: Literal["-P", "-A"] = "-P"
    gpus_per_node: int = Field(default=0, ge=0)
    domestic: bool = False
    chunk_label: tuple[str, str] | None = None
    look_ahead: int = Field(default=2, ge=0)
    max_walltime_s: int | None = Field(default=None, ge=1)
    uids: dict[str, int] = {}
    group_id: int | None = None


class IbmRuntime(BaseModel):
    """One device of IBM Quantum; the words of hpc_adapters.quantum.ibm_runtime.settings.IbmSettings.

    credentials_file: JSON with "token" (an IBM Cloud API key) and "instance" (its CRN), read when the bridge starts.
    python: of an environment with qiskit-ibm-runtime 0.51.0, where ours has none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    kind: Literal["ibm_runtime"]
    device: str = Field(pattern="^[a-z0-9_-]{1,64}$")
    credentials_file: Path
    python: str | None = None
    domestic: bool = False
    slots: int = Field(default=3, ge=1)
    sessions: bool = True
    max_operations: int = Field(default=100_000, ge=1)
    max_shots: int = Field(default=100_000, ge=1)
    translate_s: int = Field(default=60, ge=1)
    translate_mb: int = Field(default=1024, ge=128)
    base_us: int = Field(default=2_000_000, ge=0)
    per_kshot_us: int = Field(default=300_000, ge=0)
    proxy_url: str | None = None
    api_url: str | None = None
    iam_url: str | None = None
    settle_window_s: float = Field(default=60.0, ge=0)
    accounting_lag_s: float = Field(default=900.0, ge=0)
    result_patience_s: float = Field(default=900.0, ge=0)
    root: Path | None = None
    """Where results and translations live; default: backends/<name> in the data folder."""

    def require_safe(self, name: str) -> None:
        """SettingsWrong: production must not run like this."""
        if self.credentials_file.stat().st_mode & 0o077:
            raise SettingsWrong(f"backend {name}: others may read {self.credentials_file}")
        for url in (self.api_url, self.iam_url):
            address = urlsplit(url or "https://")
            if address.scheme != "https" and address.hostname not in _THIS_MACHINE:
                raise SettingsWrong(f"backend {name}: the key would cross the network in clear: use https")


class _Queued(BaseModel):
    """A device of a vendor with a queue; the words of hpc_adapters.quantum.queued.settings.QueuedSettings."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    device: str = Field(pattern="^[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}$")
    max_shots: int = Field(default=100_000, ge=1)
    max_executions: int = Field(default=10_000_000, ge=1)
    base_us: int = Field(default=3_000_000, ge=0)
    per_kshot_us: int = Field(default=500_000, ge=0)
    domestic: bool = True
    slots: int = Field(default=4, ge=1)
    max_operations: int = Field(default=100_000, ge=1)
    check_s: float = Field(default=10.0, gt=0)
    overhead_s: float = Field(default=30.0, ge=0)
    result_patience_s: float = Field(default=60.0, ge=0)
    memory_mb: int = Field(default=1024, ge=1)
    cpus: int = Field(default=1, ge=1)
    root: Path | None = None
    """Where attempts and their results live; default: backends/<name> in the data folder."""

    @property
    def secret(self) -> Path:
        """The file with the credentials."""
        raise NotImplementedError

    def require_safe(self, name: str) -> None:
        """SettingsWrong: production must not run like this."""
        if self.secret.stat().st_mode & 0o077:
            raise SettingsWrong(f"backend {name}: others may read {self.secret}")


class OqtopusDevice(_Queued):
    """One device of an OQTOPUS Cloud; the words of hpc_adapters.quantum.oqtopus.settings.OqtopusSettings."""

    kind: Literal["oqtopus"]
    url: str
    token_file: Path
    qubits: int | None = Field(default=None, ge=1)
    technology: str = "superconducting"
    max_circuits: int = Field(default=100, ge=1)
    keeps_jobs: bool = True
    transpiler_info: dict[str, object] = {}
    mitigation_info: dict[str, object] = {}

    @property
    def secret(self) -> Path:
        return self.token_file


class QrmiResource(_Queued):
    """One machine that QRMI reaches; the words of hpc_adapters.quantum.qrmi.settings.QrmiSettings.

    config_file: JSON with the resource's QRMI variables without its name; given to QRMI's own process alone. python: of
    an environment with qrmi 0.26.4, where ours has none.
    """

    kind: Literal["qrmi"]
    resource_type: Literal["ibm-quantum-system", "ibm-quantum-compute-service"]
    config_file: Path
    python: str | None = None

    @property
    def secret(self) -> Path:
        return self.config_file


AnyMachine = (
    LocalMachine | AerDevice | SimulatedCluster | SlurmSite | PbsSite | IbmRuntime | OqtopusDevice | QrmiResource
)
Machine = Annotated[AnyMachine, Field(discriminator="kind")]
_FILE = TypeAdapter(dict[str, dict[str, Machine]])
DEFAULT_MACHINES: Mapping[str, AnyMachine] = {
    "local": LocalMachine(kind="local"),
    "aer-7": AerDevice(kind="aer"),
}


class Settings(BaseSettings):
    """database_url: the owner's, for `migrate`; portal and worker log in under their own names on the same server
    unless they have a URL of their own. Without any: PostgreSQL from a Python package, in the data folder.
    """

    model_config = SettingsConfigDict(env_prefix="KYOYO_", extra="ignore", frozen=True)

    environment: Environment = Environment.DEVELOPMENT
    data_dir: Path = Path("var/kyoyo")
    backends_file: Path | None = None

    database_url: SecretStr | None = None
    database_url_file: Path | None = None
    portal_database_url: SecretStr | None = None
    portal_database_url_file: Path | None = None
    portal_password_file: Path | None = None
    worker_database_url: SecretStr | None = None
    worker_database_url_file: Path | None = None
    worker_password_file: Path | None = None
    auditor_database_url: SecretStr | None = None
    auditor_database_url_file: Path | None = None
    auditor_password_file: Path | None = None
    allow_embedded: bool = False
    secrets_key_file: Path | None = None
    """Keys for members' secrets, one in base64 a line, the newest first; the same for portal and worker."""

    font_folders: tuple[Path, ...] = FONT_FOLDERS
    """Where the fonts of invoices and other papers are: BIZ UDPGothic, and Noto Sans CJK for rare names."""
    issuer_file: Path | None = None
    """Who issues invoices: name, registration_number, postal_code, address, contact, bank_account, programme (TOML)."""
    closing_grace_days: int = Field(default=3, ge=0, le=60)
    """So long after its end a month waits for late usage before it can be closed."""
    smallest_invoice_yen: int = Field(default=50, ge=1)
    """What is less is carried to the next month; Stripe collects no less than 50 yen."""
    days_to_pay: int = Field(default=14, ge=1, le=120)
    """At the least; an invoice is due at the end of a month."""

    stripe_key_file: Path | None = None
    """A restricted key of Stripe (rk_…), for the worker. Without one nothing is asked for or taken there."""
    stripe_webhook_secrets_file: Path | None = None
    """Secrets of the webhook endpoint, for the portal: one a line, two while one is being replaced."""

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65_535)
    public_url: str | None = None
    """Where people reach the portal, when that is not host and port; https there makes the cookies secure."""
    portal_connections: int = Field(default=10, ge=1)
    worker_connections: int = Field(default=10, ge=1)
    accounting_catch_up_s: int = Field(default=120, ge=1)
    """So long after a backend's own lag the worker asks after attempts whose accounting is not complete, and so often
    it reads the last hour again."""
    site_sync_s: int = Field(default=300, ge=0)
    """How often the worker makes the accounting of Slurm sites like ours (`kyoyod site sync`); 0: never by itself."""
    devices_every_s: int = Field(default=60, ge=1)
    """How often quantum devices are asked what they are, for the register."""
    forecast_every_s: int = Field(default=30, ge=0)
    """How often it is foreseen when waiting jobs will start; 0: never."""
    keep_runs_days: int = Field(default=90, ge=0)
    """So long backends on this machine keep what an attempt left, its log above all, after its end; at least 2.
    0: for ever."""
    worker_metrics_port: int | None = Field(default=None, ge=1, le=65_535)
    """Where the worker shows its figures (Prometheus) to this machine; without it, nowhere."""

    @field_validator("keep_runs_days")
    @classmethod
    def _collected_before(cls, days: int) -> int:
        """For a day after an end its result and its files are fetched."""
        if days == 1:
            raise ValueError("2 at least, or 0: for ever")
        return days

    @model_validator(mode="after")
    def _one_source_each(self) -> Self:
        for name in ("database_url", "portal_database_url", "worker_database_url", "auditor_database_url"):
            if getattr(self, name) is not None and getattr(self, f"{name}_file") is not None:
                raise ValueError(f"KYOYO_{name.upper()} and KYOYO_{name.upper()}_FILE are both set: keep one")
        return self

    @property
    def is_production(self) -> bool:
        """Whether people depend on it."""
        return self.environment is Environment.PRODUCTION

    @property
    def is_embedded(self) -> bool:
        """Whether the database is the one from the Python package."""
        return self.owner_url() is None and self._secret("portal_database_url") is None

    @property
    def address(self) -> str:
        """The portal's address for people."""
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")

    def require_allowed(self) -> None:
        """SettingsWrong: production without a database of its own."""
        if self.is_production and self.is_embedded and not self.allow_embedded:
            raise SettingsWrong(
                "production needs a PostgreSQL of its own: set KYOYO_DATABASE_URL (or KYOYO_DATABASE_URL_FILE). "
                "KYOYO_ALLOW_EMBEDDED=1 uses the embedded one all the same."
            )

    def owner_url(self) -> str | None:
        """The database as its owner; None: none is configured."""
        return self._secret("database_url")

    def portal_url(self, owner_url: str) -> str:
        """The database as the portal logs in."""
        return self._secret("portal_database_url") or as_login(owner_url, PORTAL_LOGIN, self.portal_password_file)

    def worker_url(self, owner_url: str) -> str:
        """The database as the worker logs in."""
        return self._secret("worker_database_url") or as_login(owner_url, WORKER_LOGIN, self.worker_password_file)

    def auditor_url(self, owner_url: str) -> str:
        """The database as the audit reads it."""
        return self._secret("auditor_database_url") or as_login(owner_url, AUDITOR_LOGIN, self.auditor_password_file)

    def machines(self) -> Mapping[str, AnyMachine]:
        """The configured machines by name. SettingsWrong."""
        if self.backends_file is None:
            return DEFAULT_MACHINES
        try:
            told = _FILE.validate_python(tomllib.loads(self.backends_file.read_text(encoding="utf-8")))
        except (OSError, ValueError) as wrong:
            raise SettingsWrong(f"{self.backends_file}: {wrong}") from wrong
        if set(told) != {"backends"} or not told["backends"]:
            raise SettingsWrong(f"{self.backends_file} must have tables [backends.NAME] and nothing else")
        return told["backends"]

    def _secret(self, name: str) -> str | None:
        held: SecretStr | None = getattr(self, name)
        path: Path | None = getattr(self, f"{name}_file")
        if path is not None:
            return path.read_text(encoding="utf-8").strip()
        return held.get_secret_value() if held is not None else None


def as_login(url: str, login: str, password_file: Path | None) -> str:
    """The same database under another name: the owner's password does not come along."""
    parts = urlsplit(url)
    password = password_file.read_text(encoding="utf-8").strip() if password_file else None
    user = quote(login, safe="") + (f":{quote(password, safe='')}" if password else "")
    return urlunsplit(parts._replace(netloc=f"{user}@{parts.netloc.rpartition('@')[2]}"))
