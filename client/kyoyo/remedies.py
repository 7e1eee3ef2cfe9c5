"""What helps against a refusal, in the words of the command that was given."""

from __future__ import annotations

from kyoyo.errors import Problem
from kyoyo.texts import LANGUAGES, Texts


def remedy_of(texts: Texts, problem: Problem, *, limit: str = "--max-cost") -> str:
    """The portal's remedy, or ours where the portal speaks of fields that nobody has written here.

    limit: what the limit of yen is called here.
    """
    key = f"remedy.{problem.code}"
    return texts(key, limit=limit) if key in LANGUAGES[texts.language] else problem.remedy
