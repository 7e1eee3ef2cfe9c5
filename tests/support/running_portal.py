"""A fake portal that really runs what is submitted, as processes of this machine, and tells their result."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from tests.support.fake_portal import API, a_job, an_offering, problem

PERSON = "p-1"
Wound = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass
class RunningPortal:
    """Every job runs at once, to its end. `wound` may change a result on its way back."""

    folder: Path
    wound: Wound = lambda told: told
    submitted: list[dict[str, Any]] = field(default_factory=list)
    records: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        request.read()
        path = request.url.path.removeprefix(API)
        if path == "/offerings":
            return httpx2.Response(200, json={"items": [an_offering()]})
        if request.method == "POST" and path == "/jobs":
            return httpx2.Response(201, json=self._submit(json.loads(request.content)))
        if path == "/jobs":
            asked = request.url.params.get("array")
            found = [
                each for each in self.records.values() if not asked or (each["array"] or {}).get("number") == int(asked)
            ]
            return httpx2.Response(200, json={"items": found, "next_cursor": None})
        return self._told(*path.removeprefix("/jobs/").partition("/")[::2], request.url.params)

    @property
    def http(self) -> httpx2.MockTransport:
        return httpx2.MockTransport(self)

    def work(self, job_id: str) -> Path:
        return self.folder / job_id

    def attempt(self, job_id: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start the job's script once more, as a portal does after an interruption."""
        work = self.work(job_id)
        (work / "checkpoint").mkdir(parents=True, exist_ok=True)
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("KYOYO_", "SLURM_"))}
        python = str(Path(sys.executable).parent)
        own = {"KYOYO_RESULT": str(work / "result.json"), "KYOYO_CHECKPOINT_DIR": str(work / "checkpoint")}
        with (work / "stdout").open("ab") as out, (work / "stderr").open("ab") as err:
            return subprocess.Popen(
                [work / "script"],
                cwd=work,
                stdout=out,
                stderr=err,
                env={**clean, "PATH": f"{python}:{clean['PATH']}", **own, **environment},
            )

    def end(self, job_id: str, code: int) -> None:
        state = "SUCCEEDED" if code == 0 else "FAILED"
        self.records[job_id] |= {"state": state, "exit_code": code, "started_at": "2026-11-21T00:00:00Z"}

    def _submit(self, body: dict[str, Any]) -> dict[str, Any]:
        self.submitted.append(body)
        indices = body["array"]["indices"] if "array" in body else [None]
        first = len(self.records) + 1
        for place, index in enumerate(indices):
            number = first + place
            array = None if index is None else {"number": first, "index": index, "tasks": len(indices)}
            job_id = f"j-{number}"
            self.records[job_id] = a_job(job_id, "RUNNING", number=number, array=array, name=body["name"])
            work = self.work(job_id)
            work.mkdir()
            (work / "script").write_text(body["script"])
            (work / "script").chmod(0o755)
            if "signal" not in body:
                task = {} if index is None else {"SLURM_ARRAY_TASK_ID": str(index)}
                beside = {"KYOYO_QPU_DIR": str(work)} if "qpu" in body else {}
                self.end(job_id, self.attempt(job_id, **task, **beside).wait(timeout=60))
        return self.records[f"j-{first}"]

    def _told(self, name: str, part: str, params: httpx2.QueryParams) -> httpx2.Response:
        record = self.records.get(name) or self.records.get(f"j-{name}")
        if record is None:
            return problem(404, "job-not-found")
        if part == "cancel":
            record["state"] = "CANCELLED"
        if part == "logs":
            text = (self.work(str(record["id"])) / params.get("stream", "stdout")).read_text()[int(params["offset"]) :]
            ended = {"next_offset": int(params["offset"]) + len(text), "ended": True}
            return httpx2.Response(200, json={"text": text, **ended})
        if part == "result":
            path = self.work(str(record["id"])) / "result.json"
            found = path.exists()
            return (
                httpx2.Response(200, json=self.wound(json.loads(path.read_text())))
                if found
                else problem(404, "no-result")
            )
        return httpx2.Response(200, json=record)
