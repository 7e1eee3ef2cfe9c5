"""squeue, sacct, sinfo, sshare: the tables are those that Slurm 24.11 printed for the same jobs."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.support.fake_portal import FakePortal, a_job, an_offering, problem
from tests.support.shims import ME, shim

PLACE = {"offering": "main", "backend": "gpu0", "project": "lab-a", "person_id": "p-1", "service_class": "normal"}
PROBE = {**PLACE, "name": "probe", "walltime_s": 300, "gpus": 2, "cpus": 1, "memory_mb": 100, "nodes": 1}
SUBMITTED = "2026-11-21T09:30:52+00:00"
STARTED = "2026-11-21T09:30:53+00:00"


def job(number: int, state: str = "QUEUED", **more: object) -> dict[str, object]:
    return a_job(f"id-{number}", state, number=number, **{**PROBE, "submitted_at": SUBMITTED, **more})


JOBS = [
    job(1, "RUNNING", started_at=STARTED),
    job(2, "RUNNING", started_at=STARTED, array={"number": 2, "index": 1, "tasks": 3}),
    job(5, array={"number": 2, "index": 2, "tasks": 3}, waiting_reason="ARRAY_THROTTLE"),
    job(6, array={"number": 2, "index": 3, "tasks": 3}, waiting_reason="ARRAY_THROTTLE"),
    job(3, waiting_reason="DEPENDENCY", dependencies=[{"kind": "afterok", "job": "1"}]),
    job(4, waiting_reason="BEGIN_TIME", name="wrap", walltime_s=60, gpus=0, begin_at="2026-11-21T10:30:52+00:00"),
]


@pytest.fixture(autouse=True)
def _in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def portal() -> FakePortal:
    """The jobs of a page each, by their state where one asks for it; the fake answers every state in turn."""
    found = FakePortal().on("GET /me", ME).on("GET /jobs", {"items": JOBS, "next_cursor": None})
    for each in JOBS:
        found.on(f"GET /jobs/{each['number']}", each).on(f"GET /jobs/{each['id']}", each)
    return found.on("GET /jobs/99", problem(404, "job-not-found")).on("GET /offerings", {"items": [an_offering()]})


def test_the_queue_is_squeues(portal: FakePortal) -> None:
    assert shim(portal, "squeue").out.splitlines() == [
        "             JOBID PARTITION     NAME     USER ST       TIME  NODES NODELIST(REASON)",
        "           2_[2-3]      main    probe    alice PD       0:00      1 (JobArrayTaskLimit)",
        "                 3      main    probe    alice PD       0:00      1 (Dependency)",
        "                 4      main     wrap    alice PD       0:00      1 (BeginTime)",
        "                 1      main    probe    alice  R       0:01      1 gpu0",
        "               2_1      main    probe    alice  R       0:01      1 gpu0",
    ]


def test_the_long_queue_is_squeues(portal: FakePortal) -> None:
    lines = shim(portal, "squeue -l").out.splitlines()
    assert lines[0] == "Sat Nov 21 09:30:54 2026"
    assert (
        lines[1]
        == "             JOBID PARTITION     NAME     USER    STATE       TIME TIME_LIMI  NODES NODELIST(REASON)"
    )
    assert lines[-2] == "                 1      main    probe    alice  RUNNING       0:01      5:00      1 gpu0"


def test_the_expected_start_is_squeues_start_time() -> None:
    waits = job(
        7,
        waiting_reason="NO_CAPACITY",
        forecast={
            "as_of": "2026-11-21T09:30:00+00:00",
            "position": 3,
            "p50_at": "2026-11-21T11:00:00+00:00",
            "p90_at": None,
            "ahead": {"own": 2},
        },
    )
    portal = FakePortal().on("GET /me", ME).on("GET /jobs", {"items": [waits], "next_cursor": None})
    told = shim(portal.on("GET /offerings", {"items": [an_offering()]}), "squeue -h -o %i|%S").out
    assert told.splitlines() == ["7|2026-11-21T11:00:00"]


def test_columns_are_chosen_as_in_squeue(portal: FakePortal) -> None:
    told = shim(portal, "squeue -r -j 4,2 -o %i|%j|%.3t|%T|%l|%L|%D|%R|%S|%e|%V|%a|%q|%C|%b|%F|%K|%E|%r|%m").out
    assert told.splitlines()[0] == (
        "JOBID|NAME| ST|STATE|TIME_LIMIT|TIME_LEFT|NODES|NODELIST(REASON)|START_TIME|END_TIME|SUBMIT_TIME|ACCOUNT|QOS|"
        "CPUS|TRES_PER_NODE|ARRAY_JOB_ID|ARRAY_TASK_ID|DEPENDENCY|REASON|MIN_MEMORY"
    )
    assert (
        "2_1|probe|  R|RUNNING|5:00|4:59|1|gpu0|2026-11-21T09:30:53|2026-11-21T09:35:53|2026-11-21T09:30:52|lab-a|"
        "normal|1|gres/gpu:2|2|1|(null)|None|100M"
    ) in told
    assert "4|wrap| PD|PENDING|1:00|1:00|1|(BeginTime)|2026-11-21T10:30:52|N/A|" in told


def test_long_names_of_columns_are_known(portal: FakePortal) -> None:
    told = shim(portal, "squeue -j 1 -O jobid,name:12,state,timeleft").out.splitlines()
    assert told == [
        "JOBID               NAME        STATE               TIME_LEFT           ",
        "1                   probe       RUNNING             4:59                ",
    ]


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        ("-t PD", ["3", "4", "2_[2-3]"]),
        ("-t running", ["1", "2_1"]),
        ("-n wrap", ["4"]),
        ("-u alice -p main -A lab-a -q normal -n wrap", ["4"]),
        ("-u bob", []),
        ("--me -j 1", ["1"]),
        ("-j 2_[1,2] -r", ["2_2", "2_1"]),
    ],
)
def test_jobs_are_chosen_as_in_squeue(portal: FakePortal, options: str, numbers: list[str]) -> None:
    for name, each in (("2_1", JOBS[1]), ("2_2", JOBS[2])):
        portal.on(f"GET /jobs/{name}", each)
    ran = shim(portal, f"squeue -h -o %i {options}")
    assert sorted(ran.out.split()) == sorted(numbers)
    assert ran.code == 0


def test_a_job_that_nobody_has_ends_a_wait_loop(portal: FakePortal) -> None:
    ran = shim(portal, "squeue -h -j 99")
    assert (ran.code, ran.out) == (1, "")
    assert "slurm_load_jobs error: Invalid job id specified" in ran.err
    assert shim(portal.on("GET /jobs/1", job(1, "SUCCEEDED")), "squeue -h -j 1").out == ""


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("squeue -t FOO", "squeue: error: Invalid job state specified: FOO"),
        ("squeue -o %/", "squeue: error: Invalid job format specification: /"),
        ("squeue -Z", 'unrecognized arguments: -Z\nTry "squeue --help" for more information'),
        ("sacct --format=foo", 'sacct: error: Invalid field requested: "foo"'),
        ("sacct -s FOO", "sacct: fatal: unrecognized job state value 'FOO'"),
        ("sinfo -o %!", "sinfo: error: Invalid node format specification: !"),
        ("sshare -o foo", 'sshare: error: Invalid field requested: "foo"'),
    ],
)
def test_a_wrong_call_is_refused_in_the_originals_words(portal: FakePortal, command: str, told: str) -> None:
    ran = shim(portal, command)
    assert (ran.code, ran.out) == (1, "")
    assert told in ran.err


def test_accounting_is_saccts(portal: FakePortal) -> None:
    ended = job(1, "SUCCEEDED", started_at=STARTED, ended_at="2026-11-21T09:30:54+00:00", exit_code=0)
    cancelled = job(2, "CANCELLED", started_at=STARTED, ended_at="2026-11-21T09:30:54+00:00")
    timed_out = job(3, "FAILED", started_at=STARTED, ended_at="2026-11-21T09:30:54+00:00", reason="timed_out")
    portal.on("GET /jobs", {"items": [timed_out, cancelled, ended], "next_cursor": None})
    assert shim(portal, "sacct").out.splitlines() == [
        "JobID           JobName  Partition    Account  AllocCPUS      State ExitCode ",
        "------------ ---------- ---------- ---------- ---------- ---------- -------- ",
        "1                 probe       main      lab-a          1  COMPLETED      0:0 ",
        "2                 probe       main      lab-a          1  CANCELLED      0:0 ",
        "3                 probe       main      lab-a          1    TIMEOUT      0:0 ",
    ]
    assert shim(portal, "sacct -X -nP -o jobid,state,exitcode,elapsed").out == (
        "1|COMPLETED|0:0|00:00:01\n2|CANCELLED|0:0|00:00:01\n3|TIMEOUT|0:0|00:00:01\n"
    )
    assert shim(portal, "sacct -s CD,TO -nPb -S 2026-11-20").out == "1|COMPLETED|0:0\n3|TIMEOUT|0:0\n"
    assert shim(
        portal, "sacct -Xp -j 1 -o jobid,jobname%5,alloctres,start,end,timelimit,reqmem,user,nodelist,maxrss"
    ).out == (
        "JobID|JobName|AllocTRES|Start|End|Timelimit|ReqMem|User|NodeList|MaxRSS|\n"
        "1|probe|cpu=1,gres/gpu=2,mem=100M,node=1|2026-11-21T09:30:53|Unknown|00:05:00|100M|alice|gpu0||\n"
    )


def test_a_column_that_is_too_narrow_is_marked(portal: FakePortal) -> None:
    told = shim(portal, "sacct -n -j 1 -o jobname%4,partition%-6,state%3").out
    assert told == "pro+ main   RU+ \n"


def test_sacct_shows_its_window(portal: FakePortal) -> None:
    old = job(1, "SUCCEEDED", submitted_at="2026-11-19T00:00:00Z", ended_at="2026-11-19T01:00:00Z")
    portal.on("GET /jobs", {"items": [old], "next_cursor": None})
    assert shim(portal, "sacct -nP").out == ""
    assert shim(portal, "sacct -nPb -S now-3days").out == "1|COMPLETED|0:0\n"
    assert shim(portal, "sacct -nPb -S 2026-11-18 -E 2026-11-18T12:00").out == ""
    assert shim(portal, "sacct -nPb -S 1119-00:30").out == "1|COMPLETED|0:0\n"


def test_others_jobs_are_shown_by_the_name_in_their_address(portal: FakePortal) -> None:
    portal.on("GET /jobs", {"items": [job(1, "RUNNING", person_id="p-2")], "next_cursor": None})
    portal.on("GET /members", {"items": [{"person_id": "p-2", "email": "bob@lab.example"}]})
    assert shim(portal, "squeue -h -o %u").out == "bob\n"
    assert shim(portal, "squeue -h --me").out == ""
    assert shim(portal, "sacct -n").out == ""
    assert shim(portal, "sacct -anP -o user").out == "bob\n"


def test_offerings_are_partitions(portal: FakePortal) -> None:
    assert shim(portal, "sinfo").out.splitlines() == [
        "PARTITION AVAIL  TIMELIMIT  NODES  STATE NODELIST",
        "gpu          up   infinite    n/a    unk n/a",
    ]
    assert shim(portal, "sinfo -h -p nowhere").out == ""
    assert shim(portal, "sinfo -h -o %P:%G").out == "gpu:gpu:4\n"
    assert shim(portal, "sinfo -s").out.splitlines()[0] == "PARTITION AVAIL  TIMELIMIT   NODES(A/I/O/T) NODELIST"


def test_the_share_is_as_far_as_the_portal_tells(portal: FakePortal) -> None:
    portal.on(
        "GET /usage", {"items": [{"component": "gpu_s", "quantity": "12.5"}, {"component": "shot", "quantity": "9"}]}
    )
    assert shim(portal, "sshare").out.splitlines() == [
        "Account                    User  RawShares  NormShares    RawUsage  EffectvUsage  FairShare ",
        "-------------------- ---------- ---------- ----------- ----------- ------------- ---------- ",
        "lab-a                                                           12                          ",
        " lab-a                    alice                                                             ",
    ]
    assert shim(portal, "sshare -U -nP").out == "lab-a|alice|||||\n"


def test_a_name_cannot_break_a_table_or_steer_a_terminal(portal: FakePortal) -> None:
    portal.on("GET /jobs", {"items": [job(1, "RUNNING", name="a\nb\x1b[2J|c")], "next_cursor": None})
    assert shim(portal, "squeue -h -o %j").out == "a b�[2J|c\n"


def test_help_lists_the_options(portal: FakePortal) -> None:
    assert "--me" in shim(portal, "squeue --help").out
    assert portal.asked == []
