"""The `kyoyo` command against a real house: what a user types, and what comes back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kyoyo import Client, Conflict, Refused
from portal.demo.house import House
from tests.support.live_house import Kyoyo, live_house

pytestmark = [
    pytest.mark.takes(8),
    pytest.mark.xdist_group("house-of-cli"),
    pytest.mark.postgres,
    pytest.mark.sandbox,
    pytest.mark.quantum,
    pytest.mark.timeout(300),
]

EXAMPLES = Path(__file__).parents[2] / "client" / "examples"
UNKNOWN_JOB = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with live_house(tmp_path_factory.mktemp("house")) as opened:
        yield opened


@pytest.fixture
def kyoyo(house: House, tmp_path: Path) -> Kyoyo:
    return Kyoyo(house.address, house.keys.startup, tmp_path)


def told(done: Any) -> Any:
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_signing_in_once_is_enough(kyoyo: Kyoyo, house: House) -> None:
    done = kyoyo("login", "--url", house.address, "--token-stdin", stdin=house.keys.startup + "\n")
    assert done.returncode == 0, done.stderr
    assert "佐藤 花子" in done.stdout
    assert told(kyoyo("whoami", "--json", KYOYO_TOKEN="", KYOYO_URL=""))["role"] == "owner"


def test_a_command_runs_and_its_output_and_success_come_back(kyoyo: Kyoyo) -> None:
    done = kyoyo("run", "--gpus", "1", "--time", "1", "--", "sh", "-c", 'echo "$0: $KYOYO_TEST"', "two words")
    assert (done.returncode, done.stdout) == (0, "two words: \n"), done.stderr
    assert "succeeded" in done.stderr


def test_a_commands_failure_is_the_exit_code(kyoyo: Kyoyo) -> None:
    done = kyoyo(
        "run", "-G", "1", "-t", "1", "--env", "NAME=値", "--", "sh", "-c", "echo $NAME; exit 3", LANG="ja_JP.UTF-8"
    )
    assert (done.returncode, done.stdout) == (1, "値\n")
    assert "失敗" in done.stderr


def test_a_script_is_submitted_waited_for_and_told_about(kyoyo: Kyoyo, tmp_path: Path) -> None:
    script = tmp_path / "job.sh"
    script.write_text(
        "#!/bin/sh\n#SBATCH --job-name=greeting --time=2:00 -o %x.out\n"
        "echo hello from $1\necho oops >&2\necho '{\"answer\": 42}' > result.json\n"
    )
    assert "¥" in kyoyo("estimate", "job.sh").stdout
    record = told(kyoyo("submit", "job.sh", "kyoyo", "--wait", "--json"))
    assert (record["state"], record["name"], record["exit_code"]) == ("SUCCEEDED", "greeting", 0)
    assert (tmp_path / "greeting.out").read_text() == "hello from kyoyo\noops\n"
    assert kyoyo("logs", record["id"]).stdout == "hello from kyoyo\n"
    assert kyoyo("logs", "--stderr", record["id"]).stdout == "oops\n"
    assert told(kyoyo("result", record["id"])) == {"answer": 42}
    assert "greeting" in kyoyo("job", record["id"]).stdout
    assert record["id"] in kyoyo("queue", "--all").stdout


def test_an_array_runs_after_what_it_depends_on_and_is_called_by_its_number(kyoyo: Kyoyo, tmp_path: Path) -> None:
    (tmp_path / "job.sh").write_text(
        "#!/bin/sh\n#SBATCH -t 2 -p gpu-demo --gres=gpu:1\necho task $SLURM_ARRAY_TASK_ID\n"
    )
    first = kyoyo("submit", "job.sh", "--parsable").stdout.strip()
    assert first.isdecimal()
    done = kyoyo(
        "submit", "job.sh", "-a", "1-2%1", "-d", f"afterok:{first}", "-W", "-o", "%A_%a.out", "--max-cost", "999"
    )
    assert done.returncode == 0, done.stderr
    array = done.stdout.split()[-1]
    assert done.stdout == f"Submitted batch job {array}\n"
    assert {path.name: path.read_text() for path in tmp_path.glob("*_*.out")} == {
        f"{array}_1.out": "task 1\n",
        f"{array}_2.out": "task 2\n",
    }
    assert kyoyo("logs", f"{array}_2").stdout == "task 2\n"
    assert kyoyo("logs", "--save", array).returncode == 0
    assert (tmp_path / f"slurm-{array}_1.out").read_text() == "task 1\n"
    listed = told(kyoyo("jobs", "--array", array, "--json"))["items"]
    assert [each["state"] for each in listed] == ["SUCCEEDED", "SUCCEEDED"]
    assert f"afterok:{first}" in kyoyo("job", f"{array}_1").stdout
    assert "dependency-not-found" in kyoyo("submit", "job.sh", "-d", "afterok:99999").stderr


def test_a_running_job_is_followed_and_cancelled(kyoyo: Kyoyo, house: House) -> None:
    job_id = kyoyo(
        "run", "-G", "1", "-t", "10", "-d", "--name", "endless", "--json", "--", "sh", "-c", "echo up; sleep 600"
    )
    record = told(job_id)
    with house.client(house.keys.startup, "en") as client:
        job = client.job(record["id"])
        assert next(job.logs(follow=True)) == "up\n"
        assert [each["name"] for each in told(kyoyo("queue", "--json"))["items"]] == ["endless"]
        assert kyoyo("cancel", record["id"]).returncode == 0
        settled = job.wait_settled(timeout_s=150)
    assert settled.state == "CANCELLED"
    assert settled.charge_yen is not None
    assert settled.quote_yen is not None
    assert 0 < settled.charge_yen < settled.quote_yen


def test_a_circuit_is_measured_and_drawn(kyoyo: Kyoyo) -> None:
    assert "qpu-demo" in kyoyo("qpu", "ls").stdout
    record = told(kyoyo("qpu", "submit", str(EXAMPLES / "ghz.qasm"), "--shots", "500", "--wait", "--json"))
    done = kyoyo("qpu", "result", record["id"])
    assert "500 shots" in done.stdout
    assert "█" in done.stdout
    assert set(told(kyoyo("qpu", "result", record["id"], "--json"))["counts"]) == {"000", "111"}


def test_money_is_told(kyoyo: Kyoyo) -> None:
    assert float(told(kyoyo("balance", "--json"))["available_yen"]) > 0
    for document in ("usage", "statement", "invoice"):
        done = kyoyo(document)
        assert done.returncode == 0, done.stderr
        assert "¥" in done.stdout


def test_every_no_has_its_exit_code(kyoyo: Kyoyo, house: House, tmp_path: Path) -> None:
    too_dear = ("run", "-G", "4", "-t", "1-0", "--", "true")
    refused = kyoyo(*too_dear, LANG="ja_JP.UTF-8")
    assert refused.returncode == 4
    assert "insufficient-funds" in refused.stderr
    assert "対処方法" in refused.stderr
    assert json.loads(kyoyo(*too_dear[:-2], "--json", "--", "true").stdout)["error"]["code"] == "insufficient-funds"
    assert kyoyo("run", "-G", "1", "-t", "1", "--max-cost", "1", "--", "true").returncode == 4
    assert kyoyo("job", UNKNOWN_JOB).returncode == 5
    assert kyoyo("balance", KYOYO_TOKEN="kyo_" + "x" * 43).returncode == 3
    assert Kyoyo(house.address, house.keys.startup, tmp_path)("kpi").returncode == 3
    assert kyoyo("submit", "nowhere.sh").returncode == 2
    assert kyoyo("balance", KYOYO_URL="http://127.0.0.1:1").returncode == 7


def test_the_same_key_is_the_same_job_and_never_another(house: House) -> None:
    with house.client(house.keys.startup, "en") as client:
        ask = {"time": "1:00", "gpus": 1, "offering": "gpu-demo", "key": "nightly-2026-11-21"}
        first = client.submit(command=["true"], **ask)
        assert client.submit(command=["true"], **ask).id == first.id
        with pytest.raises(Conflict) as reused:
            client.submit(command=["false"], **ask)
        first.wait(timeout_s=150)
    assert reused.value.code == "idempotency-key-reused"
    assert reused.value.exit_code == 6


def test_a_name_cannot_steer_the_terminal(house: House) -> None:
    with house.client(house.keys.startup, "en") as client, pytest.raises(Refused):
        client.submit(command=["true"], time="1:00", gpus=1, offering="gpu-demo", name="\x1b[2Jevil")


def test_the_officer_sees_figures_and_no_jobs(house: House, tmp_path: Path) -> None:
    officer = Kyoyo(house.address, house.keys.officer, tmp_path)
    assert told(officer("kpi", "--json"))["items"]
    assert officer("queue").returncode == 3


def test_a_wait_survives_a_restart_of_the_portal(house: House) -> None:
    with Client(house.address, house.keys.startup, environment={}) as client:
        job = client.submit(command=["sh", "-c", "sleep 4; echo done"], time="1:00", gpus=1, offering="gpu-demo")
        job.wait_started(timeout_s=150)
        house.restart("portal")
        assert "".join(job.logs(follow=True)) == "done\n"
        assert job.wait(timeout_s=150).succeeded
