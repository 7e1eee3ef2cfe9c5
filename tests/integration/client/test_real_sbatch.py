"""Our reading of sbatch's options against the real sbatch, and one script of everyday commands before both."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from infra.slurm.cluster import Cluster
from kyoyo.errors import UsageError
from kyoyo.script import Directives, directives_of, layout_of
from kyoyo.script.amounts import Per
from kyoyo.script.options import read_options
from kyoyo.script.times import begin_of

EVERYDAY = Path(__file__).parents[2] / "e2e" / "everyday.sh"
SAME = [
    "-t 30",
    "-t 10:00",
    "-t 4:00:00",
    "-t 1-12",
    "-t 1-12:30",
    "-t 2-00:00:30",
    "--gres=gpu:2",
    "--gres=gpu",
    "--gres=gpu:h200:3",
    "--gres=gres/gpu:2",
    "-G 2",
    "-G h200:2",
    "-N 2 --gpus-per-node=4",
    "-N 2 -G 8",
    "-n 4 --gpus-per-task=1 -N 1",
    "-n 8 -N 2 -c 2",
    "-n 8 --ntasks-per-node=4 -N 2",
    "--mem=2000",
    "--mem=2G",
    "--mem=2g",
    "--mem=1500M",
    "--mem=2048K",
    "-N 2 --mem=1G",
    "-n 2 -N 1 --mem-per-cpu=100",
    "-G 2 --mem-per-gpu=1G",
    "-G 2 --cpus-per-gpu=3",
    "-a 1-3",
    "-a 0,6,16-18",
    "-a 0-15:4%2",
    "-a 3,1,2,1",
    "--signal=USR1@120",
    "--signal=B:10@30",
    "--signal=SIGTERM",
    "-J 'two words'",
]
REFUSED = [
    "-t abc",
    "-t 1:2:3:4",
    "--mem=abc",
    "--mem=1X",
    "--gres=foo:1",
    "-N x",
    "-n x",
    "-c 0",
    "-a x",
    "-a 3-1",
    "-a 1-5:0",
    "--signal=FOO",
    "--signal=USR1@70000",
    "-d foo:1",
    "-b foo",
    "--foo",
    "--ti=5",
    "-G foo:x",
]
BEGINS = ["2030-01-02", "2030-01-02T09:00", "2030-01-02T09:00:07", "01/02/30", "010230"]


def submitted(cluster: Cluster, options: str) -> Mapping[str, object] | None:
    """What the real sbatch made of these options; the job never starts. None: it refused."""
    held = f"cd /tmp && sbatch --parsable -H {options} -o /dev/null --wrap true"
    done = cluster.exec("/bin/bash", "-c", held, user="alice")
    if done.returncode != 0:
        return None
    number = done.stdout.strip()
    shown = cluster.exec("scontrol", "show", "job", number, "--json", check=True)
    cluster.exec("scancel", number, check=True)
    found = json.loads(shown.stdout)["jobs"][0]
    assert isinstance(found, dict)
    return found


def ours(options: str) -> Directives:
    given, rest = read_options(shlex.split(options))
    assert rest == []
    return directives_of(given)


def number(told: object) -> int | None:
    """A figure of Slurm's JSON, which is an object where it may be missing."""
    if isinstance(told, dict):
        return int(told["number"]) if told.get("set") and not told.get("infinite") else None
    return int(str(told))


def amounts(job: Mapping[str, object]) -> dict[str, str]:
    """Resources that were asked for, by their name."""
    return dict(part.split("=", 1) for part in str(job["tres_req_str"]).split(",") if "=" in part)


@pytest.mark.parametrize("options", SAME)
def test_an_option_means_what_it_means_to_sbatch(slurm_2411: Cluster, options: str) -> None:
    job = submitted(slurm_2411, options)
    asked = ours(options)
    assert job is not None, options
    told, layout = amounts(job), layout_of(asked)
    if asked.walltime_s is not None:
        assert number(job["time_limit"]) == -(-asked.walltime_s // 60)  # Slurm counts minutes
    if asked.gpus or asked.gpus_per_node or asked.gpus_per_task:
        assert int(told["gres/gpu"]) == layout.gpus
    if layout.cpus is not None and asked.cpus_per_gpu is None:
        assert int(told["cpu"]) == layout.cpus
    if asked.memory is not None:
        per_cpu = asked.memory.per is Per.CPU
        own = number(job["memory_per_cpu" if per_cpu else "memory_per_node"])
        gpu = str(job["memory_per_tres"]).rpartition(":")[2].rpartition("=")[2]
        assert asked.memory.mb == (int(gpu) if asked.memory.per is Per.GPU else own)
    assert (asked.nodes or 1) == number(job["node_count"])
    if asked.array is not None:
        assert _expanded(str(job["array_task_string"])) == list(asked.array.indices)
        assert (number(job["array_max_tasks"]) or None) == asked.array.max_running
    if asked.name is not None:
        assert job["name"] == asked.name


@pytest.mark.parametrize("options", REFUSED)
def test_what_sbatch_refuses_we_refuse(slurm_2411: Cluster, options: str) -> None:
    assert submitted(slurm_2411, options) is None
    with pytest.raises(UsageError):
        ours(options)


@pytest.mark.parametrize("text", BEGINS)
def test_a_date_is_the_same_instant(slurm_2411: Cluster, text: str) -> None:
    job = submitted(slurm_2411, f"-b {text}")
    assert job is not None
    zone = ZoneInfo("Etc/UTC")
    assert number(job["eligible_time"]) == int(begin_of(text).at(datetime.now(zone), zone).timestamp())  # noqa: TID251  real


@pytest.mark.timeout(300)
def test_everyday_commands_work_before_the_real_slurm(slurm: Cluster) -> None:
    folder = slurm.shared / "everyday"
    slurm.exec("/bin/sh", "-c", f"mkdir -p {folder} && chown alice {folder}", check=True)
    (slurm.shared / "everyday.sh").write_text(EVERYDAY.read_text())
    (slurm.shared / "everyday.sh").chmod(0o755)
    done = slurm.exec(
        "/bin/bash",
        "-c",
        f"cd {folder} && SITE_HIDES_NODES=1 exec /bin/bash {slurm.shared}/everyday.sh",
        user="alice",
        timeout_s=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "all is well"


def _expanded(text: str) -> list[int]:
    found: list[int] = []
    for part in text.partition("%")[0].split(","):
        first, _, last = part.partition("-")
        last, _, step = last.partition(":")
        found += range(int(first), int(last or first) + 1, int(step or 1))
    return found
