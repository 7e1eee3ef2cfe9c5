from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_adapters.contract import BY_OWNER, Seen
from hpc_adapters.slurm import translate
from hpc_adapters.slurm.models import DbJob, LiveJob, jobs
from tests.support import slurm_golden
from tests.support.slurm_golden import Offer, offers

every_offer = pytest.mark.parametrize("offer", offers(), ids=str)


def live(offer: Offer) -> dict[str, LiveJob]:
    return {job.name: job for job in jobs.live_jobs(offer.body("live_jobs")["jobs"]).items}


def recorded(offer: Offer, name: str) -> list[DbJob]:
    return [job for job in jobs.db_jobs(offer.body("db_jobs")["jobs"]).items if job.name == name]


def told_states() -> list[tuple[str, str]]:
    """Every word that a real server's own description has for the state of a job."""
    return [
        (release, word)
        for release in slurm_golden.releases()
        for word in sorted(
            {
                word
                for words in slurm_golden.description(release)["enums"].values()
                if {"PENDING", "TIMEOUT"} <= set(words)
                for word in words
            }
        )
    ]


@pytest.mark.parametrize(("release", "word"), told_states())
def test_every_word_of_the_real_servers_is_in_a_table(release: str, word: str) -> None:
    tables = (translate.BASES, translate.NOT_YET_AN_END, translate.NOT_YET_A_START, translate.PASSING)
    assert sum(word in table for table in tables) == 1
    for state in [(word,)] if word in translate.BASES else [("RUNNING", word), ("PENDING", word), ("COMPLETED", word)]:
        assert translate.words(state)[1] != "unknown-state"


def test_the_description_names_the_states() -> None:
    assert {word for _, word in told_states()} >= {*translate.BASES, "COMPLETING", "EXPEDITING"}


@every_offer
@pytest.mark.parametrize(
    ("name", "seen", "detail", "exit_code"),
    [
        ("running", Seen.RUNNING, "", None),
        ("suspended", Seen.RUNNING, "suspended", None),
        ("done", Seen.SUCCEEDED, "", 0),
        ("failed", Seen.FAILED, "", 3),
        ("signalled", Seen.FAILED, "signal-9", 137),
        ("timeout", Seen.TIMED_OUT, "", None),
        ("preempted", Seen.PREEMPTED, "", None),
        ("node-fail", Seen.NODE_FAILED, "", None),
        ("by-owner", Seen.CANCELLED, "", None),
        ("held", Seen.WAITING, "held", None),
        ("held-cancelled", Seen.CANCELLED, "", None),
        ("later", Seen.WAITING, "begin-time", None),
        ("dependency-never", Seen.WAITING, "dependency-never", None),
        ("impossible", Seen.FAILED, "bad-constraints", None),
    ],
)
def test_a_live_job_is_what_slurm_says(offer: Offer, name: str, seen: Seen, detail: str, exit_code: int | None) -> None:
    assert translate.live(live(offer)[name]) == translate.Verdict(seen, detail, exit_code)


@every_offer
@pytest.mark.parametrize(("name", "detail"), [("by-owner", BY_OWNER), ("by-root", "")])
def test_slurmdbd_knows_who_cancelled(offer: Offer, name: str, detail: str) -> None:
    (job,) = recorded(offer, name)
    assert translate.recorded(job) == translate.Verdict(Seen.CANCELLED, detail)


@every_offer
def test_a_requeue_closes_a_record_as_preempted(offer: Offer) -> None:
    verdicts = {job.state: translate.recorded(job) for job in recorded(offer, "requeued")}
    assert verdicts == {
        ("PENDING", "REQUEUED"): translate.Verdict(Seen.PREEMPTED, "requeued"),
        ("COMPLETED",): translate.Verdict(Seen.SUCCEEDED, "", 0),
    }


@pytest.mark.parametrize(
    ("state", "seen", "detail"),
    [
        (("COMPLETED", "COMPLETING"), Seen.RUNNING, "completing"),
        (("CANCELLED", "COMPLETING"), Seen.RUNNING, "completing"),
        (("PENDING", "COMPLETING", "REQUEUED"), Seen.RUNNING, "completing"),
        (("RUNNING", "CONFIGURING"), Seen.WAITING, "configuring"),
        (("RUNNING", "POWER_UP_NODE"), Seen.WAITING, "powering-up"),
        (("RUNNING", "STOPPED"), Seen.RUNNING, "stopped"),
        (("RUNNING", "EXPEDITING"), Seen.RUNNING, "expediting"),
        (("COMPLETED", "STAGE_OUT"), Seen.SUCCEEDED, "stage-out"),
        (("PENDING", "REQUEUE_HOLD", "LAUNCH_FAILED"), Seen.WAITING, "requeued-held"),
        (("OUT_OF_MEMORY",), Seen.OUT_OF_MEMORY, ""),
        (("BOOT_FAIL",), Seen.NODE_FAILED, ""),
        (("DEADLINE",), Seen.CANCELLED, ""),
        (("REVOKED",), Seen.CANCELLED, "revoked"),
        (("FROZEN_IN_TIME",), Seen.UNKNOWN, "unknown-state"),
        (("RUNNING", "FROZEN_IN_TIME"), Seen.RUNNING, "unknown-state"),
        (("COMPLETED", "FROZEN_IN_TIME"), Seen.UNKNOWN, "unknown-state"),
        ((), Seen.UNKNOWN, "unknown-state"),
    ],
)
def test_flags_change_what_a_base_means(state: tuple[str, ...], seen: Seen, detail: str) -> None:
    assert translate.words(state) == (seen, detail)


@given(st.lists(st.sampled_from([word for _, word in told_states()]) | st.text(max_size=12), max_size=4))
def test_completing_is_never_an_end_and_a_strange_word_never_makes_one(state: list[str]) -> None:
    seen, _ = translate.words(tuple(state))
    if "COMPLETING" in state:
        assert not seen.is_end
    ends = {word for word, meaning in translate.BASES.items() if meaning.is_end} | set(translate.ALONE)
    if not ends & set(state):
        assert not seen.is_end


@pytest.mark.parametrize(
    ("reason", "detail", "is_stuck"),
    [
        ("None", "", False),
        ("Priority", "priority", False),
        ("Resources", "resources", False),
        ("JobHeldUser", "held", True),
        ("JobHeldAdmin", "held-by-site", True),
        ("launch failed requeued held", "launch-failed-held", True),
        ("BadConstraints", "bad-constraints", True),
        ("DependencyNeverSatisfied", "dependency-never", True),
        ("Dependency", "dependency", False),
        ("QOSMaxGRESPerUser", "site-limit", False),
        ("QOSGrpGRESMinutes", "site-limit", False),
        ("AssocGrpGRES", "site-limit", False),
        ("AssocMaxWallDurationPerJobLimit", "site-limit", False),
        ("QOSGrpCpuLimit", "site-limit", False),
        ("ReqNodeNotAvail, UnavailableNodes:gpu[0-3]", "nodes-not-available", False),
        ("PartitionTimeLimit", "partition-limit", True),
        ("PartitionDown", "partition-down", False),
        ("Licenses", "licenses", False),
        ("Reservation", "reservation", False),
        ("InvalidQOS", "invalid-qos", True),
    ],
)
def test_reasons_are_machine_words(reason: str, detail: str, *, is_stuck: bool) -> None:
    job = replace(live(offers()[0])["held"], reason=reason)
    verdict = translate.live(job)
    assert verdict == translate.Verdict(Seen.WAITING, detail)
    assert verdict.is_stuck == is_stuck


@given(st.text())
def test_no_text_of_a_tenants_passes_as_a_reason(reason: str) -> None:
    word = translate.reason(reason)
    assert len(word) <= 40
    assert set(word) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


@pytest.mark.parametrize("reason", sorted(translate.OUR_FAULT))
def test_a_program_that_had_no_chance_is_our_fault(reason: str) -> None:
    job = replace(live(offers()[0])["failed"], reason=reason)
    assert translate.live(job).seen is Seen.NODE_FAILED


@pytest.mark.parametrize(
    ("state", "kill_by"), list(product(["FAILED", "PREEMPTED", "TIMEOUT", "COMPLETED"], ["alice", "root"]))
)
def test_only_a_cancelled_job_was_cancelled(state: str, kill_by: str) -> None:
    (job,) = recorded(offers()[0], "by-owner")
    changed: dict[str, Any] = {"state": (state,), "kill_by": kill_by}
    assert translate.recorded(replace(job, **changed)).detail != BY_OWNER
