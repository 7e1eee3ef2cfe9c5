"""What real servers printed (tests/fixtures/pbs, with sources), read."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from hpc_adapters.contract import Resources, Seen, Window
from hpc_adapters.errors import Unavailable
from hpc_adapters.pbs import accounting, capacity, parsing, request, translate
from hpc_adapters.pbs.commands import Done
from hpc_adapters.pbs.parsing import Unreadable

FIXTURES = Path(__file__).parents[3] / "fixtures" / "pbs"
PRAGUE = ZoneInfo("Europe/Prague")
ALWAYS = Window(datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))


def printed(name: str) -> bytes:
    return (FIXTURES / name).read_bytes()


def test_a_running_job_is_read_in_the_servers_own_time() -> None:
    [job] = parsing.jobs(printed("qstat_running.json"), zone=PRAGUE).values()
    assert (job.name, job.owner, job.queue, job.run_count) == ("swrap_01", "jan_brezina", "charon_2h", 1)
    assert job.started_at == datetime(2022, 10, 4, 19, 23, 33, tzinfo=UTC)
    assert job.requested["walltime"] == "00:01:00"
    assert translate.seen(job) == (Seen.RUNNING, "")


def test_a_held_job_waits_and_says_why() -> None:
    [job] = parsing.jobs(printed("qstat_held.json"), zone=PRAGUE).values()
    assert translate.seen(job) == (Seen.WAITING, "held")
    assert job.started_at is None


def test_a_finished_job_of_which_little_is_said_has_still_succeeded() -> None:
    [job] = parsing.jobs(printed("qstat_finished.json"), zone=PRAGUE).values()
    assert translate.seen(job) == (Seen.SUCCEEDED, "")
    assert parsing.ended_at(job) is None


def test_a_server_that_does_not_answer_is_not_a_server_without_jobs() -> None:
    done = Done(255, printed("qstat_no_server.out"), printed("qstat_no_server.err").decode())
    assert parsing.jobs(done.out, zone=PRAGUE) == {}  # read alone it would look like an empty machine
    problem = request.refusal(done)
    assert isinstance(problem, Unavailable)
    assert not problem.maybe_done


def test_nodes_that_are_given_away_whole_are_not_free() -> None:
    at = datetime(2023, 11, 10, tzinfo=UTC)
    found = capacity.capacity(parsing.nodes(printed("pbsnodes.json")), at=at, chunk_label=None, gpus_per_node=0)
    memory_mb = -(-527_672_488 // 1024)
    assert found.total == Resources(gpus=8, cpus=128, memory_mb=2 * memory_mb)
    assert found.free == Resources(gpus=4, cpus=64, memory_mb=memory_mb)
    assert found.online


def test_what_runs_on_a_node_that_is_offline_is_told_apart() -> None:
    nodes = [
        replace(node, states=("offline", *node.states)) if "job-exclusive" in node.states else node
        for node in parsing.nodes(printed("pbsnodes.json"))
    ]
    found = capacity.capacity(nodes, at=datetime(2023, 11, 10, tzinfo=UTC), chunk_label=None, gpus_per_node=0)
    assert found.total == found.free == found.draining == Resources(gpus=4, cpus=64, memory_mb=-(-527_672_488 // 1024))


def test_a_node_that_nobody_knows_is_no_capacity() -> None:
    found = capacity.capacity(
        parsing.nodes(printed("pbsnodes_unknown.json")),
        at=datetime(2024, 11, 1, tzinfo=UTC),
        chunk_label=None,
        gpus_per_node=8,
    )
    assert (found.total, found.online) == (Resources(), False)


def test_accounting_counts_what_ran_and_nothing_else() -> None:
    lines = printed("accounting.log").decode().splitlines()
    first, second = accounting.usage_rows(lines, ALWAYS, gpus_per_node=0)
    ran_s = 55 * 60 + 26
    assert first.components == {"gpu_s": Decimal(ran_s), "cpu_s": Decimal(ran_s)}
    assert first.ending is Seen.CANCELLED
    assert first.facts["peak_memory_mb"] == -(-1_243_224 // 1024)
    assert (first.started_at, first.ended_at) == (
        datetime.fromtimestamp(1_744_817_058, UTC),
        datetime.fromtimestamp(1_744_820_388, UTC),
    )
    # 366 s from start to end, of which PBS counted 271: the rest it was suspended or on its way.
    assert second.components == {"gpu_s": Decimal(0), "cpu_s": Decimal(271)}
    assert second.ending is Seen.SUCCEEDED
    assert {first.attempt_id, second.attempt_id} == {None}


def test_a_record_belongs_to_the_windows_that_it_touches() -> None:
    lines = printed("accounting.log").decode().splitlines()
    start, end = (datetime.fromtimestamp(epoch, UTC) for epoch in (1_744_817_058, 1_744_820_388))
    hour, moment = timedelta(hours=1), timedelta(microseconds=1)

    def count(since: datetime, until: datetime) -> int:
        return len(accounting.usage_rows(lines, Window(since, until), gpus_per_node=0))

    assert count(start - hour, start) == 0
    assert count(start - hour, start + moment) == 1
    assert count(end, end + hour) == 1
    assert count(end + moment, end + hour) == 0


@pytest.mark.parametrize(
    ("text", "megabytes"), [("8gb", 8192), ("4194304kb", 4096), ("0b", 0), ("1", 1), ("1mw", 8), ("2tb", 2_097_152)]
)
def test_sizes(text: str, megabytes: int) -> None:
    assert parsing.size_mb(text) == megabytes


@pytest.mark.parametrize(("text", "seconds"), [("00:55:26", 3326), ("1234:00:00", 4_442_400), ("60", 60), ("1:30", 90)])
def test_durations(text: str, seconds: int) -> None:
    assert parsing.seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "1:2:3:4", "-1", "½", "8 gb gb", "1e3"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(Unreadable):
        parsing.seconds(text)
    with pytest.raises(Unreadable):
        parsing.size_mb(text)


@pytest.mark.parametrize("wrong", [b"", b"[]", b'{"Jobs": []}', b'{"Jobs": {"1": 7}}', b"qstat: ..."])
def test_what_is_no_answer_is_refused(wrong: bytes) -> None:
    with pytest.raises(Unreadable):
        parsing.jobs(wrong, zone=PRAGUE)
