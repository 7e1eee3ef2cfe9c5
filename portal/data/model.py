"""Values of the object store."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from portal.data.parts import Shape, checksum_of, digests_of


@dataclass(frozen=True, slots=True)
class Blob:
    """Where the content of an object is: by ids alone, never by a name that somebody chose."""

    organisation_id: UUID
    id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What somebody says that a file is: its parts, each with its SHA-256."""

    shape: Shape
    part_sha256: bytes = field(repr=False)

    @property
    def digests(self) -> list[bytes]:
        """Of the parts, in order."""
        return digests_of(self.part_sha256)

    @property
    def checksum(self) -> str:
        """Of the whole."""
        return checksum_of(self.digests)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """One version of an object. It never changes; a new version replaces it."""

    id: UUID
    organisation_id: UUID
    key: str
    content: Content
    checksum: str
    created_by: UUID
    created_at: datetime
    is_removed: bool = False
    """Somebody removed it; else a newer version may have replaced it."""

    @property
    def blob(self) -> Blob:
        return Blob(self.organisation_id, self.id)

    @property
    def size(self) -> int:
        return self.content.shape.size


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A file on its way. Its id becomes the object's. token: the storage's own word for it."""

    id: UUID
    organisation_id: UUID
    key: str
    content: Content
    opened_by: UUID
    token: str
    expires_at: datetime

    @property
    def blob(self) -> Blob:
        return Blob(self.organisation_id, self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What an organisation keeps and has announced."""

    objects: int
    object_bytes: int
    upload_bytes: int

    @property
    def used_bytes(self) -> int:
        return self.object_bytes + self.upload_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class DataLimits:
    """What one organisation may keep, and for how long an upload may take."""

    quota_bytes: int = 100 * 2**30
    object_bytes: int = 100 * 2**30
    objects: int = 100_000
    uploads: int = 100
    upload_life: timedelta = timedelta(days=7)
    address_life: timedelta = timedelta(minutes=15)
    grace: timedelta = timedelta(hours=1)
    """So long after its end is a content removed: by then no signed address reaches it any more."""
