"""`kyoyod demo`, as the command line knows it. What it needs beyond a server is imported only when it runs."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from portal.demo import world
from portal.demo.slurm import is_here as slurm_is_here

BACKENDS = (world.GPU_BACKEND, world.SLURM_BACKEND)
"""Where the GPU offering may run. house.py knows what must be set up for each."""
USAGE = 2
PIPED_WIDTH = 120


def demo(
    *,
    once: Annotated[bool, typer.Option("--once", help="End after the summary, also on a terminal.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port of the portal; 0: a free one.")] = 0,
    data_dir: Annotated[Path, typer.Option(help="The demo's own folder; it is cleared first.")] = Path("var/demo"),
    backend: Annotated[str, typer.Option(envvar="BACKEND", help="Where the GPU jobs run.")] = BACKENDS[0],
) -> None:
    """The whole system on this machine from nothing, and a startup's first day, acted through the real client."""
    try:
        from rich.console import Console  # noqa: PLC0415  only here

        from kyoyo.texts import language_of  # noqa: PLC0415  the client is no part of a server
        from portal.demo.performance import perform  # noqa: PLC0415  imports the client
        from portal.demo.screen import Screen  # noqa: PLC0415  imports the client
        from portal.language import Language, catalogue  # noqa: PLC0415  only here
    except ImportError as missing:
        typer.echo(f"kyoyod demo needs the client: pip install ./client ({missing})", err=True)
        raise typer.Exit(USAGE) from missing
    texts = catalogue(Language(language_of(os.environ)))
    console = Console(emoji=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)
    screen = Screen(console, texts)
    if backend not in BACKENDS:
        screen.say("unknown_backend", backend=backend, known=", ".join(BACKENDS), style="red")
        raise typer.Exit(USAGE)
    if backend == world.SLURM_BACKEND and not slurm_is_here():
        screen.say("slurm_missing", style="red")
        raise typer.Exit(USAGE)
    is_terminal = console.is_terminal
    raise typer.Exit(
        perform(
            once=once,
            port=port,
            folder=data_dir.resolve(),
            gpu_backend=backend,
            screen=screen,
            texts=texts,
            is_terminal=is_terminal,
        )
    )
