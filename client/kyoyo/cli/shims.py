"""shims install, shims remove."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from kyoyo.cli.session import JSON, session_of
from kyoyo.shims import install as files

Folder = Annotated[Path, typer.Argument(help="option.shims_folder", metavar="DIR")]


def shims_install(ctx: typer.Context, folder: Folder, *, wants_json: JSON = False) -> None:
    """Write them."""
    session = session_of(ctx, wants_json=wants_json)
    paths = files.install(folder, python=sys.executable)
    if wants_json:
        session.answer({"items": [str(path) for path in paths]})
        return
    session.say("say.shims", names=" ".join(files.NAMES), folder=folder)
    session.tell("say.shims_path", folder=folder.resolve())


def shims_remove(ctx: typer.Context, folder: Folder, *, wants_json: JSON = False) -> None:
    """Take them away."""
    session = session_of(ctx, wants_json=wants_json)
    paths = files.remove(folder)
    if wants_json:
        session.answer({"items": [str(path) for path in paths]})
    else:
        session.say("say.shims_gone", names=" ".join(path.name for path in paths) or "-", folder=folder)
