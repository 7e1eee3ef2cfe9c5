"""Reservations over HTTP: booked, listed, used and cancelled by a customer, allowed by an operator."""

from __future__ import annotations

from datetime import datetime, timedelta

from infra.tokyo import TOKYO
from tests.integration.portal.test_submission_refusals import refused
from tests.support.portal_world import BETA, OPERATOR, World, key, training

API = "/api/v1"
HOUR = timedelta(hours=1)


def whole(world: World, hours: int) -> str:
    begun: datetime = world.clock().replace(minute=0, second=0, microsecond=0)
    return (begun + (1 + hours) * HOUR).isoformat()


async def let_reserve(world: World, units: int) -> None:
    """From today on."""
    today = world.clock().astimezone(TOKYO).date().isoformat()
    wish = {"offering": "gpu-demo", "first_day": today, "units": units}
    async with world.client(OPERATOR) as staff:
        answer = await staff.post(f"{API}/calendar", json=wish)
        sold = await staff.post(f"{API}/calendar", json=wish | {"price_percent": 150})
    assert (answer.status_code, refused(sold)) == (204, (422, "reservations-not-sold"))


def a_wish(world: World, since: int = 24, until: int = 48) -> dict[str, object]:
    return {"offering": "gpu-demo", "units": 4, "since": whole(world, since), "until": whole(world, until)}


async def test_a_reservation_is_booked_once_listed_and_given_up(world: World) -> None:
    await let_reserve(world, units=6)
    wish = a_wish(world)
    async with world.client() as http:
        days = (await http.get(f"{API}/calendar", params={"offering": "gpu-demo", "days": 3})).json()["items"]
        made = await http.post(f"{API}/reservations", json=wish, headers=key("r"))
        again = await http.post(f"{API}/reservations", json=wish, headers=key("r"))
        full = await http.post(f"{API}/reservations", json=wish, headers=key("s"))
        past = await http.post(f"{API}/reservations", json=a_wish(world, since=-3), headers=key("t"))
        listed = (await http.get(f"{API}/reservations")).json()["items"]
        gone = await http.post(f"{API}/reservations/R1/cancel")
        after = (await http.get(f"{API}/reservations", params={"ended": True})).json()["items"]
    assert [(day["units"], day["free"]) for day in days] == [(6, 6)] * 3
    assert (made.status_code, made.json()["name"], made.json()["state"]) == (201, "R1", "booked")
    assert again.json() == made.json()
    assert refused(full) == (409, "reservation-no-capacity")
    assert datetime.fromisoformat(full.json()["facts"]["next"]) == datetime.fromisoformat(str(wish["until"]))
    assert refused(past) == (422, "reservation-in-past")
    assert [each["name"] for each in listed] == ["R1"]
    assert (gone.json()["state"], [each["state"] for each in after]) == ("cancelled", ["cancelled"])
    async with world.client(BETA) as stranger:
        assert refused(await stranger.get(f"{API}/reservations/R1")) == (404, "reservation-not-found")
        assert refused(await stranger.post(f"{API}/closures/{made.json()['id']}/lift")) == (403, "scope-missing")


async def test_a_job_waits_for_its_reservation_and_says_so(world: World) -> None:
    await world.market.pay_in("50000")
    await let_reserve(world, units=6)
    async with world.client() as http:
        await http.post(f"{API}/reservations", json=a_wish(world), headers=key("r"))
        job = await http.post(f"{API}/jobs", json=training(reservation="R1", gpus=4), headers=key("j"))
        wide = await http.post(f"{API}/jobs", json=training(reservation="R1", gpus=5), headers=key("k"))
        quote = await http.post(f"{API}/estimates", json=training(reservation="R1", gpus=4))
        await world.step()
        waits = (await http.get(f"{API}/jobs/{job.json()['id']}")).json()
    assert refused(wide) == (422, "reservation-unfit")
    assert (job.status_code, quote.status_code) == (201, 200)
    assert waits["waiting"]["reason"] == "RESERVATION_AHEAD"
    assert "R1" in waits["waiting"]["sentence"]


async def test_an_operator_closes_a_machine_and_opens_it_again(world: World) -> None:
    span = {"offering": "gpu-demo", "since": whole(world, 1), "until": whole(world, 2), "reason": "cooling"}
    async with world.client(OPERATOR) as staff:
        made = await staff.post(f"{API}/closures", json=span)
        backwards = await staff.post(f"{API}/closures", json=span | {"until": whole(world, 0)})
        listed = (await staff.get(f"{API}/closures")).json()["items"]
        lifted = await staff.post(f"{API}/closures/{made.json()['id']}/lift")
        twice = await staff.post(f"{API}/closures/{made.json()['id']}/lift")
    assert made.json()["backend"] == "local"
    assert [each["reason"] for each in listed] == ["cooling"]
    assert refused(backwards) == (422, "invalid-period")
    assert (lifted.status_code, refused(twice)) == (204, (404, "closure-not-found"))
