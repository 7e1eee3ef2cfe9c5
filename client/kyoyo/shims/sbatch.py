"""sbatch: submit a script. The options are read as those of `#SBATCH` lines are."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from kyoyo.client import Client
from kyoyo.errors import KyoyoError, Problem, UsageError
from kyoyo.jobs import Job
from kyoyo.outputs import files_of, save
from kyoyo.script import Directives, amounts, directives_of, over
from kyoyo.script.options import TAKES, Given, Takes, read_options
from kyoyo.shims.desk import FAILED, MAX_COST, Desk, Stop, start
from kyoyo.spec import Choices, JobSpec, read_text, spec_of_text
from kyoyo.terminal import yen

BAD_OPTION = 255
WRAPPED = "#!/bin/sh\n# This script was created by sbatch --wrap.\n\n{command}\n"
_VARIABLES: Mapping[str, str] = {
    "SBATCH_ACCOUNT": "account",
    "SBATCH_ARRAY_INX": "array",
    "SBATCH_CONSTRAINT": "constraint",
    "SBATCH_CPUS_PER_GPU": "cpus-per-gpu",
    "SBATCH_ERROR": "error",
    "SBATCH_EXCLUSIVE": "exclusive",
    "SBATCH_EXPORT": "export",
    "SBATCH_GPUS": "gpus",
    "SBATCH_GPUS_PER_NODE": "gpus-per-node",
    "SBATCH_GPUS_PER_TASK": "gpus-per-task",
    "SBATCH_GRES": "gres",
    "SBATCH_JOB_NAME": "job-name",
    "SBATCH_MEM_PER_CPU": "mem-per-cpu",
    "SBATCH_MEM_PER_GPU": "mem-per-gpu",
    "SBATCH_MEM_PER_NODE": "mem",
    "SBATCH_NO_REQUEUE": "no-requeue",
    "SBATCH_OPEN_MODE": "open-mode",
    "SBATCH_OUTPUT": "output",
    "SBATCH_PARTITION": "partition",
    "SBATCH_QOS": "qos",
    "SBATCH_REQUEUE": "requeue",
    "SBATCH_RESERVATION": "reservation",
    "SBATCH_SIGNAL": "signal",
    "SBATCH_TIMELIMIT": "time",
    "SBATCH_WAIT": "wait",
}
_ORIGINALS: Mapping[str, Sequence[str]] = {
    "wrong.empty": ("Batch script is empty!",),
    "wrong.no_shebang": (
        "This does not look like a batch script.  The first",
        "line must start with #! followed by the path to an interpreter.",
        "For instance: #!/bin/sh",
    ),
    "wrong.dos": (
        "Batch script contains DOS line breaks (\\r\\n)",
        "instead of expected UNIX line breaks (\\n).",
    ),
}
"""What sbatch itself says, word for word: some wrappers look for it."""


def main(desk: Desk, arguments: Sequence[str]) -> int:
    """Submit."""
    try:
        spec = _spec(desk, arguments)
    except UsageError as wrong:
        _refuse(desk, wrong)
    asked = spec.asked
    for note in asked.notes:
        desk.tell(desk.texts(note))
    with desk.client() as client:
        try:
            if asked.test_only:
                return _test(desk, client, spec)
            job = client.submit(spec, max_cost_yen=_limit(desk))
        except Problem as no:
            desk.tell(f"error: Batch job submission failed: {desk.detail(no)}")
            if remedy := desk.remedy(no):
                desk.tell(f"error: {desk.texts('say.remedy', remedy=remedy)}")
            return FAILED
        if asked.parsable:
            desk.say(job.record.handle)
        elif not asked.quiet:
            desk.say(f"Submitted batch job {job.record.handle}")
        desk.out.flush()
        return _wait(desk, job, asked) if asked.wait else 0


def _spec(desk: Desk, arguments: Sequence[str]) -> JobSpec:
    given, rest = read_options(list(arguments))
    for each in given:
        if each.name in {"help", "usage"}:
            desk.say(desk.texts("say.sbatch_help", options=" ".join(f"--{name}" for name in sorted(TAKES))))
            raise Stop(0)
        if each.name == "version":
            desk.say("sbatch of kyoyo")
            raise Stop(0)
    wrapped = next((each.value for each in reversed(given) if each.name == "wrap"), None)
    told = directives_of(each for each in given if each.name != "wrap")
    asked = over(directives_of(_from_environment(desk.environment)), told)
    name, body, script_arguments = _body(desk, wrapped, rest)
    return spec_of_text(body, name=name, choices=Choices(arguments=tuple(script_arguments), asked=asked))


def _body(desk: Desk, wrapped: str | None, rest: Sequence[str]) -> tuple[str, str, Sequence[str]]:
    """The script's name, its text and its arguments: wrapped, from a file, or from standard input."""
    if wrapped is not None:
        if rest:
            desk.fail("Script arguments not permitted with --wrap option")
        return "wrap", WRAPPED.format(command=wrapped), ()
    if not rest:
        return "sbatch", desk.stdin.read(), ()
    path = _found(rest[0])
    if path is None:
        desk.fail(f"Unable to open file {rest[0]}")
    return path.name, read_text(path), rest[1:]


def _found(word: str) -> Path | None:
    """As sbatch looks for it: here, or along PATH."""
    path = Path(word)
    if path.is_file():
        return path
    along = shutil.which(word) if "/" not in word else None
    return Path(along) if along else None


def _from_environment(environment: Mapping[str, str]) -> Sequence[Given]:
    found: list[Given] = []
    for variable, option in _VARIABLES.items():
        value = environment.get(variable)
        if value is None:
            continue
        if TAKES[option] is Takes.VALUE:
            found.append(Given(option, value))
        elif value in {"", "yes"} or (value.isdecimal() and int(value)):
            found.append(Given(option))
    return found


def _limit(desk: Desk) -> int | None:
    """A limit in yen with tax, from KYOYO_MAX_COST: the original has no option for it."""
    told = desk.environment.get(MAX_COST)
    return None if told is None else amounts.count(told, option=MAX_COST)


def _test(desk: Desk, client: Client, spec: JobSpec) -> int:
    told = client.estimate(spec, max_cost_yen=_limit(desk))
    cost = yen(told.ceiling_with_tax_yen)
    desk.tell(desk.texts("say.sbatch_test", offering=told.offering, gpus=spec.gpus, nodes=spec.nodes, cost=cost))
    return 0 if told.admissible else FAILED


def _wait(desk: Desk, job: Job, asked: Directives) -> int:
    """Until all tasks have ended; the highest exit code. What has no exit code, or died by a signal, is 1."""
    worst = 0
    for task in job.tasks():
        save(task, files_of(asked, task.record, user=desk.user))
        record = task.wait()
        code = record.exit_code if record.exit_code is not None and 0 <= record.exit_code < 128 else 1  # noqa: PLR2004
        worst = max(worst, 0 if record.succeeded else code or 1)
    return worst


def _refuse(desk: Desk, wrong: KyoyoError) -> None:
    key = wrong.key if isinstance(wrong, UsageError) else ""
    if key in _ORIGINALS:
        for line in _ORIGINALS[key]:
            desk.tell(f"error: {line}")
        raise Stop(FAILED)
    if key == "wrong.unknown_option" and isinstance(wrong, UsageError) and not wrong.line:
        desk.tell(f"unrecognized option '{wrong.facts['option']}'")
        desk.err.write('Try "sbatch --help" for more information\n')
        raise Stop(BAD_OPTION)
    desk.fail(desk.detail(wrong), BAD_OPTION)


if __name__ == "__main__":
    start("sbatch", main)
