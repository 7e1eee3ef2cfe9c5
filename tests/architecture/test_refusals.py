"""Every "no" has a name, a stable code, an HTTP status, and two sentences in Japanese and English: decision 0008."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from string import Formatter

import pytest

from infra.refusal import Refusal
from portal.language import Language, catalogue
from portal.refusals import STATUS
from tests.support.repository import PACKAGES, ROOT, parsed, python_files, shown

WORDS = ("message", "remedy")
NOT_REFUSALS = {"internal-error"}  # told in the same form


def _every_refusal() -> list[type[Refusal]]:
    for path in python_files(*PACKAGES):
        if path.stem == "errors":
            import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    return sorted(_below(Refusal), key=lambda refusal: (refusal.__module__, refusal.__name__))


def _below(base: type[Refusal]) -> Iterator[type[Refusal]]:
    for refusal in base.__subclasses__():
        if refusal.__module__.split(".")[0] in PACKAGES:
            yield refusal
        yield from _below(refusal)


EVERY = _every_refusal()
NAMED = [refusal for refusal in EVERY if hasattr(refusal, "code")]


@cache  # not read when the tests are only listed, by each worker
def _raised() -> dict[str, list[tuple[str, frozenset[str]]]]:
    """By class name: where a refusal is made, and with which facts."""
    names = {refusal.__name__ for refusal in NAMED}
    made: dict[str, list[tuple[str, frozenset[str]]]] = {name: [] for name in names}
    for path in python_files(*PACKAGES):
        for node in ast.walk(parsed(path)):
            match node:
                case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), keywords=keywords) if name in names:
                    facts = frozenset(keyword.arg or "**" for keyword in keywords)
                    made[name].append((f"{shown(path)}:{node.lineno}", facts))
                case ast.Raise(exc=ast.Name(id=name)) if name in names:
                    made[name].append((f"{shown(path)}:{node.lineno}", frozenset()))
                case _:
                    pass
    return made


def test_there_are_refusals_in_every_package_that_has_errors() -> None:
    assert {refusal.__module__.split(".")[0] for refusal in NAMED} >= {"accounts", "pricing", "scheduler", "portal"}


def test_a_refusal_is_defined_in_an_errors_module() -> None:
    known = {"Refusal", *(refusal.__name__ for refusal in EVERY)}
    elsewhere = [
        f"{shown(path)}:{node.lineno} {node.name}"
        for path in python_files(*PACKAGES)
        if path.stem != "errors"
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ClassDef)
        if any(isinstance(base, ast.Name) and base.id in known for base in node.bases)
    ]
    assert elsewhere == []


def test_no_two_refusals_share_a_code() -> None:
    codes = Counter(refusal.code for refusal in NAMED)
    assert [code for code, count in codes.items() if count > 1] == []


@pytest.mark.parametrize("refusal", NAMED, ids=lambda refusal: refusal.__name__)
def test_a_code_is_in_kebab_case(refusal: type[Refusal]) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", refusal.code)


@pytest.mark.parametrize("refusal", NAMED, ids=lambda refusal: refusal.__name__)
def test_every_refusal_has_an_http_status(refusal: type[Refusal]) -> None:
    assert 400 <= STATUS[refusal] < 600


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("refusal", NAMED, ids=lambda refusal: refusal.__name__)
def test_every_refusal_says_what_and_what_to_do_with_facts_it_has(refusal: type[Refusal], language: Language) -> None:
    for word in WORDS:
        sentence = catalogue(language).texts[f"refusal.{refusal.code}.{word}"]
        assert sentence.strip()
        placeholders = {name for _, name, _, _ in Formatter().parse(sentence) if name}
        for where, facts in _raised()[refusal.__name__]:
            assert placeholders <= facts or "**" in facts, f"{where}: {sentence}"


@pytest.mark.parametrize("language", Language)
def test_no_sentence_is_left_of_a_refusal_that_is_gone(language: Language) -> None:
    codes = {key.split(".")[1] for key in catalogue(language).texts if key.startswith("refusal.")}
    assert codes - {refusal.code for refusal in NAMED} <= NOT_REFUSALS
