"""What a script or a command line asks for, from sbatch's options. Pure.

Only what Kyoyo can honour is accepted; anything else is named in the refusal, never dropped in silence. The few options
that are accepted and change nothing leave a note for the reader.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace

from kyoyo.errors import UsageError
from kyoyo.script import amounts, times
from kyoyo.script.amounts import Gpus, Memory, Per
from kyoyo.script.arrays import Array, array_of
from kyoyo.script.exports import Exports, exports_of
from kyoyo.script.options import LETTERS, Given
from kyoyo.script.relations import Dependency, SignalWish, dependencies_of, signal_of
from kyoyo.script.times import Begin

REQUEUE_ATTEMPTS = 3
"""What --requeue asks for: so many attempts after preemptions and failed machines."""
_SERVICE_CLASSES = {"normal": "standard"}
"""Slurm's own name for the QOS that everybody has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Directives:
    """What is asked for. None: not said."""

    name: str | None = None
    walltime_s: int | None = None
    gpus: Gpus | None = None
    gpus_per_node: Gpus | None = None
    gpus_per_task: Gpus | None = None
    nodes: int | None = None
    ntasks: int | None = None
    ntasks_per_node: int | None = None
    cpus_per_task: int | None = None
    cpus_per_gpu: int | None = None
    memory: Memory | None = None
    offering: str | None = None
    project: str | None = None
    service_class: str | None = None
    constraint: str | None = None
    reservation: str | None = None
    licenses: Mapping[str, int] | None = None
    exclusive: bool | None = None
    image: str | None = None
    array: Array | None = None
    dependencies: Sequence[Dependency] | None = None
    begin: Begin | None = None
    signal: SignalWish | None = None
    max_attempts: int | None = None
    output: str | None = None
    error: str | None = None
    appends: bool | None = None
    exports: Exports | None = None
    wait: bool | None = None
    parsable: bool | None = None
    quiet: bool | None = None
    test_only: bool | None = None
    notes: Sequence[str] = ()


_GPU_FIELDS = ("gpus", "gpus_per_node", "gpus_per_task")


def directives_of(given: Iterable[Given], start: Directives | None = None) -> Directives:
    """The options in turn; a later one overrides an earlier one. UsageError names the first that cannot be honoured."""
    found = start or Directives()
    for each in given:
        if each.name in _REASONS and not _is_harmless(each):
            raise UsageError(key=_REASONS[each.name], option=f"--{each.name}")
        setter = _SETTERS.get(each.name)
        if setter is None:
            raise UsageError(key="wrong.option", option=_shown(each.name), supported=", ".join(SUPPORTED))
        if each.value is not None and not each.value.strip() and each.name != "comment":
            raise UsageError(key="wrong.no_value", option=_shown(each.name))
        found = setter(found, each.value or "")
    return found


def over(below: Directives, above: Directives) -> Directives:
    """Both, where the upper one wins: the command line over the script. Whoever says GPUs again says all of them."""
    said = {field.name: value for field in fields(above) if (value := getattr(above, field.name)) is not None}
    said["notes"] = tuple(dict.fromkeys((*below.notes, *above.notes)))
    if any(name in said for name in _GPU_FIELDS):
        below = replace(below, gpus=None, gpus_per_node=None, gpus_per_task=None)
    return replace(below, **said)


def _shown(name: str) -> str:
    letter = LETTERS.get(name)
    return f"--{name} (-{letter})" if letter else f"--{name}"


def _is_harmless(given: Given) -> bool:
    return given.name == "mail-type" and (given.value or "").upper() == "NONE"


def _noted(found: Directives, key: str) -> Directives:
    return replace(found, notes=tuple(dict.fromkeys((*found.notes, key))))


def _memory(found: Directives, value: str, per: Per) -> Directives:
    told = amounts.memory(value, per)
    known = replace(found, memory=told)
    return known if told.mb else _noted(known, "say.note_memory")


def _exports(found: Directives, value: str) -> Directives:
    told = replace(found, exports=exports_of(value))
    return _noted(told, "say.note_export") if told.exports and told.exports.everything else told


def _exclusive(found: Directives, value: str) -> Directives:
    if value:
        raise UsageError(key="wrong.exclusive", value=value)
    return replace(found, exclusive=True)


def _open_mode(found: Directives, value: str) -> Directives:
    if value not in {"append", "truncate"}:
        raise UsageError(key="wrong.open_mode", value=value)
    return replace(found, appends=value == "append")


_REASONS: Mapping[str, str] = {
    "hold": "wrong.hold",
    "mail-type": "wrong.mail",
    "mail-user": "wrong.mail",
    "chdir": "wrong.chdir",
    "input": "wrong.input",
    "uid": "wrong.identity",
    "gid": "wrong.identity",
    "get-user-env": "wrong.identity",
    "clusters": "wrong.clusters",
    "nodelist": "wrong.nodelist",
    "exclude": "wrong.nodelist",
    "nodefile": "wrong.nodelist",
    "container": "wrong.container",
    "container-id": "wrong.container",
}
"""Options whose refusal can say more than that they are not supported."""

_SETTERS: Mapping[str, Callable[[Directives, str], Directives]] = {
    "job-name": lambda found, value: replace(found, name=value),
    "time": lambda found, value: replace(found, walltime_s=times.walltime_s(value)),
    "gpus": lambda found, value: replace(found, gpus=amounts.gpus(value, option="--gpus")),
    "gpus-per-node": lambda found, value: replace(found, gpus_per_node=amounts.gpus(value, option="--gpus-per-node")),
    "gpus-per-task": lambda found, value: replace(found, gpus_per_task=amounts.gpus(value, option="--gpus-per-task")),
    "gres": lambda found, value: replace(found, gpus_per_node=amounts.gres(value)),
    "nodes": lambda found, value: replace(found, nodes=amounts.nodes(value)),
    "ntasks": lambda found, value: replace(found, ntasks=amounts.count(value, option="--ntasks", least=1)),
    "ntasks-per-node": lambda found, value: replace(
        found, ntasks_per_node=amounts.count(value, option="--ntasks-per-node", least=1)
    ),
    "cpus-per-task": lambda found, value: replace(
        found, cpus_per_task=amounts.count(value, option="--cpus-per-task", least=1)
    ),
    "cpus-per-gpu": lambda found, value: replace(
        found, cpus_per_gpu=amounts.count(value, option="--cpus-per-gpu", least=1)
    ),
    "mem": lambda found, value: _memory(found, value, Per.NODE),
    "mem-per-cpu": lambda found, value: _memory(found, value, Per.CPU),
    "mem-per-gpu": lambda found, value: _memory(found, value, Per.GPU),
    "partition": lambda found, value: replace(found, offering=value),
    "account": lambda found, value: replace(found, project=value),
    "qos": lambda found, value: replace(found, service_class=_SERVICE_CLASSES.get(value, value)),
    "constraint": lambda found, value: replace(found, constraint=value),
    "reservation": lambda found, value: replace(found, reservation=value),
    "licenses": lambda found, value: replace(found, licenses=amounts.licenses(value)),
    "exclusive": _exclusive,
    "container-image": lambda found, value: replace(found, image=value),
    "array": lambda found, value: replace(found, array=array_of(value)),
    "dependency": lambda found, value: replace(found, dependencies=dependencies_of(value)),
    "begin": lambda found, value: replace(found, begin=times.begin_of(value)),
    "signal": lambda found, value: replace(found, signal=signal_of(value)),
    "requeue": lambda found, _: replace(found, max_attempts=REQUEUE_ATTEMPTS),
    "no-requeue": lambda found, _: replace(found, max_attempts=1),
    "output": lambda found, value: replace(found, output=value),
    "error": lambda found, value: replace(found, error=value),
    "open-mode": _open_mode,
    "export": _exports,
    "comment": lambda found, _: _noted(found, "say.note_comment"),
    "wait": lambda found, _: replace(found, wait=True),
    "parsable": lambda found, _: replace(found, parsable=True),
    "quiet": lambda found, _: replace(found, quiet=True),
    "test-only": lambda found, _: replace(found, test_only=True),
    "mail-type": lambda found, _: found,
    "verbose": lambda found, _: found,
    "ignore-pbs": lambda found, _: found,
}

HONOURED: Sequence[str] = tuple(sorted(name for name in _SETTERS if name != "mail-type"))
SUPPORTED: Sequence[str] = tuple(_shown(name) if name != "gres" else "--gres=gpu[:type]:N" for name in HONOURED)
