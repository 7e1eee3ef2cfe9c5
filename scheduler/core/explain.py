"""Sentences for machine reasons and events, in Japanese and English. Pure: a catalogue and the facts that fill it.

`facts` are those of a Wait or of an event; times are shown in Japan.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from string import Formatter

from infra.tokyo import TOKYO
from scheduler.core.details import words_for
from scheduler.core.model import State
from scheduler.core.reasons import Why
from scheduler.core.refused import ASKED, advice
from scheduler.core.remedies import Remedy
from scheduler.core.remedying import REMEDIES
from scheduler.core.wording import AHEAD_THERE, AT_VENDOR, DECIDED, ENDS, EVENTS, LEFT, TURN, UNITS, WAITS, WORDS

_LISTED = 5


@dataclass(frozen=True, slots=True)
class Sentence:
    """One statement in both languages."""

    ja: str
    en: str


def why_it_waits(why: Why, facts: Mapping[str, object]) -> Sentence:
    """Why an attempt waits, how far it is from the head of its line, and how long the vendor's own line is."""
    return _with_others(_here(why, facts), facts.get("elsewhere"))


def _here(why: Why, facts: Mapping[str, object]) -> Sentence:
    sentence = _filled(WAITS[why], facts)
    position, more_ja, more_en = facts.get("position"), [], []
    if position is not None:
        more_ja.append(f"順番: {position}番目")
        more_en.append(f"position {position} in line")
    if facts.get("vendor_queue") is not None:
        vendor = _filled(AT_VENDOR, facts)
        more_ja.append(vendor.ja)
        more_en.append(vendor.en)
    if not more_ja:
        return sentence
    return Sentence(f"{sentence.ja}({'、'.join(more_ja)})", f"{sentence.en} ({', '.join(more_en)})")


def what_helps(remedy: Remedy) -> Sentence:
    """What its owner may do so that a waiting job starts earlier, or what brings that about by itself."""
    return _filled(REMEDIES[remedy.code], remedy.facts)


def _with_others(here: Sentence, elsewhere: object) -> Sentence:
    """Why it does not start on the other offerings of its job either, where that is known."""
    told = here
    for name, facts in elsewhere.items() if isinstance(elsewhere, Mapping) else ():
        if isinstance(facts, Mapping) and str(facts.get("why")) in Why.__members__:
            why = Why(str(facts["why"]))
            is_undated = why is Why.RESERVED_FOR_EARLIER and "until" not in facts
            there = _filled(AHEAD_THERE if is_undated else WAITS[why], facts)
            told = Sentence(f"{told.ja} {name}でも: {there.ja}", f"{told.en} On {name}: {there.en}")
    return told


def what_happened(kind: str, state: State, facts: Mapping[str, object], reason: str | None = None) -> Sentence:
    """One event of a story. An event that ended the attempt says how; `reason` is the attempt's."""
    if state.is_terminal:
        return how_it_ended(state, reason, facts)
    known = EVENTS.get((kind, state)) or EVENTS.get((kind, None))
    return _filled(known, facts) if known else Sentence(kind, kind)


def why_then(facts: Mapping[str, object]) -> Sentence | None:
    """Why it started, or had to make room, just then: of the record of that decision. None: of an unknown rule."""
    known = DECIDED.get(str(facts.get("rule")))
    if known is None:
        return None
    told = _filled(known, facts)
    if "used_nu" not in facts:
        return told
    figures = _filled(TURN, facts)
    return Sentence(f"{told.ja}({figures.ja})", f"{told.en} ({figures.en})")


def how_it_ended(state: State, reason: str | None, facts: Mapping[str, object]) -> Sentence:
    """The end of an attempt and its cause, with the backend's own word for it where it gave one."""
    cause, _, code = (reason or "").partition(":")
    explained = ENDS.get((state, f"{cause}, explained".removeprefix(", "))) if _has_word(state, facts) else None
    known = explained or ENDS.get((state, cause)) or ENDS[(state, "")]
    told = _filled(known, {**facts, "code": code})
    return _advised(told, code, facts) if cause == "refused" else told


def _has_word(state: State, facts: Mapping[str, object]) -> bool:
    """Whether there is more to say. Of a failure whatever the machine says, else what there are words for."""
    said = facts.get("detail")
    return bool(said) and (state is State.FAILED or words_for(str(said)) is not None)


def what_is_left(state: State, *, phase: str, attempts: int, phases: int, amount: str) -> Sentence:
    """Of a job that ended before its last phase. phase: which one ended it; amount: yen that the others were quoted."""
    return _filled(LEFT[state], {"phase": phase, "attempts": attempts, "phases": phases, "amount": amount})


def _advised(told: Sentence, code: str, facts: Mapping[str, object]) -> Sentence:
    """With what is to be done, and the names that the machine would take where it said them."""
    said = facts.get("facts")
    names = said if isinstance(said, Mapping) else {}
    pairs = [advice(code), *([ASKED] if {"asked", "allowed"} <= names.keys() else [])]
    more = [_filled(pair, names) for pair in pairs]
    return Sentence(told.ja + "".join(each.ja for each in more), " ".join([told.en, *(each.en for each in more)]))


def _filled(pair: tuple[str, str], facts: Mapping[str, object]) -> Sentence:
    ja, en = pair
    return Sentence(_format(ja, facts, 0), _format(en, facts, 1))


def _format(text: str, facts: Mapping[str, object], language: int) -> str:
    """A missing fact is shown as '?': an old row must not break a page."""
    names = {name for _, name, _, _ in Formatter().parse(text) if name}
    return text.format(**{name: _word(name, facts.get(name, "?"), language) for name in names})


def _word(name: str, value: object, language: int) -> str:
    """A machine word that has a name for people, else as _shown()."""
    if name == "detail" and (pair := words_for(str(value))) is not None:
        return f"{pair[language]} [{value}]"
    if name == "limit_s" and isinstance(value, int):
        return f"{value // 3600}:{value % 3600 // 60:02d}"
    known = WORDS.get(name, {}).get(value) if isinstance(value, str) else None
    return known[language] if known else _shown(value, language)


def _shown(value: object, language: int) -> str:
    if isinstance(value, Mapping):
        parts = [UNITS[unit][language].format(value[unit]) for unit in UNITS if unit in value]
        return ("、", ", ")[language].join(parts) or ("なし", "none")[language]
    if isinstance(value, list | tuple):
        return _listed([_shown(each, language) for each in value], language)
    if isinstance(value, str) and "T" in value:
        return _moment(value)
    return str(value)


def _listed(items: Sequence[str], language: int) -> str:
    """The first few: a job may wait for hundreds."""
    more = len(items) - _LISTED
    text = ("、", ", ")[language].join(items[:_LISTED])
    return text if more <= 0 else text + (f" ほか{more}件", f" and {more} more")[language]


def _moment(text: str) -> str:
    try:
        return datetime.fromisoformat(text).astimezone(TOKYO).strftime("%Y-%m-%d %H:%M:%S JST")
    except ValueError:
        return text
