"""train."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kyoyo.cli.options import with_sbatch
from kyoyo.cli.session import JSON, session_of
from kyoyo.cli.submit import Arguments, Env, MaxAttempts, MaxCost, MaxTimeouts, Secrets, environment_of, send
from kyoyo.launches import spec_of_training
from kyoyo.script import Directives
from kyoyo.spec import Choices


@with_sbatch(without=("ntasks", "ntasks-per-node", "gpus-per-task", "cpus-per-task"))
def train(
    ctx: typer.Context,
    entry: Annotated[Path, typer.Argument(help="option.entry", metavar="ENTRY")],
    arguments: Arguments = None,
    *,
    asked: Directives,
    processes_per_node: Annotated[
        int | None, typer.Option("--processes-per-node", min=1, help="option.processes_per_node")
    ] = None,
    env: Env = None,
    secret: Secrets = None,
    max_attempts: MaxAttempts = None,
    max_timeouts: MaxTimeouts = 0,
    max_cost: MaxCost = None,
    wants_json: JSON = False,
) -> None:
    """Start a training."""
    session = session_of(ctx, wants_json=wants_json)
    choices = Choices(
        arguments=tuple(arguments or ()),
        environment=environment_of(session, env or []),
        secrets=tuple(secret or ()),
        max_attempts=max_attempts,
        max_timeouts=max_timeouts,
        asked=asked,
    )
    send(session, spec_of_training(entry, choices, processes_per_node=processes_per_node), max_cost=max_cost)
