"""sbatch's options on the command line of `kyoyo submit`, `estimate` and `run`: one table, the words of the script."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from kyoyo.script import Directives, directives_of
from kyoyo.script.options import LETTERS, TAKES, Given, Takes


@dataclass(frozen=True, slots=True)
class Entry:
    """One option of sbatch, what it is called here beside its own name, and its help."""

    option: str
    help: str
    also: Sequence[str] = ()

    @property
    def parameter(self) -> str:
        """Its name among a function's arguments."""
        return f"sbatch_{self.option.replace('-', '_')}"

    def as_parameter(self, without: Collection[str]) -> inspect.Parameter:
        """As typer reads it; `without`: words that the command needs for itself."""
        letter = f"-{LETTERS[self.option]}" if self.option in LETTERS else ""
        words = [word for word in (*self.also, f"--{self.option}", letter) if word and word not in without]
        info = typer.Option(*words, help=self.help)
        is_flag = TAKES[self.option] is not Takes.VALUE
        return inspect.Parameter(
            self.parameter,
            inspect.Parameter.KEYWORD_ONLY,
            default=False if is_flag else None,
            annotation=Annotated[bool if is_flag else str | None, info],
        )


_TABLE = (
    Entry("gpus", "option.gpus"),
    Entry("time", "option.time"),
    Entry("job-name", "option.name", ("--name",)),
    Entry("partition", "option.offering", ("--offering",)),
    Entry("account", "option.project", ("--project",)),
    Entry("qos", "option.service_class", ("--service-class",)),
    Entry("nodes", "option.nodes"),
    Entry("ntasks", "option.ntasks"),
    Entry("ntasks-per-node", "option.ntasks_per_node"),
    Entry("gpus-per-node", "option.gpus_per_node"),
    Entry("gpus-per-task", "option.gpus_per_task"),
    Entry("gres", "option.gres"),
    Entry("cpus-per-task", "option.cpus_per_task"),
    Entry("cpus-per-gpu", "option.cpus_per_gpu"),
    Entry("mem", "option.mem"),
    Entry("mem-per-cpu", "option.mem_per_cpu"),
    Entry("mem-per-gpu", "option.mem_per_gpu"),
    Entry("constraint", "option.constraint"),
    Entry("reservation", "option.reservation"),
    Entry("licenses", "option.licenses"),
    Entry("exclusive", "option.exclusive"),
    Entry("container-image", "option.image", ("--image",)),
    Entry("array", "option.array"),
    Entry("dependency", "option.dependency"),
    Entry("begin", "option.begin"),
    Entry("signal", "option.signal"),
    Entry("requeue", "option.requeue"),
    Entry("no-requeue", "option.no_requeue"),
    Entry("export", "option.export"),
    Entry("output", "option.output"),
    Entry("error", "option.error"),
    Entry("open-mode", "option.open_mode"),
    Entry("comment", "option.comment"),
    Entry("test-only", "option.test_only"),
    Entry("parsable", "option.parsable"),
    Entry("wait", "option.wait"),
)
FOLLOWING = frozenset({"array", "output", "error", "open-mode", "test-only", "parsable", "wait"})
"""Options without a meaning where the job's output is followed on the terminal."""


def with_sbatch(
    *, without: Collection[str] = (), words: Collection[str] = ()
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a command sbatch's options; it is handed what they say as `asked`."""
    entries = [entry for entry in _TABLE if entry.option not in without]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        def called(*arguments: Any, **named: Any) -> None:
            said = [(entry.option, named.pop(entry.parameter)) for entry in entries]
            command(*arguments, asked=_directives(said), **named)

        signature = inspect.signature(command, eval_str=True)
        own = [each for each in signature.parameters.values() if each.name != "asked"]
        more = [entry.as_parameter(words) for entry in entries]
        called.__signature__ = signature.replace(parameters=[*own, *more])  # type: ignore[attr-defined]  # for typer
        called.__doc__ = command.__doc__
        called.__annotations__ = {}
        return called

    return decorate


def _directives(said: Sequence[tuple[str, str | bool | None]]) -> Directives:
    given = [
        Given(option, None if value is True else str(value)) for option, value in said if value not in {None, False}
    ]
    return directives_of(given)
