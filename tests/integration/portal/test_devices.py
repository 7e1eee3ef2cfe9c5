"""Devices over the API and as pages, and what they say to an estimate."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any, cast

import pytest

from hpc_adapters.devices import DeviceState, EstimateSource, OfflineWindow, ServiceEstimate
from hpc_adapters.errors import Rejected
from hpc_adapters.simulated.adapter import SimulatedBackend
from infra.clock import new_id
from scheduler.loops import devices
from scheduler.loops.deps import Deps
from tests.support.devices import DeviceBackend, a_calibration, a_device, as_backend, gone
from tests.support.market import NOW
from tests.support.portal_world import ALPHA, BETA, OFFICER, OPERATOR, World, circuit, key

pytestmark = pytest.mark.postgres
SOON = OfflineWindow(NOW + timedelta(hours=2), NOW + timedelta(hours=3), DeviceState.CALIBRATING)


async def with_device(world: World, **told: object) -> DeviceBackend:
    """The portal's QPU, as a device that the register has heard of."""
    device = DeviceBackend(cast("SimulatedBackend", world.backends["aer"]), a_device(**{"windows": (SOON,), **told}))
    cast("dict[str, Any]", world.backends)["aer"] = as_backend(device)
    await look(world)
    return device


async def look(world: World) -> None:
    deps = Deps(pool=world.database.worker, lease=None, backends=world.backends, new_id=new_id)
    await devices.tick(deps, world.clock.now)


async def test_a_device_is_told_with_its_lines_its_next_window_and_its_prices(world: World) -> None:
    await with_device(world)
    await world.market.grant("10000")
    async with world.client() as api:
        await api.post("/api/v1/jobs", json=circuit(), headers=key())
    async with world.client(BETA) as api:
        (device,) = (await api.get("/api/v1/devices")).json()["items"]
    assert (device["name"], device["vendor_name"], device["qubits"], device["state"]) == ("aer", "kyo-7", 7, "online")
    assert (device["queue"], device["waiting"]) == (3, 1)
    assert device["next_window"] == {
        "since": "2026-04-01T05:00:00Z",
        "until": "2026-04-01T06:00:00Z",
        "kind": "calibrating",
    }
    assert (device["offering"], {price["component"] for price in device["prices"]}) == ("qpu-demo", {"qpu_s", "shot"})
    assert device["calibration"]["id"] == "cal-1"
    assert device["calibration"]["gates"] == []
    assert (device["domestic"], device["sessions"], len(device["coupling"])) == (True, True, 6)


@pytest.mark.parametrize("who", [ALPHA, BETA, OPERATOR, OFFICER])
async def test_whoever_is_signed_in_may_look(world: World, who: str) -> None:
    await with_device(world)
    async with world.client(who) as api:
        detail = (await api.get("/api/v1/devices/aer")).json()
    assert [len(detail["calibration"][part]) for part in ("qubits", "gates")] == [7, 13]
    assert [each["state"] for each in detail["history"]] == ["online"]


async def test_calibrations_are_paged_and_each_is_kept(world: World) -> None:
    device = await with_device(world)
    for number in (2, 3):
        world.clock.pass_s(60)
        device.told = a_device(calibration=a_calibration(f"cal-{number}", error=0.001 * number))
        await look(world)
    async with world.client() as api:
        first = (await api.get("/api/v1/devices/aer/calibrations", params={"limit": 2})).json()
        rest = (
            await api.get("/api/v1/devices/aer/calibrations", params={"limit": 2, "cursor": first["next_cursor"]})
        ).json()
        one = (await api.get("/api/v1/devices/aer/calibrations/cal-2")).json()
        missing = await api.get("/api/v1/devices/aer/calibrations/cal-9")
        unknown = await api.get("/api/v1/devices/nothing")
    assert [each["id"] for each in (*first["items"], *rest["items"])] == ["cal-3", "cal-2", "cal-1"]
    assert rest["next_cursor"] is None
    assert (one["two_qubit_error"], len(one["qubits"])) == (0.002, 7)
    assert (missing.status_code, missing.json()["code"]) == (404, "calibration-not-found")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "device-not-found")


# -- estimates ---------------------------------------------------------------------------------------------------------


async def estimated(world: World, **changes: object) -> dict[str, Any]:
    async with world.client() as api:
        answer = await api.post("/api/v1/estimates", json=circuit(**changes))
    return cast("dict[str, Any]", answer.json())


async def test_an_estimate_is_the_devices_range_with_a_cap(world: World) -> None:
    device = await with_device(world)
    device.estimated = ServiceEstimate(
        low_us=1_000_000, high_us=5_000_000, source=EstimateSource.DURATIONS, calibration_id="cal-1"
    )
    await world.market.grant("10000")
    told = await estimated(world)
    assert told["qpu"] == {
        "source": "durations",
        "low_us": 1_000_000,
        "expected_us": 3_000_000,
        "high_us": 5_000_000,
        "cap_us": 5_000_000,
        "low_yen": "200",
        "expected_yen": "500",
        "high_yen": "800",
        "calibration_id": "cal-1",
    }
    assert (told["low_yen"], told["expected_yen"], told["ceiling_yen"]) == ("200", "500", "800")
    assert [rule["code"] for rule in told["rules"]] == ["system-error", "user-error", "ceiling"]
    (asked,) = device.circuits
    assert (asked.shots, asked.program.startswith(b"OPENQASM 3")) == (4000, True)


@pytest.mark.parametrize("problem", [gone(), None])
async def test_a_device_that_does_not_answer_in_time_leaves_it_to_the_offerings_model(
    world: World, problem: Exception | None
) -> None:
    device = await with_device(world)
    await world.market.grant("10000")
    if problem is None:
        object.__setattr__(world.deps.limits, "estimate_s", 0.05)

        async def never(_: object) -> ServiceEstimate:
            await asyncio.sleep(60)
            raise AssertionError

        device.estimate = never  # type: ignore[method-assign, assignment]
    else:
        device.estimated = problem
    told = await estimated(world)
    assert (told["qpu"]["source"], told["qpu"]["cap_us"]) == ("offering", 3_000_000)


async def test_what_the_device_would_not_run_is_refused_with_its_word(world: World) -> None:
    device = await with_device(world)
    device.estimated = Rejected("too-many-qubits", qubits=9)
    told = await estimated(world)
    facts = {"device": "aer", "problem": "too-many-qubits", "about": ["qubits: 9"]}
    assert (told["code"], told["facts"]) == ("refused-by-device", facts)
    assert "more qubits than the device has" in told["detail"]
    assert "qubits: 9" in told["remedy"]


async def test_what_a_real_device_would_not_run_is_not_taken_but_what_was_taken_is_told_again(world: World) -> None:
    device = await with_device(world)
    await world.market.grant("10000")
    async with world.client() as api:
        taken = await api.post("/api/v1/jobs", json=circuit(), headers=key("one"))
        device.estimated = Rejected("no-measurement")  # its calibration has changed, say
        again = await api.post("/api/v1/jobs", json=circuit(), headers=key("one"))
        refused = await api.post("/api/v1/jobs", json=circuit(), headers={**key("two"), "Accept-Language": "ja"})
        jobs = (await api.get("/api/v1/jobs")).json()["items"]
    assert (again.status_code, again.json()["id"]) == (200, taken.json()["id"])
    assert (refused.status_code, refused.json()["code"]) == (422, "refused-by-device")
    assert "測定" in refused.json()["detail"]
    assert [job["id"] for job in jobs] == [taken.json()["id"]]


@pytest.mark.parametrize(("simulator", "asked"), [(False, 1), (True, 0)])
async def test_a_submission_asks_a_real_device_and_no_simulator(world: World, *, simulator: bool, asked: int) -> None:
    device = await with_device(world, simulator=simulator)
    await world.market.grant("10000")
    async with world.client() as api:
        answer = await api.post("/api/v1/jobs", json=circuit(), headers=key())
    assert (answer.status_code, len(device.circuits)) == (201, asked)


# -- pages -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["ja", "en"])
async def test_the_pages_show_devices_in_both_languages(world: World, language: str) -> None:
    await with_device(world, detail="<b>odd</b>")
    async with world.client() as browser:
        await browser.post(
            f"/{language}/sign-in",
            data={"token": world.tokens[ALPHA]},
            headers={"Sec-Fetch-Site": "same-origin"},
        )
        listed = await browser.get(f"/{language}/devices")
        shown = await browser.get(f"/{language}/devices/aer")
        missing = await browser.get(f"/{language}/devices/nothing")
    assert (listed.status_code, shown.status_code, missing.status_code) == (200, 200, 404)
    assert f'href="/{language}/devices/aer"' in listed.text
    assert shown.text.count('class="spot grade-') == 7
    assert shown.text.count("<line") == 6 + 5  # couplings, and the legend
    assert 'class="link grade-0"' in shown.text
    assert "<b>odd" not in shown.text


async def test_a_cap_on_cost_only_lowers_the_ceiling_and_is_told_when_it_is_too_small(world: World) -> None:
    device = await with_device(world)
    await world.market.grant("10000")
    generous = await estimated(world, max_cost_yen="715")
    assert generous == await estimated(world)
    assert (generous["ceiling_yen"], generous["qpu"]["cap_us"]) == ("500", 3_000_000)
    device.estimated = ServiceEstimate(low_us=900_000, high_us=5_000_000, source=EstimateSource.DURATIONS)
    told = await estimated(world, max_cost_yen="715")
    assert (told["ceiling_yen"], told["ceiling_with_tax_yen"], told["qpu"]["cap_us"]) == ("650", "715", 4_000_000)
    small = await estimated(world, max_cost_yen="60")
    assert (small["code"], small["facts"]) == ("cost-cap-too-small", {"max_cost_yen": "60", "needed_yen": "203.5"})


async def test_a_document_of_another_number_of_shots_is_refused(world: World) -> None:
    document = {
        "format": "kyoyo.pubs/1",
        "primitive": "sampler",
        "circuits": [{"format": "openqasm3", "text": circuit()["program"]}],
        "pubs": [{"circuit": 0, "shots": 1024}],
    }
    told = await estimated(world, program=json.dumps(document))
    assert (told["code"], told["facts"]) == ("shots-differ", {"requested": 4000, "executions": 1024})
