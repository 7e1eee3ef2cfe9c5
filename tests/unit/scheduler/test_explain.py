"""Every reason and every event has its sentence, in both languages, and no fact stays unfilled."""

from __future__ import annotations

import re
from functools import partial
from itertools import product
from pathlib import Path
from typing import get_args

import pytest

import hpc_adapters
from hpc_adapters.pbs.request import PERMANENT
from hpc_adapters.slurm import refusals
from hpc_adapters.workloads.circuit_refusals import CODES
from scheduler.core.decided import Way
from scheduler.core.events import Event
from scheduler.core.explain import Sentence, what_happened, why_it_waits, why_then
from scheduler.core.lifecycle import LEGAL
from scheduler.core.model import EndReason, State
from scheduler.core.reasons import Why
from scheduler.core.refused import OTHER, advice
from scheduler.core.wording import DECIDED, ENDS, EVENTS, TURN, WAITS

ADAPTERS = Path(hpc_adapters.__file__).parent
FACTS = {
    "jobs": ["3", "7"],
    "position": 3,
    "needed": {"gpus": 2, "memory_mb": 512},
    "free": {},
    "total": {"gpus": 1},
    "since": "2026-04-01T02:00:00+00:00",
    "until": "2026-04-01T03:00:00+00:00",
    "kind": "calibrating",
    "level": "project",
    "on": "*",
    "at": "2026-04-01T03:00:00+00:00",
    "reservation": "R3",
    "running": 4,
    "used": 4,
    "asked": 1,
    "max": 4,
    "held": 3.5,
    "nominal": 2.67,
    "own": 2.0,
    "backend": "h200",
    "code": "declaration-expired",
}
# never noted, or only as an end
SILENT = {
    "SeenWaiting",
    "SeenUnknown",
    "Refused",
    "Ended",
    "NeverReady",
    "ReservationOver",
    "NotStaged",
    "DeviceAway",
    "DoneEarly",
}


@pytest.mark.parametrize("why", Why)
def test_every_reason_has_both_sentences(why: Why) -> None:
    sentence = why_it_waits(why, FACTS)
    assert "?" not in sentence.ja + sentence.en
    assert "{" not in sentence.ja + sentence.en
    assert sentence.ja.endswith("(順番: 3番目)")
    assert sentence.en.endswith("(position 3 in line)")


def test_a_reason_speaks_of_amounts_and_times_as_people_do() -> None:
    sentence = why_it_waits(Why.NO_CAPACITY, {"needed": {"gpus": 2, "memory_mb": 512}, "free": {}})
    assert sentence.ja == "空き資源が足りません。必要: GPU 2基、メモリ 512 MB / 空き: なし"
    assert sentence.en == "Not enough is free. Needed: 2 GPU, 512 MB of memory; free: none."
    assert "2026-04-01 12:00:00 JST" in why_it_waits(Why.RETRY_LATER, FACTS).ja


def test_an_old_row_without_its_facts_does_not_break_a_page() -> None:
    assert "?" in why_it_waits(Why.NO_CAPACITY, {}).en


@pytest.mark.parametrize("kind", sorted({each.__name__ for each in get_args(Event)} - SILENT))
def test_every_noted_event_has_both_sentences(kind: str) -> None:
    sentence = what_happened(kind, State.QUEUED, {"detail": "no-room"})
    assert kind not in {sentence.ja, sentence.en}


@pytest.mark.parametrize(("state", "reason"), list(product([s for s in State if not LEGAL[s]], [None, *EndReason])))
def test_every_end_has_both_sentences(state: State, reason: str | None) -> None:
    sentence = what_happened("Ended", state, {"exit_code": 3}, reason)
    assert "{" not in sentence.ja + sentence.en


def test_a_refusal_by_the_machine_names_its_code_and_what_to_do() -> None:
    facts = {"code": "image-not-allowed", "facts": {"asked": "evil", "allowed": "torch"}}
    sentence = what_happened("Refused", State.FAILED, facts, "refused:image-not-allowed")
    assert "(image-not-allowed)" in sentence.ja
    assert "指定: evil / 使用できるもの: torch" in sentence.ja
    assert sentence.en == (
        "The machine refused it (image-not-allowed); nothing is charged. The machine does not offer what was named. "
        "Check the name and submit it again. Asked for: evil; offered: torch."
    )


def test_a_refusal_that_nobody_has_words_for_is_a_sentence_all_the_same() -> None:
    sentence = what_happened("Refused", State.FAILED, {}, "refused:of-tomorrow")
    assert sentence.en.endswith("tell our support this code.")
    assert sentence.ja.endswith("当方の窓口にこのコードを伝えてください。")


def test_every_code_that_an_adapter_says_has_its_advice() -> None:
    said = set(re.findall(r'Rejected\(\s*"([a-z0-9-]+)"', "".join(path.read_text() for path in ADAPTERS.rglob("*.py"))))
    said |= {*refusals.NEVER.values(), refusals.OTHER, refusals.NOT_UNDERSTOOD, *PERMANENT.values(), *CODES}
    assert len(said) > 40
    assert {code for code in said if advice(code) == OTHER} == set()


def test_a_failure_says_the_machines_own_word_for_it_where_there_is_one() -> None:
    facts = {"exit_code": 65, "detail": "unknown-gate"}
    sentence = what_happened("Ended", State.FAILED, facts, "exit_code")
    assert "定義されていないゲートがあります [unknown-gate]" in sentence.ja
    assert sentence.en == (
        "The program ended with an error (it calls a gate that is not defined [unknown-gate], exit code 65)."
    )
    assert "(of-tomorrow, " in what_happened("Ended", State.FAILED, facts | {"detail": "of-tomorrow"}, "exit_code").en


def test_other_ends_say_the_machines_word_only_where_it_means_something() -> None:
    lost = partial(what_happened, "Ended", State.LOST, reason="node_failed")
    assert lost(facts={"detail": "lost-by-vendor"}).en == (
        "It was lost through a fault on the machine's side (the vendor lost it [lost-by-vendor]); nothing is charged."
    )
    assert lost(facts={"detail": "NODE_FAIL"}) == lost(facts={})
    assert what_happened("Ended", State.SUCCEEDED, {"detail": "idle"}).en.startswith("It succeeded (the session was")


@pytest.mark.parametrize("words", [*WAITS.values(), *EVENTS.values(), *ENDS.values(), *DECIDED.values(), TURN])
def test_both_languages_use_the_same_facts(words: tuple[str, str]) -> None:
    ja, en = ({part.split("}")[0] for part in text.split("{")[1:]} for text in words)
    assert ja == en


def test_each_way_to_start_and_to_have_to_leave_has_its_words() -> None:
    assert set(DECIDED) == {*Way, "least_work_lost"}
    turn = {"used_nu": 12.5, "weight": 2, "free": {"gpus": 4}, "waiting": 7}
    told = why_then({"rule": "behind", **turn})
    assert told is not None
    assert told.en == (
        "It fits meanwhile and delays nobody before it. "
        "(its organisation had used 12.5 NU at weight 2; free: 4 GPU; jobs waiting: 7)"
    )
    assert "12.5 NU・重み 2" in told.ja
    assert why_then({"rule": "in_order"}) == Sentence("順番が来たためです。", "It was its turn.")
    left = why_then({"rule": "least_work_lost", "lost_nu": 0.5, "ran_s": 900, "asked_in_hour": 1, "max_in_hour": 10})
    assert left is not None
    assert "0.5 NU of it, after 900 s" in left.en
    assert why_then({"rule": "of a later release"}) is None
