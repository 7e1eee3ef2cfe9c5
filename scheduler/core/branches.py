"""The levels of the share tree, organisation → project → user, and the branches on which a job hangs. Pure."""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID

Leaf = tuple[UUID, UUID | None, UUID | None]
"""Organisation, project, person: whose a job is. None (invented worlds only): nobody asked."""
Branch = tuple[UUID | None, ...]
"""A node of the tree by its path: the first one, two or three of a leaf."""


class Level(StrEnum):
    """How far down a branch reaches."""

    ORGANISATION = "organisation"
    PROJECT = "project"
    USER = "user"


_LEVELS = tuple(Level)


def branches_of(leaf: Leaf) -> tuple[Branch, Branch, Branch]:
    """All branches on which a job of this leaf hangs, from the top."""
    return leaf[:1], leaf[:2], leaf


def level_of(branch: Branch) -> Level:
    return _LEVELS[len(branch) - 1]
