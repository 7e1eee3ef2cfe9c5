"""Reads the `#SBATCH` lines of a job script, as sbatch does: up to the first line that is a command. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from kyoyo.errors import BadScript, UsageError
from kyoyo.script.directives import Directives, directives_of
from kyoyo.script.options import Given, read_options


def parse_script(text: str) -> Directives:
    """The directives of a script; a later one overrides an earlier one. BadScript names the line and the reason."""
    if not text:
        raise BadScript(key="wrong.empty")
    if not text.startswith("#!"):
        raise BadScript(key="wrong.no_shebang")
    if "\r\n" in text:
        raise BadScript(key="wrong.dos")
    found = Directives()
    for number, line in _directive_lines(text):
        try:
            found = directives_of(_given(line), found)
        except UsageError as wrong:
            raise wrong.in_line(number) from wrong
        except ValueError as wrong:  # of shlex: a quote that is never closed
            raise BadScript(key="wrong.quotes", line=number) from wrong
    return found


def _given(line: str) -> Sequence[Given]:
    given, rest = read_options(_words(line))
    if rest:
        raise UsageError(key="wrong.word", word=repr(rest[0]))
    return given


def _directive_lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.startswith("#SBATCH") and line[7:8] in {"", " ", "\t"}:
            yield number, line[7:]
        elif line.strip() and not line.lstrip().startswith("#"):
            return


def _words(line: str) -> list[str]:
    """The words of a line; the rest after a word that begins with # is a comment."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=False)
    lexer.whitespace_split = True
    lexer.commenters = ""
    found: list[str] = []
    for word in lexer:  # lazy: an odd quote inside a comment is never reached
        if word.startswith("#"):
            break
        found.append(word)
    return found
