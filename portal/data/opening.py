"""Which object store an operator has set, and how it is opened: KYOYO_STORE… in the environment."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from infra.clock import Clock, utc_now
from portal.data.capability import Signer
from portal.data.folder import FolderStorage
from portal.data.model import DataLimits
from portal.data.service import DataStore
from portal.data.storage import Storage

_GIB = 2**30


class StoreKind(StrEnum):
    FOLDER = "folder"
    S3 = "s3"
    NONE = "none"


class StoreSettings(BaseSettings):
    """KYOYO_STORE=folder (default; KYOYO_STORE_FOLDER, else `objects` in the data folder), s3 or none."""

    model_config = SettingsConfigDict(env_prefix="KYOYO_STORE_", extra="ignore", frozen=True)

    kind: StoreKind = Field(default=StoreKind.FOLDER, validation_alias="KYOYO_STORE")
    folder: Path | None = None
    quota_gib: int = Field(default=100, ge=0)
    """What one organisation may keep."""
    object_gib: int = Field(default=100, ge=1)
    """The largest single file."""
    bucket: str | None = None
    prefix: str = ""
    endpoint: str | None = None
    """Of a server that speaks S3; without one, Amazon's."""
    region: str = "us-east-1"
    access_key: str | None = None
    secret_key: SecretStr | None = None
    secret_key_file: Path | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.kind is StoreKind.S3 and not self.bucket:
            raise ValueError("KYOYO_STORE=s3 needs KYOYO_STORE_BUCKET")
        if self.secret_key is not None and self.secret_key_file is not None:
            raise ValueError("KYOYO_STORE_SECRET_KEY and KYOYO_STORE_SECRET_KEY_FILE are both set: keep one")
        return self

    def limits(self) -> DataLimits:
        """As the service is told."""
        return DataLimits(quota_bytes=self.quota_gib * _GIB, object_bytes=self.object_gib * _GIB)


def open_store(
    settings: StoreSettings, *, data_dir: Path, signing_key: bytes, clock: Clock = utc_now
) -> DataStore | None:
    """None: no files are kept."""
    if settings.kind is StoreKind.NONE:
        return None
    storage: Storage
    if settings.kind is StoreKind.FOLDER:
        folder = (settings.folder or data_dir / "objects").absolute()
        storage = FolderStorage(folder, Signer(signing_key), clock=clock)
    else:
        storage = _s3(settings)
    return DataStore(storage=storage, limits=settings.limits())


def _s3(settings: StoreSettings) -> Storage:
    from portal.data.s3 import Bucket, S3Storage  # noqa: PLC0415  its library takes a while to load

    secret = settings.secret_key.get_secret_value() if settings.secret_key else None
    if settings.secret_key_file is not None:
        secret = settings.secret_key_file.read_text(encoding="utf-8").strip()
    return S3Storage(
        Bucket(
            name=settings.bucket or "",
            prefix=settings.prefix,
            endpoint=settings.endpoint,
            region=settings.region,
            access_key=settings.access_key,
            secret_key=secret,
        )
    )
