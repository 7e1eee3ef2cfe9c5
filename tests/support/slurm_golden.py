"""The golden fixtures of real Slurm servers, by release and version of the API."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "fixtures" / "slurm"


@dataclass(frozen=True, slots=True)
class Offer:
    """One version of the API of one release."""

    release: str
    version: str

    def __str__(self) -> str:
        return f"{self.release}-{self.version}"

    def exchange(self, name: str) -> dict[str, Any]:
        """Request, status and body."""
        return _read(FOLDER / self.release / self.version / f"{name}.json")

    def body(self, name: str) -> Any:
        return self.exchange(name)["body"]

    def names(self, prefix: str = "") -> list[str]:
        return sorted(path.stem for path in (FOLDER / self.release / self.version).glob(f"{prefix}*.json"))


def offers() -> list[Offer]:
    """All that were recorded."""
    return [Offer(path.parent.name, path.name) for path in sorted(FOLDER.glob("*/v*"))]


def description(release: str) -> dict[str, Any]:
    """Of the server by itself: info, paths, and the words that its states may have."""
    return _read(FOLDER / release / "description.json")


def releases() -> list[str]:
    return sorted({offer.release for offer in offers()})


@cache
def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
