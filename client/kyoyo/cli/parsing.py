"""What the parser of the command line found wrong, in the reader's language: it knows English only."""

from __future__ import annotations

import re

from kyoyo.texts import Texts

_SENTENCES = (
    (re.compile(r"No such command '(?P<word>.+)'\."), "wrong.cli_command"),
    (re.compile(r"No such option: (?P<word>[^\s(]+).*", re.DOTALL), "wrong.cli_option"),
    (re.compile(r"Missing (?:argument|option|parameter) '(?P<word>.+?)'\..*", re.DOTALL), "wrong.cli_missing"),
    (re.compile(r"Option '(?P<word>.+)' requires an argument\."), "wrong.cli_value"),
    (re.compile(r"Invalid value for '(?P<word>.+?)': (?P<why>.+)", re.DOTALL), "wrong.cli_bad"),
    (re.compile(r"Got unexpected extra argument(?:s|\(s\))? \((?P<word>.+)\)", re.DOTALL), "wrong.cli_extra"),
)


def in_language(texts: Texts, message: str) -> str:
    """The sentence; one that we do not know stays as it is."""
    for pattern, key in _SENTENCES:
        if found := pattern.fullmatch(message):
            return texts(key, **found.groupdict())
    return message
