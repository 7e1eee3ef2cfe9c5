"""The audit finds nothing in a clean world, and every planted corruption.

Corruptions are planted as superuser with the triggers switched off: what no role of the house could do.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from functools import reduce

import pytest

from infra.db.connection import Conn, open_pool, transaction
from metering.audit.audit import ask_backends, audit
from metering.audit.model import Claims, Result
from metering.auditing import claims_of_the_house, run_audit
from pricing import service as pricing
from pricing.model import Ending, JobSize
from pricing.units import micro
from tests.support.corruptions import CORRUPTIONS, Corruption
from tests.support.database import Database
from tests.support.market import GPU, a_new_version, an_id, gpu_price
from tests.support.metered import NOON, World, a_quantum_row, a_row, open_world
from tests.support.staff import published

HOUR = timedelta(hours=1)
MIDNIGHT = NOON + 12 * HOUR  # in Tokyo
AUDIT_AT = NOON + timedelta(days=3)


@pytest.fixture
async def world(database: Database) -> World:
    """Grants, prepaid value and credit; GPU and QPU; corrections, lost work, a retry, an overrun, a job that waits."""
    world = await open_world(database)
    await world.organisation("alpha")
    await world.organisation("beta", grant_yen="100")
    await world.organisation("house", counts=False)
    await world.person("aya", "alpha", "beta")
    await world.person("bob", "beta")
    await world.person("tester", "house")
    await pay(world)
    await world.note_capacity(NOON)
    await world.run("train", person="aya", started_at=MIDNIGHT - HOUR, ran_s=7201.123457, gpus=2)
    await world.run("paid", person="bob", started_at=NOON, ran_s=5000, gpus=3)
    await world.run("lost", person="bob", started_at=NOON, ran_s=600, ending=Ending.LOST)
    await world.run("failed", person="aya", organisation="beta", started_at=NOON + HOUR, ran_s=30, ending=Ending.FAILED)
    await world.run("test", person="tester", started_at=NOON, ran_s=3600)
    await retried(world)
    await overrun(world)
    await quantum(world)
    for n in range(12):
        await world.collect(NOON + n * 6 * HOUR)
    await corrected(world)
    await world.submit("waiting", person="aya", now=AUDIT_AT - HOUR)
    await world.collect(AUDIT_AT)
    return world


@pytest.fixture
async def small(database: Database) -> World:
    """One organisation, one person, one job that ran."""
    world = await open_world(database)
    await world.organisation("alpha")
    await world.person("aya", "alpha")
    await world.run("train", person="aya", started_at=NOON, ran_s=3600)
    for day in range(5):
        await world.collect(min(NOON + 2 * HOUR + timedelta(days=day), AUDIT_AT))
    return world


async def pay(world: World) -> None:
    async with world.as_operator() as conn:
        for give, yen, key in (
            (pricing.receive_payment, "500", "payment"),
            (pricing.open_credit_line, "900000", "credit"),
        ):
            await give(
                conn,
                **{f"{key}_id": an_id(key)},
                organisation_id=an_id("organisation", "beta"),
                amount_micro_yen=micro(yen),
                reason="contract",
                actor=None,
                now=NOON - HOUR,
            )


async def retried(world: World) -> None:
    """Preempted after ten minutes, then run to its end."""
    await world.submit("retried", person="aya", now=NOON)
    await world.end("retried", started_at=NOON, ended_at=NOON + HOUR / 6, ending=Ending.PREEMPTED, last=False)
    world.tells("retried", started_at=NOON, ended_at=NOON + HOUR / 6, ending=Ending.PREEMPTED)
    async with transaction(world.database.worker) as conn:
        await world.requeue(conn, "retried", 2, now=NOON + HOUR / 6)
    await world.end("retried", started_at=NOON + HOUR, ended_at=NOON + 2 * HOUR, ordinal=2)
    world.tells("retried", started_at=NOON + HOUR, ended_at=NOON + 2 * HOUR, ordinal=2)


async def overrun(world: World) -> None:
    """Killed late: ten seconds beyond the walltime."""
    await world.submit("overrun", person="bob", size=JobSize(gpus=1, walltime_s=600), now=NOON)
    ended_at = NOON + timedelta(seconds=610)
    await world.end("overrun", started_at=NOON, ended_at=ended_at, ending=Ending.FAILED)
    world.tells("overrun", ended_at=ended_at, ending=Ending.FAILED)


async def quantum(world: World) -> None:
    await world.submit("ghz", person="bob", offering_id="qpu-demo", now=NOON)
    await world.end("ghz", started_at=NOON, ended_at=NOON + timedelta(seconds=3))
    world.backend.rows.append(a_quantum_row("ghz"))


async def corrected(world: World) -> None:
    """After the release: one record grows, one shrinks."""
    for job, seconds, at in (("grows", 3600, 0), ("shrinks", 3600, 5)):
        started_at = AUDIT_AT - 6 * HOUR + timedelta(minutes=at)
        row = await world.run(job, person="bob", started_at=started_at, ran_s=seconds)
        await world.collect(started_at + HOUR + timedelta(minutes=1))
        factor = 2 if job == "grows" else Decimal("0.25")
        world.backend.rows.remove(row)
        world.backend.rows.append(
            replace(row, components={name: amount * factor for name, amount in row.components.items()})
        )
        await world.collect(started_at + HOUR + timedelta(minutes=2))


async def found(world: World) -> dict[str, list[str]]:
    """Check → subjects of its unexplained differences."""
    result = await run_audit(world.database.worker, {world.backend.name: world.backend}, now=AUDIT_AT)
    return by_check(result)


def by_check(result: Result) -> dict[str, list[str]]:
    checks: dict[str, list[str]] = {}
    for each in result.differences:
        if each.explanation is None:
            checks.setdefault(each.check, []).append(each.subject)
    return checks


async def test_a_clean_world_has_no_unexplained_difference(world: World) -> None:
    result = await run_audit(world.database.worker, {world.backend.name: world.backend}, now=AUDIT_AT)
    assert "\n".join(result.lines()[:-1]) == ""
    assert result.unexplained == 0
    assert result.looked_at["jobs"] == 11
    assert result.looked_at["rows of backends"] == 11
    assert result.looked_at["draft invoices"] == 3
    assert result.lines()[-1].startswith("audit: 0 unexplained, 0 explained; looked at 11 jobs, ")


async def test_a_slices_premium_and_the_minimum_time_are_no_difference(database: Database) -> None:
    world = await open_world(database)
    await world.organisation("alpha")
    await world.person("aya", "alpha")
    coefficients = {"slice_below_gpus": 3, "slice_premium_bp": 1_234, "minimum_s": 60}
    version = a_new_version(GPU, [gpu_price("329.999987")], key="sliced", valid_from=NOON, **coefficients)
    async with world.as_operator() as conn:
        await published(conn, version, now=NOON)
    await world.run("short", person="aya", started_at=MIDNIGHT - HOUR / 240, ran_s=20.123457, gpus=2)
    await world.run("sliced", person="aya", started_at=MIDNIGHT - HOUR, ran_s=7201.123457, gpus=2)
    await world.run("whole", person="aya", started_at=MIDNIGHT - HOUR, ran_s=7201.123457, gpus=3)
    for n in range(12):
        await world.collect(NOON + n * 6 * HOUR)
    assert await found(world) == {}
    counted = "SELECT sum(quantity) AS s FROM pricing.rated_line GROUP BY job_id ORDER BY 1"
    assert [row["s"] for row in await database.owner.fetch(counted)] == [
        Decimal(120),
        2 * Decimal("7201.123457"),
        3 * Decimal("7201.123457"),
    ]


async def test_the_audit_finds_every_planted_corruption(world: World) -> None:
    told = await ask_backends({world.backend.name: world.backend}, since=NOON - HOUR, now=AUDIT_AT)
    missed = {}
    for corruption in CORRUPTIONS:
        async with planted(world, corruption) as conn:
            claims = await claims_of_the_house(conn, since=NOON, now=AUDIT_AT)
            checks = by_check(await audit(conn, told, claims, now=AUDIT_AT))
        if corruption.rule not in checks:
            missed[corruption.what] = checks
    assert missed == {}
    assert await found(world) == {}


@asynccontextmanager
async def planted(world: World, corruption: Corruption) -> AsyncIterator[Conn]:
    """A transaction in which the corruption is there; rolled back at the end."""
    async with world.database.owner.acquire() as conn:
        transaction = conn.transaction()
        await transaction.start()
        await conn.execute("SET LOCAL session_replication_role = replica")
        ids = {":train": an_id("attempt", "train", 1), ":double": an_id("person", "double"), ":new": an_id("new")}
        sql = reduce(lambda text, name: text.replace(name, f"'{ids[name]}'::uuid"), ids, corruption.sql)
        await conn.execute(sql)
        await conn.execute("SET LOCAL session_replication_role = origin")
        try:
            yield conn
        finally:
            await transaction.rollback()


async def test_a_figure_that_counts_a_user_twice_is_found(world: World) -> None:
    async with transaction(world.database.worker, snapshot=True) as conn:
        claims = await claims_of_the_house(conn, since=NOON, now=AUDIT_AT)
        for claim in claims.figures:
            more = replace(claim, value=(claim.value or 0) + 1)
            checks = by_check(await audit(conn, [], Claims(figures=[more]), now=AUDIT_AT))
            assert list(checks) == ["figure-differs"], claim.key


async def test_a_draft_invoice_that_does_not_add_up_is_found(world: World) -> None:
    async with transaction(world.database.worker, snapshot=True) as conn:
        [claim, *_] = (await claims_of_the_house(conn, since=NOON, now=AUDIT_AT)).invoices
        for wrong in (
            replace(claim, total_yen=claim.total_yen + 1),
            replace(claim, rates=[replace(rate, lines_yen=rate.lines_yen - 1) for rate in claim.rates]),
            replace(claim, rates=[replace(rate, used_micro_yen=rate.used_micro_yen + 1) for rate in claim.rates]),
        ):
            checks = by_check(await audit(conn, [], Claims(invoices=[wrong]), now=AUDIT_AT))
            assert list(checks) == ["invoice-differs"]


async def test_what_is_too_young_to_be_known_is_explained(small: World) -> None:
    await small.run("young", person="aya", started_at=AUDIT_AT - HOUR, ran_s=3599)
    result = await run_audit(small.database.worker, {small.backend.name: small.backend}, now=AUDIT_AT)
    assert result.unexplained == 0
    assert {each.check for each in result.differences} == {"attempt-never-settled", "accounting-row-missing"}


async def test_what_ran_outside_the_portal_is_listed_and_does_not_fail(small: World) -> None:
    small.backend.rows.append(a_row(key="other", attempt_id=None, started_at=AUDIT_AT - HOUR, ended_at=AUDIT_AT))
    await small.collect(AUDIT_AT + HOUR / 2)
    result = await run_audit(small.database.worker, {small.backend.name: small.backend}, now=AUDIT_AT + HOUR)
    assert [(each.check, each.explanation is None) for each in result.differences] == [("run-outside-portal", False)]


async def test_a_run_of_an_attempt_that_we_do_not_know_fails(small: World) -> None:
    small.backend.rows.append(a_row("stranger", started_at=AUDIT_AT - HOUR, ended_at=AUDIT_AT))
    await small.collect(AUDIT_AT)
    assert await found(small) == {"run-of-unknown-attempt": ["record:cluster/stranger.1"]}


async def test_a_backend_that_forgot_a_record_is_found(small: World) -> None:
    gone = small.backend.rows.pop(0)
    assert await found(small) == {"accounting-row-not-of-backend": [f"record:cluster/{gone.natural_key}"]}


async def test_a_backend_that_ran_an_attempt_twice_is_found(small: World) -> None:
    small.tells("train", key="train.again", started_at=NOON, ended_at=NOON + HOUR)
    assert set(await found(small)) == {"ran-more-than-once", "accounting-row-missing"}


async def test_a_backend_that_does_not_answer_is_not_taken_for_clean(small: World) -> None:
    small.backend.reachable = False
    assert await found(small) == {"backend-not-asked": ["backend:cluster"]}


async def test_an_attempt_settled_without_a_record_is_listed_and_does_not_fail(small: World) -> None:
    await small.submit("silent", person="aya", now=AUDIT_AT)
    await small.end("silent", started_at=AUDIT_AT, ended_at=AUDIT_AT + HOUR)
    await small.collect(AUDIT_AT + 26 * HOUR)
    result = await run_audit(
        small.database.worker, {small.backend.name: small.backend}, now=AUDIT_AT + timedelta(days=2)
    )
    assert [(each.check, each.explanation is None) for each in result.differences] == [
        ("attempt-without-record", False)
    ]


async def test_the_auditor_may_run_it(small: World) -> None:
    async with open_pool(small.database.url, user="kyoyo_auditor", size=1) as pool:
        result = await run_audit(pool, {small.backend.name: small.backend}, now=AUDIT_AT)
    assert result.unexplained == 0
