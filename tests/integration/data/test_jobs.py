"""Files of real jobs on this machine: brought as they were at submission, fetched after the end, each one's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from hpc_adapters.contract import Resources
from hpc_adapters.local.adapter import LocalBackend
from infra.clock import new_id, utc_now
from portal.app import create_app
from portal.data import leaving
from portal.data.service import DataStore
from portal.data.shelf import JobShelf
from scheduler.loops import cancel, dispatch, observe, staging, sweep
from scheduler.loops.deps import Deps
from tests.integration.portal.test_submission_refusals import refused
from tests.support.database import Database
from tests.support.files import MIB, data_store, get, put
from tests.support.portal_world import BETA, World, key, open_world, training

JOBS = "/api/v1/jobs"
LARGE = bytes(range(256)) * 4096 * 20


@dataclass
class Site:
    """The portal with one real machine behind it; step() turns the loops once."""

    world: World
    store: DataStore
    backend: LocalBackend
    root: Path

    def deps(self) -> Deps:
        pool = self.world.database.worker
        shelf = JobShelf(self.store, pool, new_id=new_id)
        return Deps(pool=pool, lease=None, backends={"local": self.backend}, new_id=new_id, shelf=shelf)

    async def step(self, *, stages: bool = True) -> None:
        self.world.clock.pass_s(1)
        ticks = (staging.tick, dispatch.tick, cancel.tick, observe.tick, sweep.tick)
        for tick in ticks if stages else ticks[1:]:
            await tick(self.deps(), self.world.clock.now)

    async def ended(self, http: httpx2.AsyncClient, number: object = 1) -> dict[str, Any]:
        for _ in range(200):
            await self.step()
            job: dict[str, Any] = (await http.get(f"{JOBS}/{number}")).json()
            if job["state"] in {"SUCCEEDED", "FAILED", "CANCELLED", "LOST"}:
                await self.step()
                return dict((await http.get(f"{JOBS}/{number}")).json())
            await asyncio.sleep(0.05)
        raise AssertionError(job)


@pytest.fixture
async def site(database: Database, tmp_path: Path) -> AsyncIterator[Site]:
    async with open_world(database) as world:
        await world.market.pay_in("50000")
        store = data_store(tmp_path / "store", world.clock, quota_bytes=64 * MIB)
        root = tmp_path / "runs"
        units = Resources(gpus=2, cpus=16, memory_mb=16_384)
        backend = LocalBackend("local", root, total=units, clock=utc_now)
        world.deps = replace(world.deps, data=store, backends={"local": backend})
        world.app = create_app(world.deps)
        yield Site(world, store, backend, root)


def job(script: str, *inputs: str, **more: Any) -> dict[str, Any]:
    told = [dict(zip(("key", "name"), each.split(":"), strict=False)) for each in inputs]
    return training(script=f"#!/bin/sh\n{script}\n", inputs=told, walltime_s=60, **more)


@pytest.mark.sandbox
async def test_a_job_reads_its_inputs_and_its_outputs_are_kept(site: Site) -> None:
    script = (
        'cat "$KYOYO_INPUT_DIR/data/x.csv"; wc -c < "$KYOYO_INPUT_DIR/big"\n'
        'echo model > "$KYOYO_OUTPUT_DIR/model.pt"; mkdir -p logs/deep "$KYOYO_OUTPUT_DIR/sub"\n'
        "echo l > logs/deep/l.txt\n"
        'cp "$KYOYO_INPUT_DIR/big" "$KYOYO_OUTPUT_DIR/sub/big"; echo not > wanted'
    )
    async with site.world.client() as http:
        await put(http, "data/x.csv", b"1,2\n")
        await put(http, "weights.bin", LARGE)
        sent = await http.post(
            JOBS, json=job(script, "data/x.csv", "weights.bin:big", outputs=["logs/**"]), headers=key()
        )
        assert sent.status_code == 201, sent.text
        await site.step(stages=False)
        waiting = (await http.get(f"{JOBS}/1")).json()
        assert waiting["waiting"]["reason"] == "STAGING"
        assert [each["key"] for each in waiting["inputs"]] == ["weights.bin", "data/x.csv"]
        ended = await site.ended(http)
        assert (ended["state"], ended["reason"]) == ("SUCCEEDED", None)
        log = (await http.get(f"{JOBS}/1/logs")).json()["text"]
        assert log.split() == ["1,2", str(len(LARGE))]
        assert {each["name"]: each["key"] for each in ended["outputs"]} == {
            "model.pt": "jobs/1/model.pt",
            "sub/big": "jobs/1/sub/big",
            "logs/deep/l.txt": "jobs/1/logs/deep/l.txt",
        }
        assert (await get(http, "jobs/1/model.pt")).content == b"model\n"
        assert (await get(http, "jobs/1/sub/big")).content == LARGE
        assert not list((site.root / ".inputs").iterdir())
        async with site.world.client(BETA) as stranger:
            assert refused(await get(stranger, "jobs/1/model.pt")) == (404, "object-not-found")


@pytest.mark.sandbox
async def test_a_job_reads_the_version_that_was_there_at_its_submission(site: Site) -> None:
    async with site.world.client() as http:
        await put(http, "x", b"old")
        await http.post(JOBS, json=job('cat "$KYOYO_INPUT_DIR/x"', "x"), headers=key())
        await put(http, "x", b"new")
        site.world.clock.pass_s(7200)
        assert await leaving.tick(site.store, site.world.database.worker, None, site.world.clock.now) == 0
        assert (await site.ended(http))["state"] == "SUCCEEDED"
        assert (await http.get(f"{JOBS}/1/logs")).json()["text"] == "old"
        assert await leaving.tick(site.store, site.world.database.worker, None, site.world.clock.now) == 1
        assert (await get(http, "x")).content == b"new"


async def test_an_input_that_is_gone_ends_the_job_by_name_and_free(site: Site) -> None:
    async with site.world.client() as http:
        await put(http, "x", b"here")
        await http.post(JOBS, json=job("true", "x"), headers=key())
        await http.delete("/api/v1/data/objects", params={"key": "x"})
        ended = await site.ended(http)
        assert (ended["state"], ended["reason"], ended["started_at"]) == ("FAILED", "not_staged:input-gone", None)
        assert "input-gone" in ended["story"][-1]["sentence"]
        assert float(ended["held_yen"]) == 0


async def test_an_input_that_was_damaged_is_not_given_to_the_job(site: Site, tmp_path: Path) -> None:
    async with site.world.client() as http:
        await put(http, "x", b"here")
        [part] = (tmp_path / "store" / "blobs").rglob("1-*")
        part.write_bytes(b"HERE")
        await http.post(JOBS, json=job("true", "x"), headers=key())
        assert (await site.ended(http))["reason"] == "not_staged:input-damaged"


async def test_a_submission_whose_files_are_wrong_is_refused_by_name(site: Site) -> None:
    async with site.world.client() as http, site.world.client(BETA) as stranger:
        await put(http, "x", b"here")
        wrong = {
            "object-not-found": job("true", "y"),
            "invalid-object-key": job("true", "../x:x"),
            "bad-option": job("true", "x:../../etc/passwd"),
        }
        for code, body in wrong.items():
            assert refused(await http.post(JOBS, json=body, headers=key(code)))[1] == code
        for name in ("/x", "a//b", "a\nb"):
            assert refused(await http.post(JOBS, json=job("true", f"x:{name}"), headers=key()))[1] == "bad-option"
        twice = job("true", "x:a", "x:a")
        nested = job("true", "x:a", "x:a/b")
        pattern = job("true", outputs=["../*"])
        for body in (twice, nested, pattern):
            assert refused(await http.post(JOBS, json=body, headers=key())) == (422, "bad-option")
        theirs = await stranger.post(JOBS, json=job("true", "x"), headers=key())
        assert refused(theirs)[1] in {"object-not-found", "no-wallet", "insufficient-funds"}
        assert (await http.get(JOBS)).json()["items"] == []


@pytest.mark.sandbox
async def test_a_hostile_job_hands_out_nothing_but_its_own_files(site: Site, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("house")
    script = (
        f'ln -s {secret} "$KYOYO_OUTPUT_DIR/link"; ln -s / "$KYOYO_OUTPUT_DIR/root"; mkfifo "$KYOYO_OUTPUT_DIR/pipe"\n'
        'printf x > "$KYOYO_OUTPUT_DIR/$(printf "a\\nb")"; echo mine > "$KYOYO_OUTPUT_DIR/mine"\n'
        'mkdir -p "$KYOYO_OUTPUT_DIR/sub"; ln -s ../../.. "$KYOYO_OUTPUT_DIR/sub/up"\n'
        'echo x > "$KYOYO_INPUT_DIR/x" && exit 7; rm -f "$KYOYO_INPUT_DIR/x"; exit 0'
    )
    async with site.world.client() as http:
        await put(http, "x", b"here")
        await http.post(JOBS, json=job(script, "x", outputs=["**"]), headers=key())
        ended = await site.ended(http)
        assert (ended["state"], ended["exit_code"]) == ("SUCCEEDED", 0)
        kept = {each["name"] for each in ended["outputs"] if each["key"]}
        assert "mine" in kept
        assert not kept & {"link", "root", "pipe", "sub/up", "a\nb"}
        problems = {each["name"]: each["problem"] for each in ended["outputs"] if each["problem"]}
        assert problems["output/link"] == problems["output/pipe"] == problems["output/root"] == "not-a-file"
        assert problems["output/a\nb"] == "name"


@pytest.mark.sandbox
async def test_what_does_not_fit_the_quota_is_told_and_the_rest_is_kept(site: Site) -> None:
    script = 'cd "$KYOYO_OUTPUT_DIR"; head -c 70000000 /dev/zero > big; echo s > small'
    async with site.world.client() as http:
        await http.post(JOBS, json=job(script), headers=key())
        ended = await site.ended(http)
        told = {each["name"]: each["problem"] for each in ended["outputs"]}
        assert told == {"big": "storage-quota-exceeded", "small": None}


class Killed(BaseException):
    """The worker dies here."""


def dies_after(site: Site, patch: pytest.MonkeyPatch, method: str, calls: int = 1) -> None:
    """So many calls are carried out; then it dies, once."""
    real, left = getattr(site.backend, method), calls

    async def call(*arguments: Any, **named: Any) -> Any:
        nonlocal left
        done = await real(*arguments, **named)
        left -= 1
        if left == 0:
            raise Killed
        return done

    patch.setattr(site.backend, method, call)


async def step_until_killed(site: Site) -> None:
    for _ in range(200):
        try:
            await site.step()
        except (Killed, BaseExceptionGroup):
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it lived")


@pytest.mark.sandbox
async def test_staging_goes_on_after_a_crash_at_each_step(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """After each file, after the seal, in the middle of an output: nothing is lost or doubled."""
    copies = 'cat "$KYOYO_INPUT_DIR"/*; cp "$KYOYO_INPUT_DIR"/* "$KYOYO_OUTPUT_DIR"'
    async with site.world.client() as http:
        for name in "ab":
            await put(http, name, name.encode())
        await http.post(JOBS, json=job(copies, "a", "b"), headers=key())
        crashes = (("put_input", 1), ("put_input", 2), ("seal_inputs", 1), ("read_output", 1), ("read_output", 3))
        for method, calls in (*crashes, ("drop_inputs", 1)):
            with monkeypatch.context() as patch:
                dies_after(site, patch, method, calls)
                await step_until_killed(site)
        ended = await site.ended(http)
        assert {each["name"] for each in ended["outputs"] if each["key"]} == {"a", "b"}
        assert (await http.get(f"{JOBS}/1/logs")).json()["text"] == "ab"
        used = (await http.get("/api/v1/data/usage")).json()
        assert (used["objects"], used["object_bytes"], used["upload_bytes"]) == (4, 4, 0)


async def test_a_full_disk_is_waited_for(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    async with site.world.client() as http:
        await put(http, "x", b"here")
        await http.post(JOBS, json=job("true", "x"), headers=key())
        monkeypatch.setattr("hpc_adapters.local.files._RESERVE_BYTES", 2**62)
        await site.step()
        await site.step()
        waiting = (await http.get(f"{JOBS}/1")).json()["waiting"]
        assert (waiting["reason"], waiting["facts"]) == ("STAGING", {"problem": "disk-full"})
        for _ in range(40):
            site.world.clock.pass_s(300)
            await site.step()
        ended = (await http.get(f"{JOBS}/1")).json()
        assert (ended["state"], ended["reason"]) == ("FAILED", "not_staged:disk-full")


async def test_nobody_reads_what_a_run_left_but_its_owner(site: Site) -> None:
    assert site.root.stat().st_mode & 0o077 == 0
