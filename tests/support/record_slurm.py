"""Records what real Slurm servers answer, as golden fixtures; how to run it stands in the README beside them.

One cluster of each release plays one story: jobs that wait, run, end in every way, and nodes that leave. Then each
version of the API that the server offers is asked the same questions.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2

from hpc_adapters.slurm.tokens import sign
from hpc_adapters.slurm.versions import offered
from infra.clock import utc_now
from infra.slurm import cluster as slurm
from infra.slurm.cluster import Cluster

FIXTURES = Path(__file__).parents[1] / "fixtures" / "slurm"
_PATIENCE_S = 150
"""Slurm's smallest time limit is a minute, and its time-out takes half a minute on top."""
_PATTERN = re.compile(r"0x[0-9a-f]+|\[localhost\]:\d+\(fd:\d+\)|127\.0\.0\.1:\d+\(fd:\d+\)|(?<=Linux )\d[^\"]*")
_SITE = {
    "nodes": 6,
    "options": {"JobAcctGatherFrequency": "1", "JobAcctGatherParams": "OverMemoryKill", "JobRequeue": "1"},
}


@dataclass
class Story:
    """A cluster with jobs by their names."""

    cluster: Cluster
    http: httpx2.Client
    ids: dict[str, int] = field(default_factory=dict)

    def ask(
        self,
        method: str,
        path: str,
        *,
        user: str | None = "kyoyo",
        body: Any = None,
        key: bytes | None = None,
        age_s: int = 0,
    ) -> tuple[int, Any]:
        """The status, and the body as JSON or text. Without a user: without a token."""
        headers = {}
        if user is not None:
            issued = utc_now() - timedelta(seconds=age_s)
            token = sign(key or self.cluster.jwt_key, user=user, issued_at=issued, lifetime=timedelta(seconds=120))
            headers["X-SLURM-USER-TOKEN"] = token
        answer = self.http.request(method, path, headers=headers, json=body)
        try:
            return answer.status_code, answer.json()
        except ValueError:
            return answer.status_code, answer.text

    def submit(self, name: str, script: str, *, user: str = "alice", **more: Any) -> None:
        """A job of one GPU for five minutes, unless told otherwise."""
        status, answer = self.ask("POST", "slurm/v0.0.42/job/submit", user=user, body=job(name, script, **more))
        if status != 200 or answer["errors"]:
            raise RuntimeError(f"{name}: {status} {answer}")
        self.ids[name] = answer["job_id"]

    def run(self, *command: str, user: str = "root") -> None:
        self.cluster.exec(*command, user=user, check=True)

    def states(self) -> Mapping[str, str]:
        listed = self.cluster.exec("squeue", "-h", "-t", "all", "-o", "%i %T", check=True).stdout
        by_id = dict(line.split() for line in listed.splitlines() if line.count(" ") == 1)
        return {name: by_id.get(str(job_id), "") for name, job_id in self.ids.items()}

    def wait(self, *names: str, until: str) -> None:
        """Until each of them is in the state."""
        wait_until(lambda: all(self.states()[name] == until for name in names), f"{names} {until}, {self.states()}")


def wait_until(is_so: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + _PATIENCE_S
    while not is_so():
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.2)


def job(name: str, script: str, **more: Any) -> dict[str, Any]:
    """The body of a submission, for v0.0.42 and later."""
    description: dict[str, Any] = {
        "name": name,
        "comment": name,
        "account": "lab-a",
        "partition": "main",
        "current_working_directory": "/tmp",
        "standard_output": f"/tmp/{name}.out",
        "environment": ["PATH=/bin:/usr/bin"],
        "tasks": 1,
        "requeue": False,
        "time_limit": {"set": True, "number": 5},
        "memory_per_node": {"set": True, "number": 100},
        "tres_per_node": "gres/gpu:h200:1",
        **more,
    }
    return {"script": f"#!/bin/bash\n{script}\n", "job": description}


def tell(story: Story) -> None:
    """The jobs. What takes longest begins first."""
    whole = {"tres_per_node": "gres/gpu:h200:8", "cpus_per_task": 2}
    story.submit("timeout", "sleep 600", time_limit={"set": True, "number": 1})
    story.submit("node-fail", "sleep 600", required_nodes=["gpu5"], **whole)
    story.submit("preempted", "sleep 600", required_nodes=["gpu4"], **whole)
    story.submit("done", "sleep 2; exit 0", tasks=2)
    story.submit("failed", "exit 3")
    story.submit("signalled", "kill -KILL $$")
    story.submit("oom", 'x=$(head -c 600M /dev/zero | tr "\\0" x); sleep 30; echo ${#x}')
    story.submit("requeued", "sleep 3", requeue=True, required_nodes=["gpu0"])
    story.submit("by-owner", "sleep 600")
    story.submit("by-root", "sleep 600")
    story.submit("resumed", "sleep 8")
    story.submit("suspended", "sleep 600")
    story.submit("running", "sleep 600", tres_per_node="gres/gpu:h200:2")
    story.submit("held", "true", hold=True)
    story.submit("held-cancelled", "true", hold=True)
    story.submit("later", "true", begin_time={"set": True, "number": int(utc_now().timestamp()) + 86_400})
    story.submit("array", "sleep 1", array="0-2%2")
    story.submit("too-big-now", "true", minimum_nodes=4, tasks=4, **whole)
    story.run("sbatch", "-A", "lab-b", "-J", "outside", "-D", "/tmp", "-G1", "--wrap", "sleep 1", user="carol")
    story.run("sbatch", "-A", "lab-b", "-D", "/tmp", "-n1", "--wrap", "sleep 1", ":", "-n1", "-G1", user="carol")
    story.wait("timeout", "node-fail", "preempted", "by-owner", "by-root", "suspended", "running", until="RUNNING")
    story.submit("dependency-never", "true", dependency=f"afterok:{story.ids['failed']}")
    _disturb(story)


def _disturb(story: Story) -> None:
    ids = {name: str(job_id) for name, job_id in story.ids.items()}
    story.run("scontrol", "suspend", ids["suspended"])
    story.run("scontrol", "suspend", ids["resumed"])
    story.run("scancel", ids["by-owner"], user="alice")
    story.run("scancel", ids["held-cancelled"], user="alice")
    story.run("scancel", ids["by-root"])
    story.run("scontrol", "requeue", ids["requeued"])
    story.submit("preemptor", "sleep 600", qos="high", required_nodes=["gpu4"], tres_per_node="gres/gpu:h200:8")
    story.run("scontrol", "update", "nodename=gpu5", "state=drain", "reason=test")
    story.cluster.kill("slurmd", node="gpu5")
    story.run("scontrol", "update", "nodename=gpu5", "state=down", "reason=test")
    time.sleep(3)
    story.run("scontrol", "resume", ids["resumed"])
    story.run("scontrol", "update", "nodename=gpu3", "state=drain", "reason=test")
    story.ask(
        "POST", "slurm/v0.0.42/job/submit", user="alice", body=job("impossible", "true", tres_per_node="gres/gpu:9")
    )
    reservation = ["reservation=spare", "starttime=now", "duration=60", "nodes=gpu2", "users=bob", "flags=ignore_jobs"]
    story.run("scontrol", "create", *reservation)
    story.wait("done", "resumed", "requeued", until="COMPLETED")
    story.wait("timeout", until="TIMEOUT")
    story.wait("preempted", until="PREEMPTED")


def questions(story: Story, version: str) -> Mapping[str, tuple[Any, ...]]:
    """By the name of the fixture: method, path, and what else `ask` takes."""
    ids, slurm_path, db = story.ids, f"slurm/{version}", f"slurmdb/{version}"
    now = int(utc_now().timestamp())
    window = f"start_time=uts{now - 3600}&end_time=uts{now}&show_duplicates=true&disable_truncate_usage_time=true"
    old_key = bytes(32)
    return {
        "live_jobs": ("GET", f"{slurm_path}/jobs/", {}),
        "live_jobs_unchanged": ("GET", f"{slurm_path}/jobs/?update_time=uts{now + 60}", {}),
        "live_job": ("GET", f"{slurm_path}/job/{ids['running']}", {}),
        "live_job_unknown": ("GET", f"{slurm_path}/job/66000000", {}),
        "db_jobs": ("GET", f"{db}/jobs/?{window}", {}),
        "db_job_requeued": ("GET", f"{db}/jobs/?step={ids['requeued']}&show_duplicates=true", {}),
        "db_job_unknown": ("GET", f"{db}/jobs/?step=66000000&show_duplicates=true", {}),
        "nodes": ("GET", f"{slurm_path}/nodes/", {}),
        "partitions": ("GET", f"{slurm_path}/partitions/", {}),
        "diag": ("GET", f"{slurm_path}/diag/", {}),
        "clusters": ("GET", f"{db}/clusters/", {}),
        "accounts": ("GET", f"{db}/accounts/", {}),
        "users": ("GET", f"{db}/users/?with_assocs=true", {}),
        "associations": ("GET", f"{db}/associations/", {}),
        "qos": ("GET", f"{db}/qos/", {}),
        "delete_association_unknown": ("DELETE", f"{db}/associations/?account=lab-a&user=nobody1&cluster=kyoyo", {}),
        "delete_qos_unknown": ("DELETE", f"{db}/qos/nosuch", {}),
        "put_account_refused": (
            "POST",
            f"{db}/accounts/",
            {"user": "alice", "body": {"accounts": [{"name": "x", "description": "x", "organization": "x"}]}},
        ),
        "cancel_refused": ("DELETE", f"{slurm_path}/job/{ids['running']}", {"user": "bob"}),
        "cancel_other_user": _cancel(slurm_path, ids["running"], {"user_name": "bob"}, user="bob"),
        "cancel_other_name": _cancel(slurm_path, ids["running"], {"job_name": "other", "user_name": "alice"}),
        "cancel_ended": _cancel(slurm_path, ids["done"], {"job_name": "done", "user_name": "alice"}),
        "cancel_unknown": _cancel(slurm_path, 66_000_000, {"user_name": "alice"}),
        "future_token": ("GET", f"{slurm_path}/partitions/", {"age_s": -600}),
        "no_token": ("GET", f"{slurm_path}/jobs/", {"user": None}),
        "bad_token": ("GET", f"{slurm_path}/jobs/", {"key": old_key}),
        "old_token": ("GET", f"{slurm_path}/jobs/", {"age_s": 600}),
        "bad_token_slurmdb": ("GET", f"{db}/jobs/?{window}", {"key": old_key}),
        "version_unknown": ("GET", "slurm/v0.0.12/jobs/", {}),
        "bad_query": ("GET", f"{db}/jobs/?step=a%2Cb", {}),
    }


def submissions(version: str) -> Mapping[str, tuple[Any, ...]]:
    """Most of them refused."""
    return {
        f"submit_{name}": ("POST", f"slurm/{version}/job/submit", {"user": "alice", "body": body})
        for name, body in _submissions().items()
    }


def _cancel(path: str, job_id: int, wish: Mapping[str, Any], *, user: str = "alice") -> tuple[Any, ...]:
    return "DELETE", f"{path}/jobs/", {"user": user, "body": {"jobs": [str(job_id)], **wish}}


def _submissions() -> Mapping[str, Any]:
    bodies = {
        "accepted": {"hold": True},
        "unknown_partition": {"partition": "nosuch"},
        "unknown_account": {"account": "nosuch"},
        "foreign_account": {"account": "lab-b"},
        "unknown_qos": {"qos": "nosuch"},
        "unknown_constraint": {"constraints": "nosuch"},
        "unknown_gpu_type": {"tres_per_node": "gres/gpu:b300:1"},
        "unknown_reservation": {"reservation": "nosuch"},
        "unknown_license": {"licenses": "nosuch:1"},
        "too_many_gpus": {"tres_per_node": "gres/gpu:h200:99"},
        "too_many_nodes": {"minimum_nodes": 99},
        "too_much_memory": {"memory_per_node": {"set": True, "number": 9_000_000}},
        "unknown_field": {"hold": True, "no_such_field": 1},
        "bad_type": {"tasks": {"a": 1}},
    }
    return {name: job("submitted", "true", **more) for name, more in bodies.items()}


def outages(story: Story, version: str) -> Mapping[str, tuple[Any, ...]]:
    """Asked while slurmctld and slurmdbd are gone."""
    submit = {"user": "alice", "body": job("submitted", "true")}
    return {
        "down_live_jobs": ("GET", f"slurm/{version}/jobs/", {}),
        "down_submit": ("POST", f"slurm/{version}/job/submit", submit),
        "down_cancel": _cancel(f"slurm/{version}", story.ids["running"], {"user_name": "alice"}),
        "down_db_jobs": ("GET", f"slurmdb/{version}/jobs/?step=1", {}),
        "down_diag": ("GET", f"slurm/{version}/diag/", {}),
    }


def record(story: Story, folder: Path, asked: Mapping[str, tuple[Any, ...]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, (method, path, how) in asked.items():
        status, body = story.ask(method, path, **how)
        told = {
            "request": {"method": method, "path": path, "user": how.get("user", "kyoyo"), "body": how.get("body")},
            "status": status,
            "body": body,
        }
        (folder / f"{name}.json").write_text(scrubbed(told, story.cluster), encoding="utf-8")


def scrubbed(value: Any, cluster: Cluster) -> str:
    """As text, one record a line, without the folder of this run, addresses in memory and ports of connections."""
    text = (
        _lines(value)
        .replace(str(cluster.folder).replace("/", "\\/"), "/cluster")
        .replace(str(cluster.folder), "/cluster")
    )
    return _PATTERN.sub("somewhere", text) + "\n"


def _lines(value: Any) -> str:
    body = value.get("body")
    if not isinstance(body, dict):
        return _compact(value)
    parts = [f"{_compact(name)}: {_element(part)}" for name, part in body.items()]
    head = _compact({"request": value["request"], "status": value["status"]})[:-1]
    return f'{head},\n"body": {{\n' + ",\n".join(parts) + "\n}}"


def _element(part: Any) -> str:
    if not isinstance(part, list) or not part:
        return _compact(part)
    return "[\n" + ",\n".join(map(_compact, part)) + "\n]"


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def described(story: Story) -> tuple[list[str], Any]:
    """The versions that the server offers, and its own description without what we do not read."""
    status, document = story.ask("GET", "openapi/v3")
    assert status == 200
    return sorted(offered(document)), {
        "info": document["info"],
        "paths": {path: {} for path in document["paths"]},
        "enums": enums(document),
    }


def enums(document: Any) -> Mapping[str, list[str]]:
    """Every list of words in the schemas that holds a state of a job or a node, by the name of the schema."""
    found: dict[str, list[str]] = {}

    def look(name: str, value: Any) -> None:
        if isinstance(value, dict):
            words = value.get("enum")
            if isinstance(words, list) and {"PENDING", "IDLE", "UP"} & set(words):
                found[name] = words
            for key, part in value.items():
                look(f"{name}.{key}" if name else key, part)

    look("", document["components"]["schemas"])
    return found


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("releases", nargs="*", default=list(slurm.RELEASES))
    for release in arguments.parse_args().releases:
        with tempfile.TemporaryDirectory(prefix="record-") as folder:
            _record_release(release, Path(folder) / "c")


def _record_release(release: str, folder: Path) -> None:
    target = FIXTURES / release
    with slurm.start(folder, release, **_SITE) as cluster:
        transport = httpx2.HTTPTransport(uds=cluster.url.removeprefix("unix:"))
        with httpx2.Client(base_url="http://slurmrestd/", transport=transport, timeout=60) as http:
            story = Story(cluster, http)
            tell(story)
            versions, description = described(story)
            shutil.rmtree(target, ignore_errors=True)
            for version in versions:
                record(story, target / version, questions(story, version))
            for version in versions:
                record(story, target / version, submissions(version))
            (target / "description.json").write_text(json.dumps(description, indent=0) + "\n", encoding="utf-8")
            cluster.kill("slurmctld")
            cluster.kill("slurmdbd")
            for version in versions:
                record(story, target / version, outages(story, version))


if __name__ == "__main__":
    main()
