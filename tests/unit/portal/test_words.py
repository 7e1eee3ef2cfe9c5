"""Two languages with the same keys, pages without words of their own, and no key without a use."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from string import Formatter

import pytest
from jinja2 import Environment, nodes

from hpc_adapters.contract import Isolation
from portal.language import Language, catalogue, negotiate
from portal.pages.render import TEMPLATES, environment
from pricing.ledger.templates import Template
from pricing.model import Component, LotKind
from scheduler.core.dependencies import DependencyKind
from scheduler.core.model import Doubt, JobKind, State

JA, EN = catalogue(Language.JA), catalogue(Language.EN)
PAGES = sorted(TEMPLATES.glob("*.html"))
SPOKEN_ATTRIBUTES = {"alt", "title", "aria-label", "placeholder", "content", "value", "data-label"}
LETTER = re.compile(r"[^\W\d_]")


def test_both_languages_have_the_same_keys() -> None:
    assert JA.texts.keys() == EN.texts.keys()


def test_both_languages_tell_the_same_facts() -> None:
    differing = {key for key in JA.texts if _placeholders(JA.texts[key]) != _placeholders(EN.texts[key])}
    assert differing == set()


def _placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def test_no_refusal_is_left_untranslated() -> None:
    same = {key for key in JA.texts if key.startswith("refusal.") and JA.texts[key] == EN.texts[key]}
    assert same == set()


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("state", State),
        ("kind", JobKind),
        ("doubt", Doubt),
        ("entry", Template),
        ("lot", LotKind),
        ("unit", Component),
        ("isolation", Isolation),
        ("dependency", DependencyKind),
    ],
)
def test_every_machine_word_of_a_page_has_a_name(kind: str, values: type) -> None:
    for value in values:  # type: ignore[attr-defined]  # each is an enumeration
        assert f"{kind}.{value.value}" in JA.texts


class _Words(HTMLParser):
    """Everything in a template that a reader would see or hear, with the template's own instructions taken out."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_data(self, data: str) -> None:
        self.found.append(data)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag == "meta":
            return
        self.found += [value or "" for name, value in attributes if name in SPOKEN_ATTRIBUTES]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_has_no_words_of_its_own(path: Path) -> None:
    words = _Words()
    words.feed(re.sub(r"\{%.*?%\}|\{\{.*?\}\}|\{#.*?#\}", "", path.read_text(encoding="utf-8"), flags=re.DOTALL))
    assert [text for text in words.found if LETTER.search(text)] == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_uses_only_sentences_that_are_there(path: Path) -> None:
    for key in _keys(path):
        assert key in JA.texts


def _keys(path: Path) -> set[str]:
    tree = Environment(autoescape=True).parse(path.read_text(encoding="utf-8"))
    return {
        call.args[0].value
        for call in tree.find_all(nodes.Call)
        if isinstance(call.node, nodes.Name) and call.node.name == "t" and isinstance(call.args[0], nodes.Const)
    }


def test_every_sentence_of_the_pages_is_used() -> None:
    sources = [path.read_text(encoding="utf-8") for path in [*PAGES, *TEMPLATES.parent.glob("*.py")]]
    machine_words = ("state.", "kind.", "lot.", "entry.", "unit.", "resource.", "isolation.", "doubt.", "fact.")
    others = ("refusal.", "demo.", *machine_words)
    unused = [
        key for key in JA.texts if not key.startswith(others) and not any(f'"{key}"' in source for source in sources)
    ]
    assert [key for key in unused if key.split(".")[0] in _sections_of_pages()] == []


def _sections_of_pages() -> set[str]:
    return {key.split(".")[0] for path in PAGES for key in _keys(path)}


@pytest.mark.parametrize("language", Language)
def test_an_unknown_name_in_a_template_is_an_error(language: Language) -> None:
    with pytest.raises(Exception, match="nobody"):
        environment(language).from_string("{{ nobody }}").render()


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", Language.EN),
        ("ja", Language.JA),
        ("ja-JP,ja;q=0.9,en;q=0.8", Language.JA),
        ("en-US,en;q=0.9,ja;q=0.5", Language.EN),
        ("en;q=0.5,ja;q=0.5", Language.JA),
        ("fr,de", Language.EN),
        ("ja;q=0", Language.EN),
        ("ja;q=nonsense", Language.EN),
        ("JA", Language.JA),
        ("*", Language.EN),
        (",;q=,=;;", Language.EN),
    ],
)
def test_the_reader_is_answered_in_the_better_liked_language(header: str, language: Language) -> None:
    assert negotiate(header) is language
