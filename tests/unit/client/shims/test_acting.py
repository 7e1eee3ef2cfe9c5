"""sbatch, scancel, and the files that stand for them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from kyoyo.errors import UsageError
from kyoyo.shims.install import NAMES, install, remove
from tests.support.fake_portal import FakePortal, a_job, an_estimate, an_offering, kyoyo, problem
from tests.support.shims import ME, shim, shim_words

SCRIPT = "#!/bin/sh\n#SBATCH --time=10:00 --gres=gpu:2\necho hello\n"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "job.sh").write_text(SCRIPT)


@pytest.fixture
def portal() -> FakePortal:
    found = FakePortal().on("GET /offerings", {"items": [an_offering()]}).on("GET /me", ME)
    return found.on("POST /jobs", httpx2.Response(201, json=a_job(number=12))).on("POST /estimates", an_estimate())


def test_sbatch_submits_and_says_so_in_one_line(portal: FakePortal) -> None:
    assert shim(portal, "sbatch -J mine --mem=8G job.sh one two").out == "Submitted batch job 12\n"
    [body] = portal.bodies("POST /jobs")
    assert (body["name"], body["gpus"], body["memory_mb"], body["arguments"]) == ("mine", 2, 8192, ["one", "two"])
    assert body["script"] == SCRIPT


def test_parsable_is_the_number_and_quiet_is_nothing(portal: FakePortal) -> None:
    assert shim(portal, "sbatch --parsable job.sh").out == "12\n"
    assert shim(portal, "sbatch -Q job.sh").out == ""


def test_the_name_is_that_of_the_file_of_wrap_or_of_sbatch_itself(portal: FakePortal) -> None:
    shim(portal, "sbatch job.sh")
    shim_words(portal, "sbatch", "-t", "1", "--wrap", "echo 'a b'")
    shim(portal, "sbatch", stdin=SCRIPT)
    told = portal.bodies("POST /jobs")
    assert [body["name"] for body in told] == ["job.sh", "wrap", "sbatch"]
    assert told[1]["script"] == "#!/bin/sh\n# This script was created by sbatch --wrap.\n\necho 'a b'\n"


def test_the_environment_stands_between_script_and_command_line(portal: FakePortal) -> None:
    shim(portal, "sbatch -t 30 job.sh", SBATCH_TIMELIMIT="20", SBATCH_GRES="gpu:4", SBATCH_REQUEUE="yes")
    [body] = portal.bodies("POST /jobs")
    assert (body["walltime_s"], body["gpus"], body["max_attempts"]) == (1800, 4, 3)


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        ("--foo job.sh", 255, "sbatch: unrecognized option '--foo'\nTry \"sbatch --help\" for more information\n"),
        ("-t abc job.sh", 255, "sbatch: error: not a time limit: 'abc'"),
        ("--hold job.sh", 255, "sbatch: error: --hold is not supported"),
        ("nofile.sh", 1, "sbatch: error: Unable to open file nofile.sh\n"),
        ("-t 1 --wrap true job.sh", 1, "sbatch: error: Script arguments not permitted with --wrap option\n"),
    ],
)
def test_a_wrong_call_is_refused_in_the_originals_words(
    portal: FakePortal, arguments: str, code: int, told: str
) -> None:
    ran = shim(portal, f"sbatch {arguments}")
    assert (ran.code, ran.out) == (code, "")
    assert ran.err.startswith(told)
    assert portal.asked == []


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("", "sbatch: error: Batch script is empty!\n"),
        (
            "true\n",
            "sbatch: error: This does not look like a batch script. The first\nsbatch: error: line must start with #! ",
        ),
        ("#!/bin/sh\r\ntrue\r\n", "sbatch: error: Batch script contains DOS line breaks (\\r\\n)\n"),
        ("#!/bin/sh\n#SBATCH --network=x\n", "sbatch: error: line 2: --network is not supported"),
    ],
)
def test_a_wrong_script_is_refused(portal: FakePortal, script: str, told: str) -> None:
    ran = shim(portal, "sbatch", stdin=script)
    assert ran.code in {1, 255}
    assert ran.err.replace(".  The", ". The").startswith(told)


def test_a_refusal_of_the_portal_is_a_failed_submission(portal: FakePortal) -> None:
    portal.on("POST /jobs", problem(402, "insufficient-funds", remedy="pay in"))
    ran = shim(portal, "sbatch job.sh")
    assert ran.code == 1
    assert "sbatch: error: Batch job submission failed: insufficient-funds! (insufficient-funds)" in ran.err
    assert "pay in" in ran.err


def test_a_cost_limit_comes_from_the_environment(portal: FakePortal) -> None:
    assert shim(portal, "sbatch job.sh", KYOYO_MAX_COST="110").code == 0
    assert shim(portal, "sbatch job.sh", KYOYO_MAX_COST="lots").code == 1
    assert [body["max_cost_yen"] for body in portal.bodies("POST /jobs")] == ["110"]
    portal.on("POST /jobs", problem(422, "cost-cap-too-small"))
    assert "cost-cap-too-small" in shim(portal, "sbatch job.sh", KYOYO_MAX_COST="109").err


def test_test_only_tells_the_cost_and_submits_nothing(portal: FakePortal) -> None:
    ran = shim(portal, "sbatch --test-only job.sh")
    assert (ran.code, ran.out) == (0, "")
    assert "¥110" in ran.err
    assert portal.bodies("POST /jobs") == []


@pytest.mark.parametrize(("end", "code"), [(0, 0), (3, 3), (None, 1), (143, 1)])
def test_wait_ends_with_the_jobs_exit_code_and_writes_its_output(
    portal: FakePortal, end: int | None, code: int
) -> None:
    ended = a_job("j-1", "FAILED" if end != 0 else "SUCCEEDED", number=12, exit_code=end)
    portal.on("POST /jobs", httpx2.Response(201, json=ended)).on("GET /jobs/j-1", ended)
    portal.on("GET /jobs/j-1/logs", {"text": "hello\n", "next_offset": 6, "ended": True})
    portal.on("GET /jobs/j-1/logs/live", problem(501, "none"))
    assert shim(portal, "sbatch --wait job.sh").code == code
    assert Path("slurm-12.out").read_text() == "hello\nhello\n"


def test_scancel_cancels_jobs_tasks_and_arrays(portal: FakePortal) -> None:
    task = a_job("j-7", number=7, array={"number": 7, "index": 1, "tasks": 2})
    portal.on("GET /jobs/7", task).on("GET /jobs/7_1", task).on("GET /jobs/j-7", task).on(
        "GET /jobs/12", a_job(number=12)
    )
    portal.on("GET /jobs/j-1", a_job(number=12)).on("POST /arrays/7/cancel", task)
    portal.on("POST /jobs/j-7/cancel", task).on("POST /jobs/j-1/cancel", a_job())
    assert shim(portal, "scancel 7 7_1 12") == type(shim(portal, "scancel -Q 99"))(0, "", "")
    assert [asked.url.path for asked in portal.asked if asked.method == "POST"] == [
        "/api/v1/arrays/7/cancel",
        "/api/v1/jobs/j-7/cancel",
        "/api/v1/jobs/j-1/cancel",
    ]


def test_scancel_by_filter_touches_only_what_is_mine_and_matches(portal: FakePortal) -> None:
    mine = a_job("j-1", "RUNNING", person_id="p-1", name="a")
    other = a_job("j-2", "RUNNING", person_id="p-2", name="a")
    waiting = a_job("j-3", "QUEUED", person_id="p-1", name="a")
    portal.on("GET /jobs", {"items": [mine, other, waiting], "next_cursor": None})
    for each in (mine, other, waiting):
        portal.on(f"GET /jobs/{each['id']}", each).on(f"POST /jobs/{each['id']}/cancel", each)
    assert shim(portal, "scancel -n a -t RUNNING").code == 0
    assert [asked.url.path for asked in portal.asked if asked.method == "POST"] == ["/api/v1/jobs/j-1/cancel"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("", "scancel: error: No job identification provided"),
        ("abc", "scancel: error: Invalid job id abc"),
        ("-s USR1 1", "scancel: error: --signal is not supported"),
        ("99", "scancel: error: Kill job error on job id 99: Invalid job id specified"),
        ("-Z", "scancel: unrecognized arguments: -Z"),
    ],
)
def test_scancel_refuses_in_the_originals_words(portal: FakePortal, arguments: str, told: str) -> None:
    ran = shim(portal, f"scancel {arguments}".strip())
    assert ran.code == 1
    assert ran.err.startswith(told)


def test_without_a_login_every_shim_says_how(portal: FakePortal) -> None:
    for name in NAMES:
        ran = shim(portal, name, stdin=SCRIPT, KYOYO_TOKEN="", KYOYO_CONFIG_DIR="nowhere")
        assert ran.code == 1
        assert "kyoyo login" in ran.err or name == "scancel"


def test_installed_files_run_and_go_away_again(tmp_path: Path) -> None:
    folder = tmp_path / "a b" / "bin"
    install(folder, python=sys.executable)
    install(folder, python=sys.executable)
    for name in NAMES:
        ran = subprocess.run([folder / name, "--version"], capture_output=True, text=True, timeout=60, check=False)
        assert (ran.returncode, ran.stdout.strip()) == (0, f"{name} of kyoyo"), ran.stderr
    (folder / "mine").write_text("x")
    assert len(remove(folder)) == len(NAMES)
    assert [path.name for path in folder.iterdir()] == ["mine"]


def test_a_foreign_file_stays_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "sacct").write_text("#!/bin/sh\nexec /usr/bin/sacct\n")
    (tmp_path / "squeue").symlink_to("nowhere")
    with pytest.raises(UsageError, match=r"(sacct|squeue) is not ours"):
        install(tmp_path, python=sys.executable)
    assert remove(tmp_path) == []
    assert {"sacct", "squeue"} == set(NAMES) & {path.name for path in tmp_path.iterdir()}


def test_the_command_installs_and_removes(portal: FakePortal, tmp_path: Path) -> None:
    ran = kyoyo(portal, "shims", "install", str(tmp_path / "bin"))
    assert ran.code == 0
    assert "export PATH=" in ran.err
    assert set(NAMES) == {path.name for path in (tmp_path / "bin").iterdir()}
    assert kyoyo(portal, "shims", "remove", str(tmp_path / "bin")).code == 0
    (tmp_path / "sbatch").write_text("x")
    assert kyoyo(portal, "shims", "install", str(tmp_path), KYOYO_LANG="ja").code == 2
