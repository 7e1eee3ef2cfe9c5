"""The test cluster itself: that it is what it says, that it can be hurt, and that nothing of it is ever left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from infra.slurm import cluster as clusters
from infra.slurm.cluster import Cluster, InUse, RootMissing
from infra.slurm.daemons import Daemon
from infra.slurm.namespace import ClusterFailed
from infra.slurm.operator import Held, tend
from infra.slurm.site import DEFAULT_PORT
from tests.support.repository import ROOT
from tests.support.slurm import RELEASES, StartCluster, start

pytestmark = [pytest.mark.slurm, pytest.mark.root, pytest.mark.takes(12)]
PATIENCE_S = 90.0
BY_HAND_PORT = 27_400


def until(is_so: Callable[[], object], what: str) -> None:
    began = time.monotonic()
    while not is_so():
        assert time.monotonic() - began < PATIENCE_S, f"never: {what}"
        time.sleep(0.1)


def submit(cluster: Cluster, script: str, *options: str, user: str = "alice") -> int:
    done = cluster.exec("sbatch", "--parsable", *options, f"--wrap={script}", user=user, check=True)
    return int(done.stdout)


def state(cluster: Cluster, job: int) -> str:
    return cluster.exec("squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%T").stdout.strip()


def until_state(cluster: Cluster, job: int, *wanted: str) -> None:
    until(lambda: state(cluster, job) in wanted, f"job {job} {wanted}, but {state(cluster, job)}")


def until_saved(cluster: Cluster) -> None:
    """Slurm answers first and saves up to five seconds later: what it has not saved, it forgets when it is killed."""
    now, saved = cluster.folder / "now", cluster.folder / "state" / "ctld" / "job_state"
    now.touch()
    submit(cluster, "true")  # something to save
    until(lambda: saved.exists() and saved.stat().st_mtime > now.stat().st_mtime, "slurmctld saves its state")


def text_of(cluster: Cluster, user: str, name: str) -> str:
    path = cluster.folder / "home" / user / name
    return path.read_text(encoding="utf-8") if path.exists() else ""


# What it is


def test_it_is_the_release_that_was_asked_for(slurm: Cluster) -> None:
    assert slurm.exec("slurmctld", "-V", check=True).stdout.split()[1] == slurm.version
    if slurm.release == "24.11":  # that of a stable Debian; sid's moves on
        assert slurm.version.startswith("24.11.")


def test_jobs_run_as_their_user_with_gpus_and_leave_an_exact_record(slurm: Cluster) -> None:
    done = slurm.exec("srun", "-J", "exact", "--gres=gpu:2", "sh", "-c", "id -u; hostname", user="bob", check=True)
    assert done.stdout.split() == ["2002", "kyoyo-slurm"]

    def rows() -> list[object]:
        return [row for row in slurm.sacct() if row.name == "exact" and row.ended_at]

    until(rows, "the record has an end")
    [row] = [row for row in slurm.sacct() if row.name == "exact"]
    assert (row.user, row.account, row.qos, row.state) == ("bob", "lab-a", "normal", ("COMPLETED",))
    assert row.tres["gres/gpu:h200"] == 2
    assert row.started_at is not None
    assert row.ended_at is not None
    assert (row.ended_at - row.started_at).total_seconds() == row.elapsed_s


def test_a_job_spans_nodes(slurm: Cluster) -> None:
    done = slurm.exec(
        "srun", "--nodes=2", "--gres=gpu:8", "sh", "-c", "echo $SLURMD_NODENAME", user="carol", check=True
    )
    assert len(set(done.stdout.split())) == 2
    resolved = slurm.exec("getent", "hosts", *done.stdout.split(), check=True).stdout
    assert resolved.count("127.0.1.") == 2


def test_the_site_has_features_licences_and_a_service_user_that_is_an_operator(slurm: Cluster) -> None:
    nodes = slurm.exec("sinfo", "--noheader", "--Node", "--format=%N %f", user="kyoyo", check=True).stdout
    assert [line.split()[1] for line in nodes.splitlines()] == ["nvlink", "nvlink", "(null)", "(null)"]
    assert "solver" in slurm.exec("scontrol", "show", "licenses", user="kyoyo", check=True).stdout
    users = slurm.exec("sacctmgr", "-nP", "list", "user", "format=user,adminlevel", check=True).stdout
    assert "kyoyo|Operator" in users


def test_users_do_not_see_each_other_and_the_service_user_sees_all(slurm: Cluster) -> None:
    job = submit(slurm, "sleep 60", "-J", "secret-plan")
    seen = {
        user: slurm.exec("squeue", "--noheader", "--format=%j", user=user, check=True).stdout
        for user in ("alice", "bob", "kyoyo")
    }
    assert {user for user, names in seen.items() if "secret-plan" in names} == {"alice", "kyoyo"}
    slurm.exec("scancel", str(job), check=True)


def test_a_more_urgent_job_ends_another_after_telling_it_so(own_cluster: StartCluster, release: str) -> None:
    cluster = own_cluster(release, nodes=1, gpus=1)
    cluster.exec("sacctmgr", "-i", "add", "qos", "ky-lab", check=True)
    cluster.let_preempt("ky-lab")
    told = cluster.exec("sacctmgr", "-nP", "list", "qos", "high", "format=preempt", check=True).stdout
    assert set(told.strip().split(",")) == {"normal", "ky-lab"}
    script = "trap 'echo told' USR1; echo on; for i in $(seq 600); do sleep 0.1; done"
    lesser = submit(cluster, script, "--gres=gpu:1", "--signal=B:USR1@30", "--output=lesser.out", "--time=5")
    until_state(cluster, lesser, "RUNNING")
    until(lambda: "on" in text_of(cluster, "alice", "lesser.out"), "the job runs")
    urgent = submit(cluster, "sleep 0.5", "--gres=gpu:1", "--qos=high", user="carol")
    until_state(cluster, urgent, "COMPLETED")
    assert state(cluster, lesser) == "PREEMPTED"
    assert "told" in text_of(cluster, "alice", "lesser.out")
    [row] = [row for row in cluster.sacct() if row.job_id == lesser]
    assert (row.state, row.restarts) == (("PREEMPTED",), 0)


def test_software_of_this_machine_is_seen_read_only_and_what_is_private_stays_so(slurm: Cluster) -> None:
    program = "import sys, ssl, sqlite3, ctypes, pydantic; print(sys.prefix)"
    done = slurm.exec(sys.executable, "-c", program, user="alice", check=True)
    assert done.stdout.strip() == sys.prefix
    assert slurm.exec("touch", f"{sys.prefix}/x", check=False).returncode != 0
    for path in (slurm.jwt_key_file, slurm.folder / "etc" / "munge.key", Path("/root")):
        inside = str(path).replace(str(slurm.folder / "etc"), "/etc/slurm")
        assert slurm.exec("ls", inside, user="alice").returncode != 0 or path.is_file()
        assert slurm.exec("cat", inside, user="alice").returncode != 0
    assert slurm.exec("ls", str(ROOT / "portal"), user="root").returncode != 0


def test_the_shared_folder_is_the_same_inside_and_outside(slurm: Cluster) -> None:
    folder = slurm.shared / "of-alice"
    folder.mkdir(exist_ok=True)
    os.chown(folder, slurm.uids["alice"], slurm.uids["alice"])
    slurm.exec("sh", "-c", f"id -un >{folder}/who", user="alice", check=True)
    assert (folder / "who").read_text() == "alice\n"
    assert (folder / "who").stat().st_uid == slurm.uids["alice"]


# Hurting it


def test_every_daemon_can_be_killed_and_started_again_while_a_job_goes_on(
    own_cluster: StartCluster, release: str
) -> None:
    cluster = own_cluster(release, nodes=2)
    job = submit(cluster, "until test -e enough; do sleep 0.1; done; echo survived", "--output=out")
    until_state(cluster, job, "RUNNING")
    until_saved(cluster)
    for daemon in Daemon:
        cluster.kill(daemon)
        assert not cluster.runs(daemon)
        cluster.start_daemon(daemon)
        assert state(cluster, job) == "RUNNING", daemon
    cluster.kill("slurmd", node="gpu1")
    assert cluster.runs("slurmd", node="gpu0")
    assert not cluster.runs("slurmd", node="gpu1")
    (cluster.folder / "home" / "alice" / "enough").touch()
    until_state(cluster, job, "COMPLETED")
    assert text_of(cluster, "alice", "out") == "survived\n"


def test_a_paused_daemon_answers_nothing_until_it_goes_on(own_cluster: StartCluster) -> None:
    cluster = own_cluster("26.05", nodes=1)
    cluster.pause("slurmctld")
    assert cluster.exec("squeue", timeout_s=1).returncode == 124
    assert tend(cluster) == [], "no answer is nothing to do"
    cluster.resume("slurmctld")
    assert cluster.exec("squeue").returncode == 0


def test_job_numbers_can_be_set_and_come_round(own_cluster: StartCluster) -> None:
    cluster = own_cluster("26.05", nodes=1, first_job_id=1000, max_job_id=1003, min_job_age_s=2)
    assert [submit(cluster, "true") for _ in range(3)] == [1000, 1001, 1002]
    until(lambda: not state(cluster, 1000), "the first is purged")
    assert submit(cluster, "true") == 1000
    cluster.set_option("MaxJobId", "5000")
    cluster.set_option("FirstJobId", "2000")
    cluster.kill("slurmctld", number=signal.SIGTERM)
    cluster.start_daemon("slurmctld")
    assert submit(cluster, "true") == 2000


def test_the_operator_brings_back_nodes_and_held_jobs(own_cluster: StartCluster) -> None:
    cluster = own_cluster("24.11", nodes=1)
    cluster.exec("scontrol", "update", "nodename=gpu0", "state=drain", "reason=test", check=True)
    job, unwanted = submit(cluster, "true"), submit(cluster, "true")
    cluster.exec("scontrol", "hold", str(job), check=True)
    cluster.kill("slurmrestd")
    done = tend(cluster, start_missing=True)
    assert "start slurmrestd" in done
    assert f"release {job} (JobHeldAdmin)" in done
    until_state(cluster, job, "COMPLETED")
    until_state(cluster, unwanted, "COMPLETED")
    held = submit(cluster, "true", "--hold")
    until(lambda: tend(cluster, held=Held.CANCEL), "the held job is seen")
    until_state(cluster, held, "CANCELLED")
    assert tend(cluster, start_missing=True) == []


def test_slurmctld_starts_again_while_slurmdbd_is_away(own_cluster: StartCluster, release: str) -> None:
    cluster = own_cluster(release, nodes=1)
    cluster.kill("slurmdbd")
    cluster.kill("slurmctld")
    cluster.start_daemon("slurmctld")
    job = submit(cluster, "true")
    until_state(cluster, job, "COMPLETED")
    cluster.start_daemon("slurmdbd")
    until(lambda: [row for row in cluster.sacct() if row.job_id == job and row.ended_at], "it is accounted for")


# Nothing is left behind


OUR_PORTS = {*range(DEFAULT_PORT, DEFAULT_PORT + 20), *range(BY_HAND_PORT, BY_HAND_PORT + 20)}


def traces(folder: Path) -> dict[str, object]:
    """What a cluster could leave outside its folder."""
    listening = {
        port
        for table in ("/proc/net/tcp", "/proc/net/tcp6")
        for line in Path(table).read_text().splitlines()[1:]
        if line.split()[3] == "0A" and (port := int(line.split()[1].rpartition(":")[2], 16)) in OUR_PORTS
    }
    debian = {
        path: (path.stat().st_mtime_ns, sorted(path.iterdir()))
        for release in RELEASES
        for name in ("", "etc", "etc/slurm", "run", "var/lib", "var/log", "tmp", "root")
        if (path := clusters.roots() / clusters.RELEASES[release] / name).is_dir()
    }
    mounts = [line for line in Path("/proc/self/mounts").read_text().splitlines() if str(folder) in line]
    return {"listening": listening, "debian": debian, "mounts": mounts}


def inside(cluster: Cluster) -> list[int]:
    return [cluster.space.pid, *(pid for pid, _ in cluster.space.processes())]


def are_gone(pids: list[int]) -> bool:
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_two_at_once_and_again_in_the_same_folder_leave_nothing(tmp_path: Path) -> None:
    before = traces(tmp_path)
    for _ in range(2):
        with ThreadPoolExecutor() as pool:
            pair = list(pool.map(lambda release: clusters.start(tmp_path / release, release, nodes=2), RELEASES))
        assert [cluster.folder.exists() for cluster in pair] == [True, True]
        assert traces(tmp_path) == before, "while they run"
        pids = [pid for cluster in pair for pid in inside(cluster)]
        assert len(pids) > 2 * 7
        for cluster in pair:
            cluster.stop()
            cluster.stop()
        assert are_gone(pids)
        assert traces(tmp_path) == before
        assert list(tmp_path.iterdir()) == []


STARTER = """
import sys, time
from pathlib import Path
from infra.slurm import cluster
cluster.start(Path(sys.argv[1]), "24.11", nodes=2)
print("up", flush=True)
time.sleep(600)
"""


def starter(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", STARTER, str(folder)], cwd=ROOT, stdout=subprocess.PIPE)


def test_it_ends_with_a_starter_that_was_killed(tmp_path: Path) -> None:
    before = traces(tmp_path)
    with starter(tmp_path / "c") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        pids = inside(clusters.attach(tmp_path / "c"))
        process.kill()
    until(lambda: are_gone(pids), "the cluster ends")
    assert traces(tmp_path) == before
    with clusters.start(tmp_path / "c", "24.11", nodes=1) as again:  # the folder that it left is taken over
        assert again.exec("scontrol", "ping").returncode == 0


def test_it_ends_with_a_starter_that_was_killed_before_it_was_ready(tmp_path: Path) -> None:
    with starter(tmp_path / "c") as process:
        until((tmp_path / "c" / "state" / "mysql" / "ibdata1").exists, "the database is made")
        pids = inside(clusters.attach(tmp_path / "c"))
        process.kill()
    until(lambda: are_gone(pids), "the cluster ends")


def test_everything_ends_with_the_first_process(own_cluster: StartCluster) -> None:
    cluster = own_cluster("26.05", nodes=2)
    submit(cluster, "setsid sleep 600 & setsid sleep 600", "--gres=gpu:1")
    until(lambda: any("600" in words for _, words in cluster.space.processes()), "the job runs")
    pids = inside(cluster)
    os.kill(cluster.space.pid, signal.SIGKILL)
    until(lambda: are_gone(pids), "the cluster ends")
    with pytest.raises(ClusterFailed, match="has ended"):
        clusters.attach(cluster.folder)


# By hand, and what is refused


def by_hand(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "infra.slurm", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_by_hand_it_goes_on_until_it_is_stopped_on_the_ports_that_were_asked_for(tmp_path: Path) -> None:
    folder = str(tmp_path / "c")
    started = by_hand("start", folder, "--nodes=1", "--users=dave", f"--base-port={BY_HAND_PORT}")
    assert started.returncode == 0, started.stderr
    try:
        _use_and_stop(folder, json.loads(started.stdout))
    finally:
        by_hand("stop", folder)
    assert list(tmp_path.iterdir()) == []
    assert traces(tmp_path)["listening"] == set()


def _use_and_stop(folder: str, facts: dict[str, object]) -> None:
    assert facts["tcp_url"] == f"http://127.0.0.1:{BY_HAND_PORT + 2}"
    assert facts["nodes"] == "1 idle"
    assert traces(Path(folder))["listening"] == {BY_HAND_PORT + offset for offset in (0, 1, 2, 10)}
    assert by_hand("exec", folder, "--user=dave", "--", "id", "-un").stdout == "dave\n"
    assert by_hand("status", folder).returncode == 0
    assert by_hand("start", folder).stderr == f"a cluster runs in {folder}\n"
    assert by_hand("stop", folder).returncode == 0
    assert by_hand("stop", folder).stderr == f"no cluster in {folder}\n"


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(InUse, match="something else"):
        clusters.start(tmp_path)
    assert (tmp_path / "thesis.tex").exists()


def test_a_path_that_could_not_hold_a_socket_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InUse, match="shorter path"):
        clusters.start(tmp_path / ("x" * 80))


def test_without_the_debian_folder_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(RootMissing, match=r"infra/slurm/roots\.sh"):
        clusters.start(tmp_path / "c")
    told = subprocess.run(["infra/slurm/roots.sh", "--check"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert told.returncode == 1
    assert told.stdout.count("not there") == len(RELEASES)


def test_a_cluster_that_cannot_start_says_why_and_runs_no_more() -> None:
    with pytest.raises(ClusterFailed, match="slurmctld ended at its start"):
        start("sick", "24.11", nodes=1, options={"StateSaveLocation": "/nowhere/at/all"})


@pytest.mark.long
def test_a_debian_folder_is_made_from_nothing_and_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also over the rest of a builder that was killed, and by two at once: one makes it, the other finds it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    rest = clusters.roots() / "trixie.part" / "usr"
    rest.mkdir(parents=True)
    command = [str(ROOT / "infra" / "slurm" / "roots.sh"), "trixie"]
    with subprocess.Popen(command) as first, subprocess.Popen(command) as second:
        assert [first.wait(), second.wait()] == [0, 0]
    assert clusters.version_of("24.11")
    with clusters.start(tmp_path / "c", "24.11", nodes=1) as cluster:
        assert cluster.exec("srun", "id", "-un", user="alice", check=True).stdout == "alice\n"
