"""Reads the `#SBATCH` lines of a job script, as sbatch does: up to the first line that is a command.

Only what Kyoyo can honour is accepted; anything else is named in the refusal, never dropped in silence.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from kyoyo.errors import BadScript, UsageError

SUPPORTED = (
    "-J --job-name",
    "-t --time",
    "-G --gpus",
    "--gres=gpu:N",
    "--gpus-per-node",
    "-N --nodes (1)",
    "-o --output",
    "-p --partition (offering)",
    "-A --account (project)",
)
_LONG = {
    "-J": "--job-name",
    "-t": "--time",
    "-G": "--gpus",
    "-N": "--nodes",
    "-o": "--output",
    "-p": "--partition",
    "-A": "--account",
}
_COLONS = re.compile(r"(?:(?P<days>\d{1,5})-)?(?P<fields>\d{1,9}(?::\d{1,9}){0,2})", re.ASCII)
_SUFFIXED = re.compile(r"(?:(\d{1,5})d)?(?:(\d{1,6})h)?(?:(\d{1,7})m)?(?:(\d{1,9})s)?", re.ASCII)
_SECONDS = (86_400, 3_600, 60, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Directives:
    """What a script asks for. None: not said."""

    name: str | None = None
    walltime_s: int | None = None
    gpus: int | None = None
    output: str | None = None
    offering: str | None = None
    project: str | None = None


def parse_script(text: str) -> Directives:
    """The directives of a script; a later one overrides an earlier one. BadScript names the line and the reason."""
    if not text.startswith("#!"):
        raise BadScript(key="wrong.no_shebang")
    if "\r\n" in text:
        raise BadScript(key="wrong.dos")
    found = Directives()
    for number, line in _directive_lines(text):
        try:
            found = _apply(found, _options(line))
        except UsageError as wrong:
            raise wrong.in_line(number) from wrong
        except ValueError as wrong:  # of shlex: a quote that is never closed
            raise BadScript(key="wrong.quotes", line=number) from wrong
    return found


def walltime_s(text: str) -> int:
    """Seconds of a time limit: Slurm's MM, MM:SS, HH:MM:SS, D-HH, D-HH:MM, D-HH:MM:SS, or 90s, 30m, 4h, 2d, 1h30m."""
    if suffixed := _SUFFIXED.fullmatch(text.strip().lower()):
        parts = [int(part or 0) for part in suffixed.groups()]
        seconds = sum(part * unit for part, unit in zip(parts, _SECONDS, strict=True))
    elif colons := _COLONS.fullmatch(text.strip()):
        seconds = _slurm_seconds(colons["days"], [int(part) for part in colons["fields"].split(":")])
    else:
        raise UsageError(key="wrong.time", text=repr(text))
    if seconds <= 0:
        raise UsageError(key="wrong.no_time", text=repr(text))
    return seconds


def _slurm_seconds(days: str | None, parts: list[int]) -> int:
    if days is not None:
        hours, minutes, seconds = (*parts, 0, 0)[:3]
        return int(days) * 86_400 + hours * 3_600 + minutes * 60 + seconds
    match parts:
        case [minutes]:
            return minutes * 60
        case [minutes, seconds]:
            return minutes * 60 + seconds
        case _:
            return parts[0] * 3_600 + parts[1] * 60 + parts[2]


def _directive_lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.startswith("#SBATCH") and line[7:8] in {"", " ", "\t"}:
            yield number, line[7:]
        elif line.strip() and not line.lstrip().startswith("#"):
            return


def _options(line: str) -> Iterator[tuple[str, str]]:
    """Pairs of long option and value; the rest of a line after a word that begins with # is a comment."""
    words = _words(line)
    for word in words:
        if word.startswith("--"):
            option, equals, value = word.partition("=")
        elif word.startswith("-") and len(word) > 1:
            option, equals, value = word[:2], word[2:], word[2:]
        else:
            raise UsageError(key="wrong.word", word=repr(word))
        yield _LONG.get(option, option), value if equals else _value_of(option, words)


def _value_of(option: str, words: Iterator[str]) -> str:
    if _LONG.get(option, option) not in _SETTERS:
        return ""  # the refusal names the option; it may well have no value
    value = next(words, None)
    if value is None:
        raise UsageError(key="wrong.no_value", option=option)
    return value


def _words(line: str) -> Iterator[str]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=False)
    lexer.whitespace_split = True
    lexer.commenters = ""
    for word in lexer:  # lazy: an odd quote inside a comment is never reached
        if word.startswith("#"):
            return
        yield word


def _apply(found: Directives, options: Iterator[tuple[str, str]]) -> Directives:
    for option, value in options:
        setter = _SETTERS.get(option)
        if setter is None:
            raise UsageError(key="wrong.option", option=option, supported=", ".join(SUPPORTED))
        if not value:
            raise UsageError(key="wrong.no_value", option=option)
        found = setter(found, value)
    return found


def _count(value: str) -> int:
    if not value.isascii() or not value.isdecimal() or len(value) > 9:  # noqa: PLR2004  no such number of GPUs exists
        raise UsageError(key="wrong.count", value=repr(value))
    return int(value)


def _gres(found: Directives, value: str) -> Directives:
    match value.split(":"):
        case ["gpu"]:
            return replace(found, gpus=1)
        case ["gpu", count]:
            return replace(found, gpus=_count(count))
        case _:
            raise UsageError(key="wrong.gres", value=value)


def _one_node(found: Directives, value: str) -> Directives:
    if value not in {"1", "1-1"}:
        raise UsageError(key="wrong.nodes", value=value)
    return found


_SETTERS: Mapping[str, Callable[[Directives, str], Directives]] = {
    "--job-name": lambda found, value: replace(found, name=value),
    "--time": lambda found, value: replace(found, walltime_s=walltime_s(value)),
    "--gpus": lambda found, value: replace(found, gpus=_count(value)),
    "--gpus-per-node": lambda found, value: replace(found, gpus=_count(value)),
    "--gres": _gres,
    "--nodes": _one_node,
    "--output": lambda found, value: replace(found, output=value),
    "--partition": lambda found, value: replace(found, offering=value),
    "--account": lambda found, value: replace(found, project=value),
}
