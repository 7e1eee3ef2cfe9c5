"""data put, data get, data ls, data rm: files in the organisation's store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Annotated

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from kyoyo.cli.session import JSON, Session, session_of
from kyoyo.cli.show import cell, table
from kyoyo.data import Data, ObjectRecord, silent
from kyoyo.errors import NotFound, UsageError
from kyoyo.parts import Moved
from kyoyo.terminal import one_line, size

Key = Annotated[str, typer.Argument(help="option.key", metavar="KEY")]
Source = Annotated[Path, typer.Argument(help="option.file", metavar="FILE", dir_okay=False)]


def data_put(
    ctx: typer.Context,
    path: Source,
    key: Annotated[str | None, typer.Argument(help="option.put_key", metavar="[KEY]")] = None,
    *,
    wants_json: JSON = False,
) -> None:
    """Keep a file."""
    session = session_of(ctx, wants_json=wants_json)
    name = f"{key}{path.name}" if key is not None and key.endswith("/") else key
    with session.client() as client, _bar(session, path.name, _size(path)) as moved:
        kept = client.data.put(path, name, moved=moved)
    if wants_json:
        session.answer(kept.raw)
    else:
        session.say("say.kept", name=one_line(kept.key), size=size(kept.size_bytes), checksum=one_line(kept.checksum))


def data_get(
    ctx: typer.Context,
    key: Annotated[str, typer.Argument(help="option.get_key", metavar="KEY")],
    path: Annotated[Path | None, typer.Argument(help="option.target", metavar="[PATH]")] = None,
    *,
    force: Annotated[bool, typer.Option("--force", "-f", help="option.force")] = False,
    wants_json: JSON = False,
) -> None:
    """Bring a file, or all whose key begins with KEY/."""
    session = session_of(ctx, wants_json=wants_json)
    with session.client() as client:
        if key.endswith("/"):
            brought = _folder(session, client.data, key, path or Path(), force=force)
        else:
            brought = [_one(session, client.data, key, path, force=force)]
    if wants_json:
        session.answer({"paths": [str(each) for each in brought]})
        return
    for each in brought:
        session.say("say.brought", path=one_line(str(each)))


def data_ls(
    ctx: typer.Context,
    prefix: Annotated[str, typer.Argument(help="option.prefix", metavar="[PREFIX]")] = "",
    *,
    wants_json: JSON = False,
) -> None:
    """List what is kept."""
    session = session_of(ctx, wants_json=wants_json)
    with session.client() as client:
        found = list(client.data.objects(prefix))
        used = client.data.usage()
    if wants_json:
        session.answer({"items": [each.raw for each in found], "usage": used})
        return
    table(session, ["key", "created_at", "size"], [_row(each) for each in found], right=1)
    kept = int(used.get("object_bytes", 0)) + int(used.get("upload_bytes", 0))
    session.tell("say.data_usage", used=size(kept), quota=size(int(used.get("quota_bytes", 0))))


def data_rm(
    ctx: typer.Context,
    keys: Annotated[list[str], typer.Argument(help="option.keys", metavar="KEY...")],
    *,
    wants_json: JSON = False,
) -> None:
    """Remove files for good."""
    session = session_of(ctx, wants_json=wants_json)
    with session.client() as client:
        for key in keys:
            client.data.remove(key)
            if not wants_json:
                session.say("say.object_removed", name=one_line(key))
    if wants_json:
        session.answer({})


def _one(session: Session, data: Data, key: str, path: Path | None, *, force: bool, length: int = 0) -> Path:
    with _bar(session, key.rpartition("/")[2], length or _known(session, data, key)) as moved:
        return data.get(key, path, overwrite=force, moved=moved)


def _known(session: Session, data: Data, key: str) -> int:
    """Its size, for the bar alone."""
    if not session.err.is_terminal:
        return 0
    return next((each.size_bytes for each in data.objects(key) if each.key == key), 0)


def _folder(session: Session, data: Data, prefix: str, home: Path, *, force: bool) -> list[Path]:
    """Every object below the prefix, at the same place below a folder."""
    found = list(data.objects(prefix))
    if not found:
        raise NotFound("object-not-found", prefix)
    brought = []
    for each in found:
        place = home.joinpath(*_parts(each.key.removeprefix(prefix)))
        place.parent.mkdir(parents=True, exist_ok=True)
        brought.append(_one(session, data, each.key, place, force=force, length=each.size_bytes))
    return brought


def _parts(key: str) -> tuple[str, ...]:
    """The portal's keys are strangers' text: none may lead out of the folder."""
    parts = PurePosixPath(key).parts
    if not parts or any(part in {"..", "/"} or "\\" in part or "\0" in part for part in parts):
        raise UsageError(key="wrong.key", text=repr(key))
    return parts


def _row(found: ObjectRecord) -> list[str]:
    return [one_line(found.key), cell(found.created_at), size(found.size_bytes)]


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


@contextmanager
def _bar(session: Session, name: str, total: int) -> Iterator[Moved]:
    """On a terminal only."""
    if not session.err.is_terminal or session.wants_json:
        yield silent
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=session.err, transient=True) as shown:
        task = shown.add_task(one_line(name), total=total or None)
        yield lambda count: shown.advance(task, count)
