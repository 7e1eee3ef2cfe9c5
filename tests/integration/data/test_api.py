"""Files over HTTP, kept in a folder: whole or not at all, each organisation's own, nothing but what was announced."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from portal.app import create_app
from portal.data.keys import MAX_KEY_BYTES
from tests.integration.portal.test_submission_refusals import refused
from tests.support.database import Database
from tests.support.files import MIB, address, announce, announcement, cut, data_store, get, put, send
from tests.support.portal_world import ALPHA, BETA, World, open_world

API = "/api/v1/data"
SMALL = b"a,b\n1,2\n"
LARGE = bytes(range(256)) * 4096 * 40 + b"end"  # 40 MiB and a little: three parts


@pytest.fixture
async def world(database: Database, tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(database) as opened:
        store = data_store(tmp_path / "store", opened.clock, quota_bytes=64 * MIB, object_bytes=50 * MIB, uploads=3)
        opened.deps = replace(opened.deps, data=store)
        opened.app = create_app(opened.deps)
        yield opened


async def test_a_file_comes_back_as_it_went(world: World) -> None:
    async with world.client() as http:
        for key, data in (("data/x.csv", SMALL), ("big.bin", LARGE), ("空.txt", b"")):
            done = await put(http, key, data)
            assert done.status_code == 200, done.text
            assert (await get(http, key)).content == data
        listed = (await http.get(f"{API}/objects")).json()
    told = {each["key"]: (each["size_bytes"], each["checksum"]) for each in listed["items"]}
    digests = b"".join(hashlib.sha256(part).digest() for part in cut(LARGE))
    assert told == {
        "data/x.csv": (len(SMALL), hashlib.sha256(SMALL).hexdigest()),
        "big.bin": (len(LARGE), hashlib.sha256(digests).hexdigest() + "-3"),
        "空.txt": (0, hashlib.sha256(b"").hexdigest()),
    }


async def test_nothing_is_seen_before_it_is_whole(world: World) -> None:
    async with world.client() as http:
        upload = await announce(http, "big.bin", LARGE)
        await send(http, upload, 1, cut(LARGE)[0])
        early = await http.post(f"{API}/uploads/{upload['id']}/complete")
        assert refused(early) == (409, "upload-incomplete")
        assert early.json()["facts"] == {"missing": 2, "first": 2}
        assert refused(await get(http, "big.bin")) == (404, "object-not-found")
        assert (await http.get(f"{API}/objects")).json()["items"] == []


async def test_an_upload_is_gone_on_with_where_it_stopped(world: World) -> None:
    async with world.client() as http:
        first = await announce(http, "big.bin", LARGE)
        await send(http, first, 2, cut(LARGE)[1])
        again = await announce(http, "big.bin", LARGE)
        assert (again["id"], again["arrived"]) == (first["id"], [2])
        done = await put(http, "big.bin", LARGE)
        lost_answer = await http.post(f"{API}/uploads/{first['id']}/complete")
        known = await announce(http, "big.bin", LARGE)
    assert lost_answer.json() == done.json() == known["object"]


@pytest.mark.parametrize("sent", [SMALL + b"x", SMALL[:-1], b"A" + SMALL[1:], b""])
async def test_a_part_that_lies_is_refused_and_leaves_nothing(world: World, sent: bytes, tmp_path: Path) -> None:
    async with world.client() as http:
        upload = await announce(http, "x.csv", SMALL)
        assert refused(await send(http, upload, 1, sent)) == (422, "checksum-wrong")
        assert refused(await http.post(f"{API}/uploads/{upload['id']}/complete")) == (409, "upload-incomplete")
    assert kept(tmp_path) == []


async def test_an_announcement_that_does_not_add_up_is_refused(world: World) -> None:
    good = announcement("x.csv", LARGE)
    async with world.client() as http:
        few = await http.post(f"{API}/uploads", json=good | {"part_sha256": good["part_sha256"][:-1]})  # type: ignore[index]
        large = await http.post(f"{API}/uploads", json=good | {"size_bytes": 51 * MIB})
        huge = await http.post(f"{API}/uploads", json=good | {"size_bytes": 2**62})
        odd = await http.post(f"{API}/uploads", json=good | {"part_sha256": ["x" * 64]})
    assert refused(few) == (422, "upload-parts-wrong")
    assert refused(large) == refused(huge) == (413, "object-too-large")
    assert refused(odd) == (422, "invalid-request")


def kept(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


KEYS = [
    *("", "/etc/passwd", "../x", "a/../b", "a/./b", "a//b", "a/", "..", ".", "a\\b", "a\nb", "a\x00b", "a\x7f"),
    *("\u202eexe.txt", " a", "a /b", "a/" + "x" * 201, "/".join(["x" * 199] * 6), "a\u2028b", "\ud800"),
]


@pytest.mark.parametrize("key", KEYS)
async def test_a_name_that_leads_elsewhere_is_refused(world: World, key: str, tmp_path: Path) -> None:
    import json  # noqa: PLC0415  the client would not send half a character

    body = json.dumps(announcement(key, SMALL)).encode()
    async with world.client() as http:
        answer = await http.post(f"{API}/uploads", content=body, headers={"Content-Type": "application/json"})
    assert refused(answer)[0] == 422
    assert kept(tmp_path) == []


async def test_what_looks_the_same_is_the_same(world: World) -> None:
    async with world.client() as http:
        await put(http, "が.txt", SMALL)
        assert (await get(http, "か\u3099.txt")).content == SMALL
        reserved = await http.post(f"{API}/uploads", json=announcement("jobs/1/model.pt", SMALL))
        longest = await http.post(f"{API}/uploads", json=announcement("x" * 150 + "/" + "y" * 150, SMALL))
    assert refused(reserved) == (403, "object-key-reserved")
    assert longest.status_code == 200
    assert MAX_KEY_BYTES == 900


async def test_tenants_neither_see_nor_reach_each_others_files(world: World) -> None:
    async with world.client() as mine, world.client(BETA) as theirs:
        await put(mine, "secret.csv", SMALL)
        upload = await announce(mine, "next.csv", SMALL + b"3")
        assert (await theirs.get(f"{API}/objects")).json()["items"] == []
        assert refused(await get(theirs, "secret.csv")) == (404, "object-not-found")
        gone = await theirs.delete(f"{API}/objects", params={"key": "secret.csv"})
        addresses = await theirs.post(f"{API}/uploads/{upload['id']}/addresses", json={"numbers": [1]})
        complete = await theirs.post(f"{API}/uploads/{upload['id']}/complete")
        ended = await theirs.delete(f"{API}/uploads/{upload['id']}")
        assert refused(gone) == (404, "object-not-found")
        assert refused(addresses) == refused(complete) == refused(ended) == (404, "upload-not-found")
        # The same name and content is another object, and costs its owner their own quota.
        assert (await announce(theirs, "secret.csv", SMALL))["object"] is None
        assert (await get(mine, "secret.csv")).content == SMALL


async def test_an_address_is_good_for_what_it_says_and_a_while(world: World) -> None:
    async with world.client(None) as nobody, world.client() as http:
        upload = await announce(http, "x.csv", SMALL)
        url = await address(http, upload, 1)
        word = url.rpartition("/")[2]
        body, _, seal = word.partition(".")
        told = urlsafe_b64decode(body + "=" * (-len(body) % 4))
        forged = urlsafe_b64encode(told.replace(b'"PUT"', b'"GET"')).decode().rstrip("=")
        for wrong in (f"{forged}.{seal}", f"{body}.{'A' * 43}", body, f"{body}.", "x", word + "x", "é" * 9):
            answer = await nobody.put(f"/api/v1/transfers/{wrong}", content=SMALL)
            assert refused(answer) == (403, "transfer-not-signed")
        assert refused(await nobody.get(url)) == (403, "transfer-not-signed")
        world.clock.pass_s(15 * 60)
        assert refused(await nobody.put(url, content=SMALL)) == (403, "transfer-expired")
        fresh = await address(http, upload, 1)
        assert (await nobody.put(fresh, content=SMALL)).status_code == 204
        await http.post(f"{API}/uploads/{upload['id']}/complete")
        late = await nobody.put(fresh, content=SMALL)
        assert refused(late) == (404, "upload-not-found")
        assert (await get(http, "x.csv")).content == SMALL


async def test_the_quota_counts_what_is_announced_and_gives_it_back(world: World) -> None:
    async with world.client() as http:
        await put(http, "big.bin", LARGE)
        over = await http.post(f"{API}/uploads", json=announcement("more.bin", LARGE[1:]))
        assert refused(over) == (413, "storage-quota-exceeded")
        assert over.json()["facts"]["used_bytes"] == len(LARGE)
        upload = await announce(http, "some.bin", LARGE[: 23 * MIB])
        used = (await http.get(f"{API}/usage")).json()
        assert (used["object_bytes"], used["upload_bytes"]) == (len(LARGE), 23 * MIB)
        assert refused(await http.post(f"{API}/uploads", json=announcement("y", SMALL * MIB))) == (
            413,
            "storage-quota-exceeded",
        )
        assert (await http.delete(f"{API}/uploads/{upload['id']}")).status_code == 204
        assert (await http.get(f"{API}/usage")).json()["upload_bytes"] == 0
        for name in "abc":
            await announce(http, name, SMALL)
        assert refused(await http.post(f"{API}/uploads", json=announcement("d", SMALL))) == (429, "too-many-uploads")


async def test_a_file_is_read_by_range_and_only_ever_as_a_file(world: World) -> None:
    async with world.client() as http:
        await put(http, 'a"ü.html', LARGE)
        whole = await get(http, 'a"ü.html')
        assert whole.headers["content-type"] == "application/octet-stream"
        assert whole.headers["content-disposition"] == "attachment; filename*=UTF-8''a%22%C3%BC.html"
        assert whole.headers["x-content-type-options"] == "nosniff"
        size = len(LARGE)
        across = 16 * MIB
        for told, first, end in (
            ("bytes=0-0", 0, 1),
            (f"bytes={across - 5}-{across + 4}", across - 5, across + 5),
            ("bytes=-3", size - 3, size),
            (f"bytes={size - 2}-", size - 2, size),
            (f"bytes={across}-{10**15}", across, size),
        ):
            part = await get(http, 'a"ü.html', Range=told)
            assert (part.status_code, part.content) == (206, LARGE[first:end])
            assert part.headers["content-range"] == f"bytes {first}-{end - 1}/{size}"
        for told in (f"bytes={size}-", "bytes=-0"):
            assert refused(await get(http, 'a"ü.html', Range=told)) == (416, "range-not-satisfiable")
        for told in ("bytes=5-2", "lines=1-2", "bytes=0-1,4-5", "bytes=-"):
            answer = await get(http, 'a"ü.html', Range=told)
            assert answer.status_code in (200, 416)


async def test_a_list_comes_page_by_page(world: World) -> None:
    async with world.client() as http:
        for name in ("a", "b/1", "b/2", "b/3", "B", "c%"):
            await put(http, name, SMALL)
        found: list[str] = []
        cursor: str | None = None
        while True:
            page = (
                await http.get(f"{API}/objects", params={"limit": 2} | ({"cursor": cursor} if cursor else {}))
            ).json()
            found += [each["key"] for each in page["items"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        some = (await http.get(f"{API}/objects", params={"prefix": "b/"})).json()["items"]
        none = (await http.get(f"{API}/objects", params={"prefix": "%"})).json()["items"]
        bad = await http.get(f"{API}/objects", params={"cursor": "%%%"})
    assert found == ["B", "a", "b/1", "b/2", "b/3", "c%"]
    assert [each["key"] for each in some] == ["b/1", "b/2", "b/3"]
    assert none == []
    assert bad.status_code in (200, 422)


async def test_a_link_in_the_stores_folder_is_not_followed(world: World, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(SMALL)
    async with world.client() as http:
        done = await put(http, "x.csv", SMALL)
        assert done.status_code == 200
        [part] = (tmp_path / "store" / "blobs").rglob("1-*")
        part.unlink()
        part.symlink_to(outside / "secret")
        assert refused(await get(http, "x.csv")) == (404, "object-not-found")
        upload = await announce(http, "y.csv", SMALL)
        [place] = (tmp_path / "store" / "uploads").iterdir()
        place.rmdir()
        place.symlink_to(outside)
        assert refused(await send(http, upload, 1, SMALL)) == (404, "upload-not-found")
    assert kept(outside) == [outside / "secret"]


async def test_a_house_without_a_store_says_so(world: World) -> None:
    world.deps = replace(world.deps, data=None)
    world.app = create_app(world.deps)
    async with world.client(ALPHA) as http:
        assert refused(await http.get(f"{API}/objects")) == (404, "data-not-offered")
        assert refused(await http.put("/api/v1/transfers/x")) == (404, "data-not-offered")
