"""The same sentences of the storage port, asked of a folder and of a server that speaks S3."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4  # noqa: TID251  a bucket of its own

import httpx2
import pytest

from infra.clock import utc_now
from portal.data.folder import FolderStorage
from portal.data.model import Blob
from portal.data.storage import ContentGone, Storage
from tests.support.files import BLOB, LIFE, MIB, content, cut, folder_storage
from tests.support.market import an_id

DATA = bytes(range(256)) * 4096 * 17  # two parts


@pytest.fixture(scope="module")
def s3_url() -> Iterator[str]:
    from moto.server import ThreadedMotoServer  # noqa: PLC0415  only where the marker says that it is here

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.s3)])
async def storage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Storage]:
    if request.param == "folder":
        yield folder_storage(tmp_path / "store", utc_now)
        return
    from portal.data.s3 import Bucket, S3Storage  # noqa: PLC0415  the library takes a second to load

    url = request.getfixturevalue("s3_url")
    bucket = Bucket(name=f"b{uuid4().hex}", endpoint=url, access_key="test", secret_key="test", prefix="kyoyo/")
    opened = S3Storage(bucket)
    opened._client.create_bucket(Bucket=bucket.name)
    yield opened
    await opened.close()


async def put_all(storage: Storage, blob: Blob, data: bytes) -> str:
    token = await storage.begin(blob)
    for number, part in enumerate(cut(data), start=1):
        await storage.put_part(blob, token, number, part, hashlib.sha256(part).digest())
    return token


async def read_all(storage: Storage, blob: Blob, data: bytes, offset: int = 0, length: int | None = None) -> bytes:
    length = len(data) if length is None else length
    return b"".join([piece async for piece in storage.read(blob, content(data), offset=offset, length=length)])


@pytest.mark.parametrize("data", [DATA, b"small", b""])
async def test_what_is_put_is_read(storage: Storage, data: bytes) -> None:
    token = await put_all(storage, BLOB, data)
    told = content(data)
    assert dict(await storage.arrived(BLOB, token, told)) == dict(enumerate(told.digests, start=1))
    with pytest.raises(ContentGone):
        await read_all(storage, BLOB, data)
    await storage.complete(BLOB, token, told)
    await storage.complete(BLOB, token, told)
    assert len(await storage.arrived(BLOB, token, told)) == told.shape.count
    assert await read_all(storage, BLOB, data) == data


async def test_a_stretch_is_read(storage: Storage) -> None:
    token = await put_all(storage, BLOB, DATA)
    await storage.complete(BLOB, token, content(DATA))
    assert await read_all(storage, BLOB, DATA, offset=16 * MIB - 3, length=7) == DATA[16 * MIB - 3 : 16 * MIB + 4]
    assert await read_all(storage, BLOB, DATA, offset=len(DATA) - 2, length=7) == DATA[-2:]


async def test_what_is_forgotten_is_gone(storage: Storage) -> None:
    token = await put_all(storage, BLOB, DATA)
    await storage.abort(BLOB, token)
    await storage.abort(BLOB, token)
    with pytest.raises(ContentGone):
        await storage.arrived(BLOB, token, content(DATA))
    with pytest.raises(ContentGone):
        await storage.complete(BLOB, token, content(DATA))


async def test_what_is_deleted_is_gone(storage: Storage) -> None:
    token = await put_all(storage, BLOB, DATA)
    await storage.complete(BLOB, token, content(DATA))
    await storage.delete(BLOB)
    await storage.delete(BLOB)
    with pytest.raises(ContentGone):
        await read_all(storage, BLOB, DATA)


async def test_two_contents_never_meet(storage: Storage) -> None:
    other = replace(BLOB, organisation_id=an_id("organisation", "beta"))
    for blob, data in ((BLOB, b"mine"), (other, b"theirs")):
        await storage.complete(blob, await put_all(storage, blob, data), content(data))
    await storage.delete(other)
    assert await read_all(storage, BLOB, b"mine") == b"mine"


@pytest.mark.s3
async def test_an_address_of_s3_binds_the_part_and_its_checksum(tmp_path: Path, s3_url: str) -> None:
    from portal.data.s3 import Bucket, S3Storage  # noqa: PLC0415

    storage = S3Storage(Bucket(name="bucket-one", endpoint=s3_url, access_key="test", secret_key="test"))
    storage._client.create_bucket(Bucket="bucket-one")
    token = await storage.begin(BLOB)
    address = storage.part_address(BLOB, token, content(DATA), 2, life=LIFE)
    digest = hashlib.sha256(cut(DATA)[1]).digest()
    assert address.headers == {"x-amz-checksum-sha256": base64.b64encode(digest).decode()}
    url = httpx2.URL(address.url)
    assert "x-amz-checksum-sha256" in url.params["X-Amz-SignedHeaders"]
    assert (url.params["partNumber"], url.params["uploadId"], url.params["X-Amz-Expires"]) == ("2", token, "900")
    async with httpx2.AsyncClient() as http:
        sent = await http.put(address.url, content=cut(DATA)[1], headers=dict(address.headers))
        assert sent.status_code == 200
        assert dict(await storage.arrived(BLOB, token, content(DATA))) == {2: digest}
        await storage.put_part(BLOB, token, 1, cut(DATA)[0], hashlib.sha256(cut(DATA)[0]).digest())
        await storage.complete(BLOB, token, content(DATA))
        reading = storage.read_address(BLOB, content(DATA), filename="ü.bin", life=LIFE)
        got = await http.get(reading.url, headers={"Range": "bytes=5-9"})
        assert (got.status_code, got.content) == (206, DATA[5:10])
        assert got.headers["content-disposition"] == "attachment; filename*=UTF-8''%C3%BC.bin"
    await storage.close()


def test_the_folders_addresses_need_no_library() -> None:
    assert FolderStorage.__module__ == "portal.data.folder"
