"""Checks of a program as text, before anything parses it: cheap, linear, and safe for a server to do."""

from __future__ import annotations

import re
from collections.abc import Iterator

from hpc_adapters.workloads.circuit_refusals import CircuitRefused

MAX_BYTES = 256 * 1024
MAX_BRACKETS = 32
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_VERSION = re.compile(r"OPENQASM[ \t]+(\d{1,9})(?:\.(\d{1,9}))?[ \t]*;")


def check_text(program: bytes) -> str:
    """The program as text. CircuitRefused with what is wrong with it."""
    if len(program) > MAX_BYTES:
        raise CircuitRefused("program-too-large", bytes=len(program), max_bytes=MAX_BYTES)
    try:
        text = program.decode()
    except UnicodeDecodeError as error:
        raise CircuitRefused("not-utf-8", at_byte=error.start) from error
    if (odd := _CONTROL.search(text)) is not None:
        raise CircuitRefused("control-characters", at_character=odd.start())
    header = _VERSION.match(_after_comments(text))
    if header is None or header[1] != "3":
        raise CircuitRefused("not-openqasm-3")
    if (depth := max(_bracket_depths(text), default=0)) > MAX_BRACKETS:
        raise CircuitRefused("nesting-too-deep", depth=depth, max_depth=MAX_BRACKETS)
    return text


def _after_comments(text: str) -> str:
    """The text from its first word on. No regular expression: nested repetition would be slow on hostile input."""
    at = 0
    while True:
        while at < len(text) and text[at].isspace():
            at += 1
        if text.startswith("//", at):
            end = text.find("\n", at)
        elif text.startswith("/*", at):
            end = text.find("*/", at + 2) + 1
        else:
            return text[at:]
        if end <= 0:
            return ""
        at = end + 1


def _bracket_depths(text: str) -> Iterator[int]:
    """Depth at every bracket. Brackets in comments count as well: an upper bound is enough here."""
    depth = 0
    for bracket in re.finditer(r"[()\[\]{}]", text):
        depth = depth + 1 if bracket[0] in "([{" else max(0, depth - 1)
        yield depth
