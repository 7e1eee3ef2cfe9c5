"""Removing runs that are over: their folders, the folders that runs of one lineage share, and the user ids they had."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from uuid import UUID

from hpc_adapters.confined import folder
from hpc_adapters.confined.request import CLAIMS, LINEAGES
from hpc_adapters.keeping import Freed, remove


def remove_runs(root: Path, attempt_ids: Sequence[UUID]) -> Freed:
    """Of runs that are over, as the caller has made sure. A lineage goes with the last run of it that was here."""
    asked = {name: request for name in map(str, attempt_ids) if (request := _request(root, name)) is not None}
    size = sum(remove(root, name) for name in asked)
    lineages = {Path(each["lineage"]).name for each in asked.values() if each.get("lineage")}
    if lineages:
        lineages -= _in_use(root)
        size += sum(remove(root / LINEAGES, name) for name in lineages)
    for name, request in asked.items():
        lineage = request.get("lineage")
        owner = Path(lineage).name if lineage else name
        if not lineage or owner in lineages:
            _release(root, request["uid"], owner)
    return Freed(len(asked), size)


def _request(root: Path, name: str) -> folder.Json | None:
    return folder.read_json(str(root / name), folder.REQUEST)


def _in_use(root: Path) -> set[str]:
    """Lineages of which a run is still here."""
    names = [name for name in os.listdir(root) if not name.startswith(".")]  # noqa: PTH208  only names
    requests = (_request(root, name) for name in names)
    return {Path(each["lineage"]).name for each in requests if each is not None and each.get("lineage")}


def _release(root: Path, uid: int, owner: str) -> None:
    """Nothing that belongs to this user is left: the next one may have the id."""
    with suppress(OSError):
        claim = root / CLAIMS / str(uid)
        if claim.read_text() == owner:
            claim.unlink()
