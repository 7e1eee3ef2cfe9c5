from __future__ import annotations

from collections.abc import Mapping
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_adapters.contract import Seen
from hpc_adapters.errors import Rejected, Unavailable
from hpc_adapters.pbs import accounting, parsing, request, translate
from hpc_adapters.pbs.commands import Done
from hpc_adapters.pbs.parsing import Job

# pbs_job_attributes(7B) of OpenPBS
STATES = "BEFHMQRSTUWX"


def job(
    state: str,
    *,
    exit_status: int | None = None,
    substate: int | None = None,
    used: Mapping[str, str] | None = None,
    started: bool = True,
) -> Job:
    told: dict[str, object] = {
        "job_state": state,
        "Resource_List": {"walltime": "00:01:00"},
        "resources_used": used or {},
    }
    if started:
        told["stime"] = "Tue Oct  4 21:23:33 2022"
    if exit_status is not None:
        told["Exit_status"] = exit_status
    if substate is not None:
        told["substate"] = substate
    [found] = parsing._mapping({"1.pbs": told}).items()
    return parsing._job(*found, ZoneInfo("UTC"))


@pytest.mark.parametrize("state", sorted(set(STATES) - {"F"}))
def test_every_state_has_a_word_and_none_but_f_is_an_end(state: str) -> None:
    seen, _ = translate.seen(job(state))
    assert not seen.is_end


@given(st.text(max_size=3).filter(lambda text: text not in STATES))
def test_a_state_that_nobody_knows_is_unknown(state: str) -> None:
    assert translate.seen(job(state))[0] is Seen.UNKNOWN


@pytest.mark.parametrize(
    ("exit_status", "expected"),
    [
        (0, Seen.SUCCEEDED),
        (1, Seen.FAILED),
        (137, Seen.FAILED),
        (271, Seen.CANCELLED),
        (265, Seen.FAILED),
        (-27, Seen.OUT_OF_MEMORY),
        (-29, Seen.TIMED_OUT),
        (-20, Seen.NODE_FAILED),
        (-1, Seen.NODE_FAILED),
        (-99, Seen.UNKNOWN),
    ],
)
def test_exit_codes(exit_status: int, expected: Seen) -> None:
    assert translate.seen(job("F", exit_status=exit_status))[0] is expected


def test_the_signal_at_the_end_of_the_walltime_is_no_cancel() -> None:
    used = {"walltime": "00:01:03"}
    assert translate.seen(job("F", exit_status=271, used=used)) == (Seen.TIMED_OUT, "")
    assert translate.seen(job("F", exit_status=271, used=used, substate=translate.TERMINATED)) == (Seen.CANCELLED, "")


def test_deleted_before_it_ran_is_cancelled_and_a_run_without_an_exit_code_is_a_riddle() -> None:
    assert translate.seen(job("F", started=False)) == (Seen.CANCELLED, "deleted-in-queue")
    assert translate.seen(job("F")) == (Seen.UNKNOWN, "no-exit-status")


@given(st.integers(-40, 600))
def test_every_exit_code_is_an_end_or_openly_unknown(exit_status: int) -> None:
    seen, detail = translate.ending(exit_status, deleted=False, used_up_walltime=False)
    assert seen.is_end or detail == "unknown-exit-status"
    code = translate.exit_code(exit_status)
    assert code is None or code >= 0


@pytest.mark.parametrize("message", request.PERMANENT)
def test_what_the_server_never_takes_is_rejected(message: str) -> None:
    problem = request.refusal(Done(170, b"", f"qsub: {message}"))
    assert isinstance(problem, Rejected)
    assert problem.code == problem.code.lower().replace("_", "-")


@pytest.mark.parametrize("message", request.TEMPORARY)
def test_what_it_may_take_later_was_not_done(message: str) -> None:
    problem = request.refusal(Done(1, b"", f"qsub: {message}"))
    assert isinstance(problem, Unavailable)
    assert not problem.maybe_done


def test_a_complaint_that_nobody_knows_may_have_left_a_job() -> None:
    problem = request.refusal(Done(1, b"", "qsub: something new"))
    assert isinstance(problem, Unavailable)
    assert problem.maybe_done


@given(st.text())
def test_no_line_breaks_the_accounting(line: str) -> None:
    found = accounting.record(line)
    assert found is None or found.kind.isalpha()
