"""The demo's four acts, through the real client over HTTP: what a startup does on its first day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import kyoyo
from kyoyo.spec import spec_of_circuit, spec_of_script
from portal.demo import world
from portal.demo.promises import SHOTS
from portal.demo.screen import Screen

EXAMPLES = Path(__file__).parents[2] / "client" / "examples"
TRAINING = EXAMPLES / "digits_cnn.py"
GHZ = EXAMPLES / "ghz.qasm"
ENDLESS = {"EPOCHS": "1000000"}
ENOUGH_EPOCHS = 3
"""After so many lines of its log the job that is to be cancelled has truly run."""
DAY_S = 24 * 3600
JOB_LIMIT_S = 180.0
SETTLE_LIMIT_S = 120.0


@dataclass(frozen=True, slots=True)
class Played:
    """What came of it."""

    jobs: Sequence[kyoyo.JobRecord]
    results: Sequence[object]
    refused: Sequence[kyoyo.Refused]


def play(client: kyoyo.Client, screen: Screen) -> Played:
    """All acts, then every job settled. TimeoutError, kyoyo.KyoyoError."""
    training, quantum = _submit_both(client, screen)
    screen.act("act_training")
    _follow(training, screen)
    screen.act("act_quantum", shots=SHOTS)
    _finish(quantum, screen)
    screen.act("act_cancel")
    cancelled = _cancel_while_it_runs(client, screen)
    screen.act("act_refusal")
    refused = _ask_too_much(client, screen)
    screen.act("act_settle")
    jobs = (training, quantum, cancelled)
    settled = [_settle(job, screen) for job in jobs]
    return Played(jobs=settled, results=[job.result() for job in jobs], refused=refused)


def _submit_both(client: kyoyo.Client, screen: Screen) -> tuple[kyoyo.Job, kyoyo.Job]:
    training = _training(name="digits-cnn", gpus=2)
    circuit = spec_of_circuit(GHZ, shots=SHOTS, choices=kyoyo.Choices(offering=world.QPU_OFFERING, name="ghz-3"))
    screen.act("act_estimate")
    for spec in (training, circuit):
        screen.estimated(spec.name, client.estimate(spec))
    return _submit(client, training, screen), _submit(client, circuit, screen)


def _training(**said: object) -> kyoyo.JobSpec:
    choices = kyoyo.Choices(kind="training", offering=world.GPU_OFFERING, **said)  # type: ignore[arg-type]  # Choices' own
    return spec_of_script(TRAINING, choices)


def _submit(client: kyoyo.Client, spec: kyoyo.JobSpec, screen: Screen) -> kyoyo.Job:
    job = client.submit(spec)
    screen.say("submitted", name=job.record.name, id=job.id)
    return job


def _follow(job: kyoyo.Job, screen: Screen) -> None:
    """Shows the log as it grows; it ends with the job."""
    with screen.progress() as on_change:
        job.wait_started(on_change, timeout_s=JOB_LIMIT_S)
    for text in job.logs(follow=True):
        screen.log(text)
    _finish(job, screen)


def _finish(job: kyoyo.Job, screen: Screen) -> None:
    with screen.progress() as on_change:
        record = job.wait(on_change, timeout_s=JOB_LIMIT_S)
    if not record.succeeded:  # the reader wants to know why
        for text in job.logs(stream="stderr"):
            screen.log(text)


def _cancel_while_it_runs(client: kyoyo.Client, screen: Screen) -> kyoyo.Job:
    job = _submit(client, _training(name="too-long", gpus=1, walltime_s=3600, environment=ENDLESS), screen)
    with screen.progress() as on_change:
        job.wait_started(on_change, timeout_s=JOB_LIMIT_S)
    lines = 0
    for text in job.logs(follow=True):
        screen.log(text)
        lines += text.count("\n")
        if lines > ENOUGH_EPOCHS:
            break
    screen.say("running_then_cancelled")
    job.cancel()
    with screen.progress() as on_change:
        job.wait(on_change, timeout_s=JOB_LIMIT_S)
    return job


def _ask_too_much(client: kyoyo.Client, screen: Screen) -> list[kyoyo.Refused]:
    spec = _training(name="too-dear", gpus=4, walltime_s=DAY_S)
    screen.estimated(spec.name, client.estimate(spec))
    try:
        client.submit(spec)
    except kyoyo.Refused as refused:
        screen.say("refused", code=refused.code, detail=refused.detail, style="yellow")
        screen.say("remedy", remedy=refused.remedy)
        return [refused]
    return []


def _settle(job: kyoyo.Job, screen: Screen) -> kyoyo.JobRecord:
    with screen.busy("waits_for_settlement", name=job.record.name):
        return job.wait_settled(timeout_s=SETTLE_LIMIT_S)
