from __future__ import annotations

import re
from pathlib import Path
from string import Formatter

import pytest

import kyoyo
from kyoyo.texts import LANGUAGES, Texts, language_of

SOURCE = "\n".join(
    path.read_text() for path in Path(kyoyo.__file__).parent.rglob("*.py") if "messages" not in path.name
)


def facts(sentence: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(sentence) if name}


def test_both_languages_have_the_same_keys() -> None:
    assert LANGUAGES["ja"].keys() == LANGUAGES["en"].keys()


@pytest.mark.parametrize("key", sorted(LANGUAGES["en"]))
def test_both_languages_tell_the_same_facts(key: str) -> None:
    assert facts(LANGUAGES["ja"][key]) == facts(LANGUAGES["en"][key])


def test_every_sentence_that_the_code_names_exists() -> None:
    named = set(re.findall(r'"((?:say|option|wrong)\.[a-z_.]+)"', SOURCE))
    assert named
    assert named <= LANGUAGES["en"].keys()


def test_no_sentence_is_left_over() -> None:
    named = set(re.findall(r'"((?:say|option|wrong)\.[a-z_.]+)"', SOURCE))
    assert {key for key in LANGUAGES["en"] if key.startswith(("say.", "option.", "wrong."))} <= named


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({}, "en"),
        ({"LANG": "ja_JP.UTF-8"}, "ja"),
        ({"LC_ALL": "", "LANG": "ja_JP.UTF-8"}, "ja"),
        ({"LC_ALL": "C.UTF-8", "LANG": "ja_JP.UTF-8"}, "en"),
        ({"LC_MESSAGES": "ja_JP", "LANG": "en_US"}, "ja"),
        ({"KYOYO_LANG": "ja", "LC_ALL": "de_DE.UTF-8"}, "ja"),
        ({"KYOYO_LANG": "fr"}, "en"),
    ],
)
def test_the_language_follows_the_locale(environment: dict[str, str], language: str) -> None:
    assert language_of(environment) == language


def test_a_word_that_no_catalogue_has_stays_as_it_is() -> None:
    assert Texts("ja").get("state.HIBERNATING", "HIBERNATING") == "HIBERNATING"
