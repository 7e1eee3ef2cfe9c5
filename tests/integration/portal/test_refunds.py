"""Refunds over HTTP: within the limit of one, by two persons, by a list; the audit agrees with all of it."""

from __future__ import annotations

from httpx2 import AsyncClient

from metering.auditing import run_audit
from pricing.units import yen_text
from tests.integration.portal.test_submission_refusals import refused
from tests.support.market import an_id
from tests.support.portal_world import ALPHA, BETA, OPERATOR, PEOPLE, SECOND, World, key, training

API = "/api/v1"
OPERATE = f"{API}/organisations/{PEOPLE[ALPHA][1]}/refunds"


async def _job(world: World, number: int) -> str:
    """A job that has run to its end and is charged; its id."""
    async with world.client(ALPHA) as http:
        made = await http.post(f"{API}/jobs", json=training(), headers=key(f"job-{number}"))
        assert made.status_code == 201, made.text
    await world.run_to_end()
    return str(made.json()["id"])


async def _charged(world: World, job_id: str) -> int:
    amount: int = await world.database.owner.fetchval(
        "SELECT coalesce(sum(charged_micro_yen), 0)::bigint FROM pricing.rated_line WHERE job_id = $1::uuid", job_id
    )
    return amount


async def test_a_refund_goes_back_once_and_is_seen_by_its_customer_alone(world: World) -> None:
    await world.market.pay_in("1000")
    job_id = await _job(world, 1)
    charged = await _charged(world, job_id)
    assert charged > 0
    half = {"job": "1", "percent": "50", "cause": "our_fault", "reason": "ノード障害のお詫び"}
    async with world.client(OPERATOR) as http:
        before = (await http.post(f"{OPERATE}?dry_run=true", json=half, headers=key("h"))).json()
        assert await _charged(world, job_id) == charged, "a dry run gives nothing back"
        made = await http.post(OPERATE, json=half, headers=key("h"))
        again = await http.post(OPERATE, json=half, headers=key("h"))
    back = -(-charged // 2)
    assert (made.status_code, made.json()["proposal"]) == (201, None)
    assert made.json() == before == again.json()
    assert await _charged(world, job_id) == charged - back
    async with world.client(ALPHA) as http:
        (seen,) = (await http.get(f"{API}/jobs/{job_id}/refunds")).json()["items"]
        statement = (await http.get(f"{API}/statement")).json()
    async with world.client(BETA) as http:
        assert refused(await http.get(f"{API}/jobs/{job_id}/refunds")) == (404, "job-not-found")
    assert (seen["cause"], seen["reason"]) == ("our_fault", "ノード障害のお詫び")
    assert statement["balanced"]


async def test_a_refund_is_refused_by_name(world: World) -> None:
    await world.market.pay_in("1000")
    charged = await _charged(world, await _job(world, 1))
    half = {"job": "1", "percent": "50", "cause": "our_fault", "reason": "x"}
    wrong = [
        (half | {"percent": None, "amount_yen": "1000"}, (409, "refund-too-large")),
        (half | {"amount_yen": "1"}, (422, "refund-wrong")),
        (half | {"percent": None}, (422, "refund-wrong")),
        (half | {"percent": "100.5"}, (422, "refund-wrong")),
        (half | {"job": "99"}, (404, "job-not-found")),
        (half | {"job": str(an_id("nobody's"))}, (422, "refund-wrong")),
        (half | {"cause": "bad_luck"}, (422, "invalid-request")),
    ]
    async with world.client(OPERATOR) as http:
        for number, (body, said) in enumerate(wrong):
            assert refused(await http.post(OPERATE, json=body, headers=key(str(number)))) == said, body
    total = await world.database.owner.fetchval("SELECT sum(charged_micro_yen)::bigint FROM pricing.rated_line")
    assert total == charged > 0, "nothing was given back"


async def test_a_large_refund_waits_for_a_second_person(world: World) -> None:
    await world.market.pay_in("1000")
    job_id = await _job(world, 1)
    charged = await _charged(world, job_id)
    async with world.client(OPERATOR) as http, world.client(SECOND) as second:
        policy = {"value": {"above_yen": "0"}, "reason": "試行"}
        proposed = await http.post(f"{API}/policies/refund_limit/proposals", json=policy, headers=key("p"))
        assert proposed.status_code == 201, proposed.text
        assert (await second.post(f"{API}/proposals/{proposed.json()['id']}/approve", json={})).status_code == 200
        world.clock.pass_s(1)
        whole = {"job": "1", "percent": "100", "cause": "vendor_error", "reason": "x"}
        made = (await http.post(OPERATE, json=whole, headers=key("w"))).json()
        assert await _charged(world, job_id) == charged, "nobody has approved yet"
        alone = await http.post(f"{API}/proposals/{made['id']}/approve", json={})
        approved = await second.post(f"{API}/proposals/{made['id']}/approve", json={})
    assert refused(alone) == (403, "own-proposal")
    assert approved.json()["decision"]["effect"]["charged_yen"] == "0"
    assert await _charged(world, job_id) == 0
    row = await world.database.owner.fetchrow("SELECT decided_by, approved_by FROM pricing.refund")
    assert tuple(row) == (PEOPLE[OPERATOR][0], PEOPLE[SECOND][0])


async def test_no_limit_is_passed_in_slices(world: World) -> None:
    await world.market.pay_in("1000")
    jobs = [await _job(world, number) for number in (1, 2)]
    charged = [await _charged(world, each) for each in jobs]
    async with world.client(OPERATOR) as http, world.client(SECOND) as second:
        listed = await _rehearsed_list(world, http, yen_text(charged[0] * 6 // 10))
        assert listed == [("refunded", None), ("refused", "refund-too-large")], "the second row sees the first"
        policy = {"value": {"above_yen": "0.02", "day_above_yen": "0.03"}, "reason": "試行"}
        proposed = await http.post(f"{API}/policies/refund_limit/proposals", json=policy, headers=key("p"))
        assert (await second.post(f"{API}/proposals/{proposed.json()['id']}/approve", json={})).status_code == 200
        world.clock.pass_s(1)

        async def waits(job: str, sent: str, yen: str = "0.01") -> bool:
            body = {"job": job, "amount_yen": yen, "cause": "our_fault", "reason": "x"}
            made = await http.post(OPERATE, json=body, headers=key(sent))
            assert made.status_code == 201, made.text
            return made.json()["proposal"] is not None

        assert [await waits("1", sent) for sent in "abc"] == [False, False, True], "together more than of one job"
        assert [await waits("2", sent) for sent in "de"] == [False, True], "together more than on one day"
        world.clock.pass_s(86_400)
        assert [await waits("2", sent) for sent in "ef"] == [True, False], "what waits goes on waiting; a new day"
        other = {"job": "1", "amount_yen": "0.02", "cause": "our_fault", "reason": "x"}
        again = await http.post(OPERATE, json=other, headers=key("a"))
    assert refused(again) == (409, "already-booked")
    assert [await _charged(world, each) for each in jobs] == [each - 20_000 for each in charged]


async def _rehearsed_list(world: World, http: AsyncClient, yen: str) -> list[tuple[str, str | None]]:
    """What two rows of so much of job 1 would come to."""
    slug = await world.database.owner.fetchval(
        "SELECT slug FROM accounts.organisation WHERE id = $1", an_id("organisation", ALPHA)
    )
    body = "\n".join(["organisation,job,amount_yen,percent,cause,reason", *[f"{slug},1,{yen},,our_fault,x"] * 2])
    headers = key("rehearsed") | {"Content-Type": "text/csv"}
    told = await http.post(f"{API}/refunds/list?dry_run=true", content=body, headers=headers)
    return [(each["status"], each["code"]) for each in told.json()["items"]]


async def test_a_list_has_a_result_for_each_row_and_gives_nothing_twice(world: World) -> None:
    await world.market.pay_in("1000")
    job_id = await _job(world, 1)
    charged = await _charged(world, job_id)
    rows = [
        "organisation,job,amount_yen,percent,cause,reason",
        "alpha,1,0.25,,our_fault,お詫び",
        "alpha,99,1,,our_fault,x",
        "nobody,1,1,,our_fault,x",
        "alpha,1,1000,,our_fault,x",
        "alpha,1,1,,bad_luck,x",
        "alpha,1,x,,our_fault,x",
    ]
    slug = await world.database.owner.fetchval(
        "SELECT slug FROM accounts.organisation WHERE id = $1", an_id("organisation", ALPHA)
    )
    body = "\n".join(rows).replace("alpha,", f"{slug},")
    headers = key("list") | {"Content-Type": "text/csv"}
    async with world.client(OPERATOR) as http:
        first, again = [await http.post(f"{API}/refunds/list", content=body, headers=headers) for _ in range(2)]
        columns = await http.post(f"{API}/refunds/list", content="a,b\n1,2\n", headers=headers)
    results = first.json()["items"]
    assert [(each["row"], each["status"], each["code"]) for each in results] == [
        (2, "refunded", None),
        (3, "refused", "job-not-found"),
        (4, "refused", "organisation-not-found"),
        (5, "refused", "refund-too-large"),
        (6, "refused", "refund-wrong"),
        (7, "refused", "refund-wrong"),
    ]
    assert again.json() == first.json()
    assert await _charged(world, job_id) == charged - 250_000
    assert refused(columns) == (422, "refund-list-wrong")
    told = await run_audit(world.database.worker, world.backends, now=world.clock.now)
    of_jobs = [each for each in told.differences if each.subject.startswith(("job:", "usage-record:", "attempt:"))]
    assert of_jobs == [], "the audit recomputes the charge from the facts, the refund among them"
