"""Figures from the database, read as the program officer."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from infra.db.connection import Role, transaction
from metering.periods import Period, fiscal_year, month
from metering.report import Report
from metering.service import facts_of, kpis
from pricing.model import Ending
from tests.support.database import Database
from tests.support.market import an_id
from tests.support.metered import World, a_quantum_row, open_world

APRIL, MAY = month(2026, 4), month(2026, 5)
HOUR = timedelta(hours=1)


@pytest.fixture
async def world(database: Database) -> World:
    world = await open_world(database)
    for slug, counts in (("alpha", True), ("beta", True), ("house", False)):
        await world.organisation(slug, counts=counts)
    await world.person("aya", "alpha", "beta")
    await world.person("bob", "beta")
    await world.person("staff", "alpha", counts=False)
    await world.person("tester", "house")
    await world.person("alone")
    return world


async def report(world: World, period: Period, *, as_known_at: datetime) -> Report:
    async with transaction(world.database.portal, role=Role.OFFICER) as conn:
        return await kpis(conn, period, as_known_at=as_known_at)


async def test_a_known_world_gives_the_figures_computed_by_hand(world: World) -> None:
    await world.note_capacity(APRIL.since + timedelta(days=9))
    start = APRIL.since + timedelta(days=10)
    await world.run("one", person="aya", started_at=start, ran_s=3600, gpus=2)
    await world.run("two", person="aya", organisation="beta", started_at=APRIL.until - HOUR, ran_s=7200)
    await world.run("three", person="staff", started_at=start, ran_s=1800)
    await world.run("four", person="tester", started_at=start, ran_s=1800)
    await world.run("five", person="bob", started_at=start, ran_s=3600, ending=Ending.LOST)
    await world.submit("ghz", person="bob", offering_id="qpu-demo", now=start)
    await world.end("ghz", started_at=start, ended_at=start + timedelta(seconds=3))
    world.backend.rows.append(a_quantum_row("ghz", started_at=start))
    for n in range(25):
        await world.collect(start + timedelta(days=n))
    told = await report(world, APRIL, as_known_at=MAY.until)
    assert {definition.key: figure.value for definition, figure in told.figures if not figure.resource} == {
        "registered_users": 2,
        "active_users": 2,
        "registered_organisations": 2,
        "active_organisations": 2,
        "jobs": 3,
        "gpu_hours": 4,  # 2 × 1 h, 1 h of two, 1 h lost
        "qpu_seconds": 3,
        "gpu_utilisation": (Decimal(5 * 3600) / (8 * 21 * 86_400)).quantize(Decimal("0.000001")),
        "qpu_utilisation": (Decimal(3) / (21 * 86_400)).quantize(Decimal("0.000001")),
        "charged_yen": 3 * 330 + 500,
        "discount_from_list_yen": 3 * 70 + 3 * 70 + 4 * Decimal("7.5"),
        "discount_from_market_yen": 3 * 170 + 3 * 90 + 4 * Decimal("12.5"),
    }
    may = await report(world, MAY, as_known_at=MAY.until)
    assert [may.value(key) for key in ("gpu_hours", "charged_yen", "jobs")] == [1, 330, 1]
    year = await report(world, fiscal_year(2026), as_known_at=MAY.until)
    assert year.value("gpu_hours") == 5


async def test_what_was_learnt_later_changes_no_figure_as_known_before(world: World) -> None:
    start = APRIL.since + timedelta(days=10)
    row = await world.run("one", person="aya", started_at=start, ran_s=3600)
    first, second = start + 2 * HOUR, start + 2 * HOUR + timedelta(minutes=5)
    await world.collect(first)
    world.backend.rows = [replace(row, components={"gpu_s": Decimal(1800), "cpu_s": Decimal(3600)})]
    await world.collect(second)
    before, after = [await report(world, APRIL, as_known_at=moment) for moment in (first, second)]
    assert [before.value("gpu_hours"), after.value("gpu_hours")] == [1, Decimal("0.5")]
    assert [before.value("charged_yen"), after.value("charged_yen")] == [330, 165]
    unknown = await report(world, APRIL, as_known_at=first - timedelta(seconds=1))
    assert [unknown.value("gpu_hours"), unknown.value("active_users")] == [0, 0]


async def test_a_job_of_two_attempts_over_the_border_is_one_job(world: World) -> None:
    first, second = APRIL.until - 2 * HOUR, APRIL.until + HOUR
    await world.submit("one", person="aya", now=first - HOUR)
    await world.end("one", started_at=first, ended_at=first + HOUR, ending=Ending.PREEMPTED, last=False)
    world.tells("one", started_at=first, ended_at=first + HOUR, ending=Ending.PREEMPTED)
    async with transaction(world.database.worker) as conn:
        await world.requeue(conn, "one", 2, now=first + HOUR)
    await world.end("one", started_at=second, ended_at=second + HOUR, ordinal=2)
    world.tells("one", started_at=second, ended_at=second + HOUR, ordinal=2)
    await world.collect(second + 2 * HOUR)
    told = [await report(world, each, as_known_at=MAY.until) for each in (APRIL, MAY)]
    assert [each.value("jobs") for each in told] == [0, 1]
    assert [each.value("active_users") for each in told] == [1, 1]


async def test_the_persons_themselves_can_be_asked_for(world: World) -> None:
    async with transaction(world.database.portal, role=Role.OFFICER) as conn:
        facts = await facts_of(conn, APRIL, as_known_at=MAY.until)
    assert {member.person_id for member in facts.members if member.counts} == {
        an_id("person", "aya"),
        an_id("person", "bob"),
    }
