"""Objects in a bucket of S3, or of what speaks S3. Parts go straight there, by addresses that it has given us the right
to sign: each names its upload, its number and the SHA-256 that S3 itself checks.

Keys in the bucket are `<prefix><organisation>/<id>`. A rule of the bucket should abort incomplete uploads after some
eight days: one that was begun in the moment in which the portal died is known to nobody else.
"""

from __future__ import annotations

import asyncio
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256 as sha256_of
from typing import Any, Final, TypeVar
from urllib.parse import quote

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session

from portal.data.model import Blob, Content
from portal.data.storage import Address, ContentGone, PartRefused, StorageAway

T = TypeVar("T")
_PIECE_BYTES: Final = 2**20
_CHECKSUM: Final = "x-amz-checksum-sha256"
_GONE: Final = frozenset({"NoSuchUpload", "NoSuchKey", "NotFound", "404"})
_WRONG: Final = frozenset({"BadDigest", "InvalidDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """Where it is. Without a key of its own: what the machine itself is given (instance role, profile)."""

    name: str
    prefix: str = ""
    endpoint: str | None = None
    region: str = "us-east-1"
    access_key: str | None = None
    secret_key: str | None = field(default=None, repr=False)


class S3Storage:
    """Implements `storage.Storage`. The library is synchronous: its calls run in threads."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._client: Any = Session().create_client(
            "s3",
            region_name=bucket.region,
            endpoint_url=bucket.endpoint,
            aws_access_key_id=bucket.access_key,
            aws_secret_access_key=bucket.secret_key,
            config=Config(
                signature_version="s3v4",
                s3={"addressing_style": "path" if bucket.endpoint else "auto"},
                connect_timeout=5,
                read_timeout=60,
                retries={"mode": "standard", "total_max_attempts": 3},
                max_pool_connections=32,
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    async def begin(self, blob: Blob) -> str:
        made = await self._call(
            self._client.create_multipart_upload,
            **self._at(blob),
            ChecksumAlgorithm="SHA256",
            ContentType="application/octet-stream",
            ContentDisposition="attachment",
        )
        return str(made["UploadId"])

    def part_address(self, blob: Blob, token: str, content: Content, number: int, *, life: timedelta) -> Address:
        checksum = b64encode(content.digests[number - 1]).decode()
        told = {**self._at(blob), "UploadId": token, "PartNumber": number, "ChecksumSHA256": checksum}
        return Address(method="PUT", url=self._sign("upload_part", told, life), headers={_CHECKSUM: checksum})

    def read_address(self, blob: Blob, content: Content, *, filename: str, life: timedelta) -> Address:  # noqa: ARG002
        told = {
            **self._at(blob),
            "ResponseContentType": "application/octet-stream",
            "ResponseContentDisposition": f"attachment; filename*=UTF-8''{quote(filename, safe='')}",
        }
        return Address(method="GET", url=self._sign("get_object", told, life))

    async def put_part(self, blob: Blob, token: str, number: int, data: bytes, sha256: bytes) -> None:
        if sha256_of(data).digest() != sha256:
            raise PartRefused("checksum")
        checksum = b64encode(sha256).decode()
        told = {**self._at(blob), "UploadId": token, "PartNumber": number, "ChecksumSHA256": checksum}
        await self._call(self._client.upload_part, **told, Body=data)

    async def arrived(self, blob: Blob, token: str, content: Content) -> Mapping[int, bytes]:
        try:
            parts = await self._parts(blob, token)
        except ContentGone:
            await self._require(blob, content)
            return dict(enumerate(content.digests, start=1))
        return {part["PartNumber"]: sha256 for part in parts if (sha256 := _sha256_of(part, content)) is not None}

    async def complete(self, blob: Blob, token: str, content: Content) -> None:
        with suppress(ContentGone):  # complete already, or forgotten: the look at the whole tells
            parts = await self._parts(blob, token)
            told = [
                {name: part[name] for name in ("PartNumber", "ETag", "ChecksumSHA256") if name in part}
                for part in parts
            ]
            await self._call(
                self._client.complete_multipart_upload,
                **self._at(blob),
                UploadId=token,
                MultipartUpload={"Parts": told},
            )
        await self._verify(blob, content)

    async def abort(self, blob: Blob, token: str) -> None:
        with suppress(ContentGone):
            await self._call(self._client.abort_multipart_upload, **self._at(blob), UploadId=token)

    async def read(self, blob: Blob, content: Content, *, offset: int, length: int) -> AsyncIterator[bytes]:
        end = min(offset + length, content.shape.size)
        if offset >= end:
            await self._require(blob, content)
            return
        found = await self._call(self._client.get_object, **self._at(blob), Range=f"bytes={offset}-{end - 1}")
        body = found["Body"]
        try:
            while piece := await self._call(body.read, _PIECE_BYTES):
                offset += len(piece)
                yield piece
        finally:
            body.close()
        if offset != end:
            raise StorageAway("cut short")

    async def delete(self, blob: Blob) -> None:
        with suppress(ContentGone):
            await self._call(self._client.delete_object, **self._at(blob))

    async def close(self) -> None:
        self._client.close()

    def _at(self, blob: Blob) -> dict[str, str]:
        key = f"{self._bucket.prefix}{blob.organisation_id.hex}/{blob.id.hex}"
        return {"Bucket": self._bucket.name, "Key": key}

    def _sign(self, what: str, told: Mapping[str, object], life: timedelta) -> str:
        with _told():
            url: str = self._client.generate_presigned_url(what, Params=dict(told), ExpiresIn=int(life.total_seconds()))
        return url

    async def _parts(self, blob: Blob, token: str) -> list[dict[str, Any]]:
        def all_pages() -> list[dict[str, Any]]:
            pages = self._client.get_paginator("list_parts").paginate(**self._at(blob), UploadId=token)
            return [part for page in pages for part in page.get("Parts", [])]

        return await self._call(all_pages)

    async def _require(self, blob: Blob, content: Content) -> dict[str, Any]:
        """What S3 knows of the whole. ContentGone: there is no such content."""
        found: dict[str, Any] = await self._call(self._client.head_object, **self._at(blob), ChecksumMode="ENABLED")
        if found["ContentLength"] != content.shape.size:
            raise ContentGone("size")
        return found

    async def _verify(self, blob: Blob, content: Content) -> None:
        """By the checksum that S3 keeps of the whole; where the server keeps none, by reading it. PartRefused: gone."""
        kept = (await self._require(blob, content)).get("ChecksumSHA256")
        wanted = sha256_of(content.part_sha256).digest()
        if kept is None:
            is_right = await self._digests(blob, content) == content.digests
        else:
            is_right = b64decode(kept.partition("-")[0]) == wanted
        if not is_right:
            await self.delete(blob)
            raise PartRefused("checksum")

    async def _digests(self, blob: Blob, content: Content) -> list[bytes]:
        shape, found = content.shape, []
        for number in range(1, shape.count + 1):
            digest, first = sha256_of(), (number - 1) * shape.part_bytes
            async for piece in self.read(blob, content, offset=first, length=shape.size_of(number)):
                digest.update(piece)
            found.append(digest.digest())
        return found

    async def _call(self, method: Callable[..., T], *arguments: object, **told: object) -> T:
        def call() -> T:
            with _told():
                return method(*arguments, **told)

        return await asyncio.to_thread(call)


def _sha256_of(part: Mapping[str, Any], content: Content) -> bytes | None:
    """Of a part that has arrived; None: it is not the announced one. A server that does not tell checksums has been
    given them with the part's address, and the whole is verified at the end.
    """
    number = part["PartNumber"]
    if not 1 <= number <= content.shape.count or part["Size"] != content.shape.size_of(number):
        return None
    told = part.get("ChecksumSHA256")
    return content.digests[number - 1] if told is None else b64decode(told)


@contextmanager
def _told() -> Iterator[None]:
    """What S3 says, in the storage's words."""
    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in _GONE:
            raise ContentGone(code) from error
        if code in _WRONG:
            raise PartRefused("checksum") from error
        raise StorageAway(code) from error
    except (BotoCoreError, OSError) as error:
        raise StorageAway(type(error).__name__) from error
