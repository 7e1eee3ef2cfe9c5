"""`--export`: which variables of this machine go with the job. Pure: the environment is an argument."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kyoyo.errors import UsageError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}", re.ASCII)
_COMMA = re.compile(r",(?=(?:[^'\"]|'[^']*'|\"[^\"]*\")*$)")


@dataclass(frozen=True, slots=True)
class Exports:
    """Variables by name, with the value that was said; None: the value that it has here.

    `everything` was asked for with ALL. It is not done: this machine's environment is not the cluster's, and it holds
    secrets. Whoever reads this must say so.
    """

    variables: Sequence[tuple[str, str | None]] = ()
    everything: bool = False

    def taken_from(self, environment: Mapping[str, str]) -> Mapping[str, str]:
        """The variables with their values; one that is not set here is left out, as sbatch does."""
        found = ((name, environment.get(name) if value is None else value) for name, value in self.variables)
        return {name: value for name, value in found if value is not None}


def exports_of(text: str) -> Exports:
    """ALL, NONE, NIL, or names and NAME=value with commas between, values quoted where they hold one. UsageError."""
    if text.upper() in {"NONE", "NIL"}:
        return Exports()
    variables: dict[str, str | None] = {}
    everything = False
    for part in _COMMA.split(text):
        name, equals, value = part.strip().partition("=")
        if name.upper() == "ALL" and not equals:
            everything = True
        elif _NAME.fullmatch(name) is None:
            raise UsageError(key="wrong.export", text=repr(text))
        else:
            variables[name] = _unquoted(value) if equals else None
    return Exports(tuple(variables.items()), everything)


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" else value
