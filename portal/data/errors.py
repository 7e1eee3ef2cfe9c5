"""What the object store refuses."""

from __future__ import annotations

from infra.refusal import Refusal


class InvalidKey(Refusal):
    """Facts: key (as it may be shown), problem (a word)."""

    code = "invalid-object-key"


class KeyReserved(Refusal):
    """jobs/… is where the outputs of jobs are kept. Facts: key."""

    code = "object-key-reserved"


class ObjectNotFound(Refusal):
    """No such object, or one of another organisation, which is the same. Facts: key."""

    code = "object-not-found"


class ObjectTooLarge(Refusal):
    """Facts: size_bytes, limit_bytes."""

    code = "object-too-large"


class PartsWrong(Refusal):
    """The announced parts do not make up the announced size, or a part has no such number. Facts: problem."""

    code = "upload-parts-wrong"


class QuotaExceeded(Refusal):
    """Facts: needed_bytes, used_bytes, limit_bytes."""

    code = "storage-quota-exceeded"


class TooManyObjects(Refusal):
    """Facts: limit."""

    code = "too-many-objects"


class TooManyUploads(Refusal):
    """Facts: limit."""

    code = "too-many-uploads"


class UploadNotFound(Refusal):
    """No such upload, or it has been ended or given up."""

    code = "upload-not-found"


class UploadIncomplete(Refusal):
    """Facts: missing (how many parts), first (the first of them)."""

    code = "upload-incomplete"


class ChecksumWrong(Refusal):
    """What has arrived is not what was announced. Facts: what ('size' or 'checksum')."""

    code = "checksum-wrong"


class TransferRefused(Refusal):
    """An address for a transfer that we have not signed, or not for this."""

    code = "transfer-not-signed"


class TransferExpired(Refusal):
    """An address for a transfer whose time is over."""

    code = "transfer-expired"


class RangeWrong(Refusal):
    """Facts: size_bytes."""

    code = "range-not-satisfiable"


class DataNotOffered(Refusal):
    """No files are kept in this house."""

    code = "data-not-offered"


class StoreAway(Refusal):
    """The object store does not answer now, or has no room."""

    code = "object-store-unavailable"
