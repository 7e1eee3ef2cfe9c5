"""Files for tests of the object store: small parts, a store in a folder, and a client's side of a transfer."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2

from infra.clock import Clock
from portal.data.capability import Signer
from portal.data.folder import FolderStorage
from portal.data.model import Blob, Content, DataLimits
from portal.data.parts import shape_of
from portal.data.service import DataStore
from tests.support.market import an_id

MIB = 2**20
BLOB = Blob(an_id("organisation"), an_id("object"))
LIFE = timedelta(minutes=15)


def folder_storage(root: Path, clock: Clock) -> FolderStorage:
    return FolderStorage(root, Signer(b"s" * 32), clock=clock)


def data_store(root: Path, clock: Clock, **limits: Any) -> DataStore:
    return DataStore(storage=folder_storage(root, clock), limits=DataLimits(**limits))


def cut(data: bytes) -> list[bytes]:
    shape = shape_of(len(data))
    return [data[at * shape.part_bytes : (at + 1) * shape.part_bytes] for at in range(shape.count)]


def content(data: bytes) -> Content:
    return Content(shape=shape_of(len(data)), part_sha256=b"".join(hashlib.sha256(part).digest() for part in cut(data)))


def announcement(key: str, data: bytes) -> dict[str, object]:
    return {
        "key": key,
        "size_bytes": len(data),
        "part_sha256": [hashlib.sha256(part).hexdigest() for part in cut(data)],
    }


async def announce(http: httpx2.AsyncClient, key: str, data: bytes) -> dict[str, Any]:
    answer = await http.post("/api/v1/data/uploads", json=announcement(key, data))
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def address(http: httpx2.AsyncClient, upload: dict[str, Any], number: int) -> str:
    answer = await http.post(f"/api/v1/data/uploads/{upload['id']}/addresses", json={"numbers": [number]})
    assert answer.status_code == 200, answer.text
    url: str = answer.json()["items"][0]["url"]
    return url


async def send(http: httpx2.AsyncClient, upload: dict[str, Any], number: int, part: bytes) -> httpx2.Response:
    """Without the token: the address is all that is needed."""
    url = await address(http, upload, number)
    return await http.put(url, content=part, headers={"Authorization": ""})


async def put(http: httpx2.AsyncClient, key: str, data: bytes) -> httpx2.Response:
    """Everything, from the announcement to the object."""
    upload = await announce(http, key, data)
    if upload["object"] is None:
        for number, part in enumerate(cut(data), start=1):
            if number not in upload["arrived"]:
                sent = await send(http, upload, number, part)
                assert sent.status_code == 204, sent.text
    return await http.post(f"/api/v1/data/uploads/{upload['id']}/complete")


async def get(http: httpx2.AsyncClient, key: str, **headers: str) -> httpx2.Response:
    asked = await http.post("/api/v1/data/downloads", json={"key": key})
    if asked.is_error:
        return asked
    return await http.get(asked.json()["url"], headers={"Authorization": "", **headers})
