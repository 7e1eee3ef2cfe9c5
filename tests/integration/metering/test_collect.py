"""What becomes of a backend's accounting: exactly once, whatever comes how often and in which order."""

from __future__ import annotations

import asyncio
import random  # noqa: TID251  seeded
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest

from accounts.service import append_audit
from infra.db.connection import Lease, Role, transaction
from metering.loops import collect
from metering.service import Taken, conclude_attempt, take_row
from pricing import service as pricing
from pricing.model import Component, Ending, JobSize
from pricing.units import micro
from tests.support import market
from tests.support.database import Database
from tests.support.market import an_id
from tests.support.metered import CLUSTER, LAG_S, NOON, Scripted, World, a_quantum_row, a_row, open_world

HOUR = timedelta(hours=1)
LATER = NOON + 2 * HOUR
_WAITS = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')"


@pytest.fixture
async def world(database: Database) -> World:
    world = await open_world(database)
    await world.organisation("alpha")
    await world.person("aya", "alpha")
    return world


async def usage(world: World) -> dict[tuple[str, str], Decimal]:
    """(natural key, component) → quantity that counts now."""
    rows = await world.database.owner.fetch(
        """SELECT a.natural_key, u.component, u.quantity FROM metering.usage_record u
           JOIN metering.accounting_row a ON a.id = u.accounting_row_id
           WHERE NOT EXISTS (SELECT FROM metering.usage_record n WHERE n.supersedes = u.id)"""
    )
    assert len(rows) == len({(row[0], row[1]) for row in rows})
    return {(row[0], row[1]): row[2] for row in rows}


async def charged_yen(world: World, job: str) -> Decimal:
    micro_yen = await world.database.owner.fetchval(
        "SELECT coalesce(sum(charged_micro_yen), 0) FROM pricing.rated_line WHERE job_id = $1", an_id("job", job)
    )
    return Decimal(micro_yen) / 1_000_000


async def settled(world: World, job: str) -> bool:
    return await world.database.owner.fetchval(
        "SELECT bool_and(settled_at IS NOT NULL) FROM pricing.billable_attempt WHERE job_id = $1", an_id("job", job)
    )


async def parked(world: World) -> list[tuple[str, str]]:
    rows = await world.database.owner.fetch(
        "SELECT natural_key, reason FROM metering.parked_row WHERE resolved_at IS NULL ORDER BY natural_key, reason"
    )
    return [tuple(row) for row in rows]


async def test_what_ran_is_usage_and_is_charged(world: World) -> None:
    await world.run("train", person="aya", started_at=NOON, ran_s=3600, gpus=2)
    assert await world.collect(LATER) == 1
    assert await usage(world) == {("train.1", "gpu_s"): 7200, ("train.1", "cpu_s"): 14400}
    assert await charged_yen(world, "train") == 660
    assert await settled(world, "train")


async def test_the_same_rows_again_change_nothing(world: World) -> None:
    await world.run("train", person="aya", started_at=NOON, ran_s=3600)
    world.backend.rows *= 3  # doubled within an answer, too
    assert [await world.collect(LATER + n * HOUR / 4) for n in range(3)] == [1, 0, 0]
    assert await usage(world) == {("train.1", "gpu_s"): 3600, ("train.1", "cpu_s"): 7200}
    assert await charged_yen(world, "train") == 330


async def test_repeated_shuffled_and_corrected_windows_give_exactly_the_last_word(world: World) -> None:
    rows = [await world.run(f"job{n}", person="aya", started_at=NOON, ran_s=60 * n) for n in range(1, 9)]
    shuffle = random.Random(7).shuffle
    for n in range(3):
        world.backend.rows = rows * 2
        shuffle(world.backend.rows)
        await world.collect(NOON + timedelta(minutes=30 + n))
    longer = replace(rows[3], components={"gpu_s": Decimal(200), "cpu_s": Decimal(400)})
    rows[3] = longer
    for n in range(3, 6):
        world.backend.rows = list(rows)
        shuffle(world.backend.rows)
        await world.collect(NOON + timedelta(minutes=30 + n))
    expected = {(row.natural_key, name): amount for row in rows for name, amount in row.components.items()}
    assert await usage(world) == expected
    assert await charged_yen(world, "job4") == Decimal("18.333333")  # 200 s × 330 yen an hour, cut off


async def test_a_corrected_value_may_come_back(world: World) -> None:
    first = await world.run("train", person="aya", started_at=NOON, ran_s=3600)
    less = replace(first, components={"gpu_s": Decimal(1800), "cpu_s": Decimal(3600)})
    charges = []
    for n, row in enumerate([first, less, first]):
        world.backend.rows = [row]
        await world.collect(LATER + timedelta(minutes=n))
        charges.append(await charged_yen(world, "train"))
    assert (await usage(world))["train.1", "gpu_s"] == 3600
    assert charges == [330, 165, 165]  # once the rest was released, the charge never grows again


async def test_a_component_that_a_correction_no_longer_mentions_was_not_used(world: World) -> None:
    row = await world.run("train", person="aya", started_at=NOON, ran_s=3600)
    await world.collect(LATER)
    world.backend.rows = [replace(row, components={"cpu_s": Decimal(7200)})]
    await world.collect(LATER + HOUR / 4)
    assert await usage(world) == {("train.1", "gpu_s"): 0, ("train.1", "cpu_s"): 7200}
    assert await charged_yen(world, "train") == 0


async def test_a_running_job_is_not_taken_before_its_record_is_final(world: World) -> None:
    await world.submit("train", person="aya")
    world.backend.rows = [a_row("train", ended_at=None, components={"gpu_s": Decimal(17)})]
    assert await world.collect(NOON + HOUR / 2) == 0
    assert await usage(world) == {}
    await world.end("train", started_at=NOON, ended_at=NOON + HOUR)
    world.backend.rows = [a_row("train")]
    assert await world.collect(LATER) == 1
    assert await charged_yen(world, "train") == 330


async def test_a_job_that_runs_through_many_windows_is_found_when_it_ends(world: World) -> None:
    await world.submit("long", person="aya", size=JobSize(gpus=1, walltime_s=4 * 86_400))
    for n in range(1, 80):
        world.backend.rows = [a_row("long", ended_at=None)]
        await world.collect(NOON + n * HOUR)
    ended_at = NOON + 79 * HOUR + HOUR / 2
    await world.end("long", started_at=NOON, ended_at=ended_at)
    world.backend.rows = [a_row("long", ended_at=ended_at)]
    await world.collect(NOON + 80 * HOUR)
    assert (await usage(world))["long.1", "gpu_s"] == 3600 * 79 + 1800


async def test_a_record_that_appears_late_is_found_by_the_overlap(world: World) -> None:
    await world.submit("train", person="aya")
    await world.end("train", started_at=NOON, ended_at=NOON + HOUR)
    for n in range(5):
        await world.collect(NOON + HOUR + timedelta(seconds=15 * n))
    world.tells("train")
    await world.collect(NOON + HOUR + timedelta(seconds=LAG_S + 30))
    assert await charged_yen(world, "train") == 330


async def test_the_windows_leave_no_gap_after_a_long_stop(world: World) -> None:
    await world.run("first", person="aya", started_at=NOON, ran_s=60)
    for n in range(6):
        await world.run(f"day{n}", person="aya", started_at=NOON + timedelta(days=n), ran_s=600)
    back = NOON + timedelta(days=6)
    for n in range(8):
        await collect.tick(world.deps(), back + timedelta(minutes=n))
    windows = world.backend.asked
    assert all(later.since <= sooner.until for sooner, later in pairwise(windows))
    assert {key for key, _ in await usage(world)} == {"first.1", *(f"day{n}.1" for n in range(6))}


async def test_an_unreachable_backend_moves_no_watermark(world: World) -> None:
    await world.run("train", person="aya", started_at=NOON, ran_s=60)
    world.backend.reachable = False
    assert await world.collect(LATER) == 0
    assert await world.database.owner.fetchval("SELECT count(*) FROM metering.collection") == 0
    world.backend.reachable = True
    assert await world.collect(LATER + timedelta(days=30)) == 1


async def test_what_ran_outside_the_portal_is_stored_and_never_billed(world: World) -> None:
    await world.submit("known", person="aya")
    world.backend.rows = [a_row(key="other", attempt_id=None), a_row("stranger")]
    assert await world.collect(LATER) == 2
    told = await world.database.owner.fetch("SELECT natural_key, unbilled FROM metering.accounting_row ORDER BY 1")
    assert [tuple(row) for row in told] == [("other", "outside-portal"), ("stranger.1", "unknown-attempt")]
    assert await usage(world) == {}


@pytest.mark.parametrize(
    ("reason", "changed"),
    [
        ("end-before-start", {"ended_at": NOON - HOUR}),
        ("no-end", {"ended_at": None, "final": True}),
        ("bad-quantity", {"components": {"gpu_s": Decimal(-1)}}),
        ("bad-quantity", {"components": {"gpu_s": Decimal("NaN")}}),
        ("bad-quantity", {"components": {"gpu_s": Decimal(10) ** 15}}),
        ("unknown-component", {"components": {"tpu_s": Decimal(1)}}),
        ("failed", {"facts": {"note": "a\0b"}}),
        ("failed", {"facts": {"load": float("nan")}}),
    ],
)
async def test_a_poison_row_is_parked_and_stops_nobody(world: World, reason: str, changed: dict[str, object]) -> None:
    await world.run("good", person="aya", started_at=NOON, ran_s=60)
    await world.submit("bad", person="aya")
    world.backend.rows.insert(0, replace(a_row("bad"), **changed))
    for n in range(3):
        await world.collect(LATER + timedelta(days=n))
    assert await parked(world) == [("bad.1", reason)]
    assert await charged_yen(world, "good") == 330 * Decimal(60) / 3600
    assert not await settled(world, "bad")


async def test_a_parked_row_is_taken_when_it_can_be(world: World) -> None:
    # 1. a price is missing in such a way that handing over fails; 2. it is repaired; 3. nobody has to do anything.
    await world.run("train", person="aya", started_at=NOON, ran_s=3600)
    owner = world.database.owner
    await owner.execute("ALTER TABLE pricing.rated_line ADD CONSTRAINT broken CHECK (quantity < 0) NOT VALID")
    await world.collect(LATER)
    assert await parked(world) == [("train.1", "failed")]
    assert await usage(world) == {}
    await owner.execute("ALTER TABLE pricing.rated_line DROP CONSTRAINT broken")
    await world.collect(LATER + HOUR)
    assert await parked(world) == []
    await world.collect(LATER + 2 * HOUR)
    assert await charged_yen(world, "train") == 330
    assert await settled(world, "train")


async def test_two_contents_under_one_key_in_one_answer_are_not_believed(world: World) -> None:
    row = await world.run("train", person="aya", started_at=NOON, ran_s=3600)
    world.backend.rows = [row, replace(row, components={"gpu_s": Decimal(1)})]
    await world.collect(LATER)
    assert await parked(world) == [("train.1", "contradictory")] * 2
    assert await usage(world) == {}
    world.backend.rows = [row]
    await world.collect(LATER + HOUR / 4)
    assert (await usage(world))["train.1", "gpu_s"] == 3600
    assert await parked(world) == [("train.1", "contradictory")]


async def test_a_correction_never_gives_a_record_to_another_attempt(world: World) -> None:
    await world.run("train", person="aya", started_at=NOON, ran_s=3600)
    await world.collect(LATER)
    await world.submit("other", person="aya")
    world.backend.rows = [a_row("other", key="train.1")]
    await world.collect(LATER + HOUR / 4)
    assert await parked(world) == [("train.1", "attempt-changed")]
    assert await charged_yen(world, "train") == 330


async def test_a_second_start_that_the_gate_turned_away_does_not_settle_the_attempt(world: World) -> None:
    # 1. ended; 2. the accounting first knows only the second start, which used nothing; 3. then the true record.
    await world.submit("train", person="aya")
    await world.end("train", started_at=NOON, ended_at=NOON + HOUR)
    nothing = {"gpu_s": Decimal(0), "cpu_s": Decimal(0)}
    said = {"turned_away": "yes"}
    world.tells("train", key="second", components=nothing, facts=said, ending=Ending.CANCELLED)
    await world.collect(NOON + HOUR + timedelta(seconds=5))
    assert not await settled(world, "train")
    world.tells("train")
    await world.collect(NOON + HOUR + timedelta(seconds=20))
    assert await charged_yen(world, "train") == 330
    assert await settled(world, "train")


async def test_an_attempt_without_any_record_is_settled_for_nothing_and_the_trail_says_so(world: World) -> None:
    await world.submit("train", person="aya")
    await world.end("train", started_at=NOON, ended_at=NOON + HOUR)
    await world.collect(NOON + 2 * HOUR)
    await world.collect(NOON + 24 * HOUR)
    assert not await settled(world, "train")
    await world.collect(NOON + 26 * HOUR)
    assert await settled(world, "train")
    assert await charged_yen(world, "train") == 0
    actions = await world.database.owner.fetch("SELECT subject FROM accounts.audit_entry WHERE action = 'usage.none'")
    assert [row["subject"] for row in actions] == [f"attempt:{an_id('attempt', 'train', 1)}"]


async def test_an_empty_answer_proves_nothing_before_a_day_has_passed(world: World) -> None:
    await world.submit("train", person="aya")
    await world.end("train", started_at=NOON, ended_at=NOON + HOUR)
    await world.collect(NOON + 3 * HOUR)  # the accounting is down, and says so by an empty answer
    world.tells("train")
    await world.collect(NOON + 9 * HOUR)
    assert await charged_yen(world, "train") == 330


@pytest.mark.parametrize("wrong_by", [-9 * HOUR, 9 * HOUR])
async def test_a_backend_whose_clock_is_wrong_by_hours_is_charged_all_the_same(
    world: World, wrong_by: timedelta
) -> None:
    await world.submit("train", person="aya", now=NOON)
    began, ended = NOON + wrong_by, NOON + HOUR + wrong_by
    await world.end("train", started_at=began, ended_at=ended, now=NOON + HOUR)
    await world.collect(NOON + HOUR + timedelta(seconds=5))
    world.tells("train", started_at=began, ended_at=ended)
    for minutes in (1, 20, 40):
        await world.collect(NOON + HOUR + timedelta(minutes=minutes))
    assert await charged_yen(world, "train") == 330
    assert await settled(world, "train")


async def test_an_end_told_for_the_far_future_does_not_keep_the_hold_for_ever(world: World) -> None:
    await world.submit("train", person="aya")
    await world.end("train", started_at=NOON, ended_at=NOON + timedelta(days=36_500), now=NOON + HOUR)
    world.tells("train", components={})
    await world.collect(NOON + 2 * HOUR)
    assert await settled(world, "train")


async def test_one_run_told_under_two_keys_is_charged_once(world: World) -> None:
    await world.submit("train", person="aya", size=JobSize(gpus=1, walltime_s=7200))
    world.tells("train", key="before the move")
    world.tells("train", key="after the move")
    await world.collect(NOON + HOUR + timedelta(minutes=2))
    await world.end("train", started_at=NOON, ended_at=NOON + HOUR, now=LATER)
    assert await charged_yen(world, "train") == 330
    assert await parked(world) == [("before the move", "counted-already")]


async def test_a_backend_is_not_believed_about_an_attempt_of_another(world: World) -> None:
    await world.submit("train", person="aya", size=JobSize(gpus=1, walltime_s=7200))
    await world.end("train", started_at=NOON, ended_at=NOON + HOUR)
    other = Scripted(name="other", rows=[a_row("train", key="other.1")])
    async with transaction(world.database.worker) as conn:
        taken = await take_row(conn, other.rows[0], backend="other", complete=True, now=LATER)
    world.tells("train")
    await world.collect(LATER)
    assert (taken, await charged_yen(world, "train")) == (Taken.UNKNOWN_ATTEMPT, 330)


@pytest.mark.parametrize(
    "says",
    [
        {"started_at": datetime(1970, 1, 1, tzinfo=UTC)},
        {"ended_at": NOON + timedelta(days=36_500)},
        {"components": {"gpu_s": Decimal(10) ** 13}},
        {"natural_key": "\ud800"},
    ],
)
async def test_a_row_that_cannot_be_true_is_parked_and_stops_nobody(world: World, says: dict[str, object]) -> None:
    await world.run("good", person="aya", started_at=NOON, ran_s=3600)
    await world.submit("bad", person="aya", now=NOON)
    world.backend.rows.append(replace(a_row("bad"), **says))
    await world.collect(LATER)
    await world.end("bad", started_at=NOON, ended_at=NOON + HOUR)
    await world.collect(LATER + HOUR / 4)
    assert await charged_yen(world, "good") == 330
    assert len(await parked(world)) == 1
    assert not await settled(world, "bad")


async def test_concluding_and_a_payment_do_not_wait_for_each_other(world: World) -> None:
    # 1. the payment holds the wallet; 2. the conclusion waits for it, holding nothing that the payment wants.
    attempt_id = await world.submit("train", person="aya")
    await world.end("train", started_at=NOON, ended_at=NOON + HOUR)

    async def conclude() -> bool:
        async with transaction(world.database.worker) as conn:
            return await conclude_attempt(conn, attempt_id, backend="cluster", now=LATER)

    async with world.as_operator() as conn:
        await conn.fetchval("SELECT pricing.lock_wallet($1)", an_id("organisation", "alpha"))
        concluding = asyncio.create_task(conclude())
        for _ in range(500):
            if await world.database.owner.fetchval(_WAITS):
                break
            await asyncio.sleep(0.01)
        await append_audit(conn, actor=None, organisation_id=None, action="x", subject="x", facts={}, now=LATER)
    assert await concluding


async def test_an_ended_attempt_is_asked_after_in_its_whole_period(world: World) -> None:
    # 1. it runs; 2. the backend loses its database, for days; 3. the record is back, older than every window; 4. the
    # scheduler, which was down, learns of the end.
    await world.submit("train", person="aya")
    for n in range(1, 4):
        await world.collect(NOON + timedelta(days=n))
    world.tells("train")
    await world.collect(NOON + timedelta(days=3, minutes=1))
    assert await usage(world) == {}
    await world.end("train", started_at=NOON, ended_at=NOON + HOUR, now=NOON + timedelta(days=3, minutes=2))
    await world.collect(NOON + timedelta(days=3, minutes=3))
    assert await charged_yen(world, "train") == 330


async def test_an_ended_attempt_whose_record_still_grows_stays_open(world: World) -> None:
    await world.submit("train", person="aya")
    await world.end("train", started_at=NOON, ended_at=NOON + HOUR)
    world.backend.rows = [a_row("train", ended_at=None)]
    await world.collect(NOON + 5 * HOUR)
    assert not await settled(world, "train")


async def test_lost_work_is_usage_and_costs_nothing(world: World) -> None:
    await world.run("train", person="aya", started_at=NOON, ran_s=3600, ending=Ending.LOST)
    await world.collect(LATER)
    assert (await usage(world))["train.1", "gpu_s"] == 3600
    assert await charged_yen(world, "train") == 0


async def test_quantum_usage_is_seconds_and_shots(world: World) -> None:
    await world.submit("ghz", person="aya", offering_id="qpu-demo")
    await world.end("ghz", started_at=NOON, ended_at=NOON + timedelta(seconds=3))
    world.backend.rows = [a_quantum_row("ghz", ran_s=3, shots=4000)]
    await world.collect(LATER)
    assert await usage(world) == {("ghz.1", "qpu_s"): 3, ("ghz.1", "shot"): 4000}
    assert await charged_yen(world, "ghz") == 500  # 3 s × 150 + 4,000 shots × 12.5 per 1,000


async def test_simulator_seconds_are_metered_and_charged_at_their_own_price(world: World) -> None:
    sold = replace(market.QPU_OFFERING, id="sim-demo", backend=CLUSTER, qpu_base_us=0, qpu_per_kshot_us=0, sim_units=2)
    free = [replace(price, price_micro_yen=0) for price in market.QPU_PRICES]
    per_hour = replace(
        market.gpu_price("180"),
        component=Component.SIM_S,
        market_reference_id=market.an_id("market", Component.SIM_S),
        list_micro_yen=micro("240"),
    )
    async with transaction(world.database.portal, role=Role.OPERATOR) as conn:
        await pricing.create_offering(conn, sold, now=market.NOW)
        await market.publish(conn, sold.id, [*free, per_hour])
    await world.submit("sim", person="aya", offering_id=sold.id)
    await world.end("sim", started_at=NOON, ended_at=NOON + timedelta(seconds=30))
    world.backend.rows = [
        replace(a_quantum_row("sim", ran_s=30), components={"sim_s": Decimal("50.5"), "shot": Decimal(4000)})
    ]
    await world.collect(LATER)
    assert await usage(world) == {("sim.1", "sim_s"): Decimal("50.5"), ("sim.1", "shot"): 4000}
    assert await charged_yen(world, "sim") == Decimal("2.525")  # 180 yen an hour


async def test_a_stale_leader_writes_nothing(world: World) -> None:
    await world.run("train", person="aya", started_at=NOON, ran_s=3600)
    await world.database.owner.execute("INSERT INTO infra.leader VALUES ('collect', 2, 'x', now(), now())")
    with pytest.raises(Exception, match="stale leader"):
        await collect.tick(world.deps(lease=Lease("collect", 1)), LATER)
    assert await usage(world) == {}


async def test_units_in_service_are_noted_when_they_change(world: World) -> None:
    moments = [NOON + n * HOUR for n in range(6)]
    await world.note_capacity(moments[0])
    await world.note_capacity(moments[1])
    world.backend.reachable = False
    await world.note_capacity(moments[2])  # silence is not being out of service
    world.backend.reachable, world.backend.online = True, False
    await world.note_capacity(moments[3])
    world.backend.online = True
    world.backend.size = replace(world.backend.size, gpus=16)
    await world.note_capacity(moments[4])
    rows = await world.database.owner.fetch(
        "SELECT effective_at, units FROM metering.capacity_fact WHERE component = 'gpu_s' ORDER BY 1"
    )
    assert [tuple(row) for row in rows] == [(moments[0], 8), (moments[3], 0), (moments[4], 16)]
