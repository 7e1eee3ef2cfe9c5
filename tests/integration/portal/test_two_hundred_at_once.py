"""Two hundred submissions at once on a wallet for ten: exactly ten are accepted, and the books know it."""

from __future__ import annotations

import asyncio
from collections import Counter

import httpx2

from tests.support.portal_world import World, key, training

API = "/api/v1"
SUBMISSIONS, AFFORDED = 200, 10


async def test_two_hundred_submissions_on_a_wallet_for_ten_accept_exactly_ten(world: World) -> None:
    await world.market.pay_in(str(363 * AFFORDED))  # each may cost 330 yen, and tax

    async def submit(http: httpx2.AsyncClient, number: int) -> tuple[int, str]:
        answer = await http.post(f"{API}/jobs", json=training(name=f"job {number}"), headers=key(f"key {number}"))
        return answer.status_code, answer.json().get("code", "")

    async with world.serving() as address, world.over_http(address, connections=40) as http:
        answers = Counter(await asyncio.gather(*(submit(http, number) for number in range(SUBMISSIONS))))
        balance = (await http.get(f"{API}/balance")).json()
        jobs = (await http.get(f"{API}/jobs", params={"limit": 200})).json()["items"]
        again = Counter(await asyncio.gather(*(submit(http, number) for number in range(SUBMISSIONS))))

    assert answers == {(201, ""): AFFORDED, (402, "insufficient-funds"): SUBMISSIONS - AFFORDED}
    assert (balance["available_yen"], balance["held_yen"]) == ("0", str(363 * AFFORDED))
    assert len(jobs) == AFFORDED
    assert again == {(200, ""): AFFORDED, (402, "insufficient-funds"): SUBMISSIONS - AFFORDED}


async def test_one_submission_sent_fifty_times_at_once_is_one_job(world: World) -> None:
    await world.market.pay_in("5000")
    async with world.serving() as address, world.over_http(address, connections=25) as http:
        answers = await asyncio.gather(
            *(http.post(f"{API}/jobs", json=training(), headers=key("the same")) for _ in range(50))
        )
    assert Counter(answer.status_code for answer in answers) == {201: 1, 200: 49}
    assert len({answer.json()["id"] for answer in answers}) == 1
