"""What each answer of a real server means, whatever its HTTP status says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_adapters.errors import Rejected, Unavailable
from hpc_adapters.slurm import answers, refusals
from hpc_adapters.slurm.answers import VersionGone, read
from hpc_adapters.slurm.faults import Family, Fault, SlurmError, TokenRefused, family
from tests.support.slurm_golden import Offer, offers

every_offer = pytest.mark.parametrize("offer", offers(), ids=str)


def read_recorded(offer: Offer, name: str) -> tuple[Any, bool]:
    told = offer.exchange(name)
    content = told["body"] if isinstance(told["body"], str) else json.dumps(told["body"])
    return read(told["status"], content.encode(), may_act=told["request"]["method"] != "GET")


@every_offer
@pytest.mark.parametrize(
    "name",
    [
        "live_jobs",
        "live_jobs_unchanged",
        "live_job",
        "db_jobs",
        "db_job_requeued",
        "db_job_unknown",
        "nodes",
        "partitions",
        "diag",
        "clusters",
        "accounts",
        "users",
        "associations",
        "qos",
        "submit_accepted",
        "submit_unknown_field",
        "future_token",
    ],
)
def test_a_good_answer_is_its_body(offer: Offer, name: str) -> None:
    assert read_recorded(offer, name) == (offer.body(name), False)


@every_offer
@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("live_job_unknown", 2017),
        ("cancel_other_user", 2172),
        ("cancel_other_name", 2172),
        ("cancel_ended", 2021),
        ("cancel_unknown", 2017),
        ("put_account_refused", 2002),
        ("bad_query", 9000),
    ],
)
def test_a_no_has_its_number_even_inside_http_200(offer: Offer, name: str, number: int) -> None:
    with pytest.raises(SlurmError) as refused:
        read_recorded(offer, name)
    assert refused.value.number == number


@every_offer
def test_a_refused_cancel_by_id_alone_is_not_told_by_old_versions(offer: Offer) -> None:
    """So no cancel is sent that way: with a list of jobs, every version tells (above)."""
    if offer.version in {"v0.0.40", "v0.0.41"}:
        assert read_recorded(offer, "cancel_refused") == (offer.body("cancel_refused"), False)
        return
    with pytest.raises(SlurmError, match="2002"):
        read_recorded(offer, "cancel_refused")


@every_offer
@pytest.mark.parametrize("name", ["no_token", "bad_token", "old_token"])
def test_a_refused_token_is_an_outage_and_named(offer: Offer, name: str) -> None:
    with pytest.raises(TokenRefused, match=r"token-refused.*clock") as refused:
        read_recorded(offer, name)
    assert not refused.value.maybe_done


@every_offer
def test_slurmdbd_with_a_bad_token_is_an_outage(offer: Offer) -> None:
    """24.11 says why, 26.05 says only that slurmdbd was not reached."""
    with pytest.raises(Unavailable) as refused:
        read_recorded(offer, "bad_token_slurmdb")
    assert isinstance(refused.value, TokenRefused) == (offer.release == "24.11")


@every_offer
@pytest.mark.parametrize("name", ["down_live_jobs", "down_db_jobs", "down_diag", "down_submit"])
def test_a_daemon_that_was_not_reached_did_nothing(offer: Offer, name: str) -> None:
    with pytest.raises(Unavailable, match="slurm-not-reached") as outage:
        read_recorded(offer, name)
    assert not outage.value.maybe_done


@every_offer
def test_a_cancel_without_slurmctld_is_an_outage(offer: Offer) -> None:
    with pytest.raises(Unavailable):
        read_recorded(offer, "down_cancel")


@every_offer
def test_a_version_that_has_gone_is_seen(offer: Offer) -> None:
    with pytest.raises(VersionGone):
        read_recorded(offer, "version_unknown")


@every_offer
def test_removing_what_is_not_there_changes_nothing(offer: Offer) -> None:
    assert read_recorded(offer, "delete_association_unknown") == ({}, True)


@every_offer
@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("unknown_partition", "unknown-partition"),
        ("unknown_account", "unknown-account"),
        ("foreign_account", "unknown-account"),
        ("unknown_qos", "unknown-qos"),
        ("unknown_constraint", "unknown-constraint"),
        ("unknown_reservation", "unknown-reservation"),
        ("unknown_license", "unknown-license"),
        ("unknown_gpu_type", "no-node-fits"),
        ("too_many_gpus", "no-node-fits"),
        ("too_much_memory", "no-node-fits"),
    ],
)
def test_a_refused_submission_has_our_code(offer: Offer, name: str, code: str) -> None:
    with pytest.raises(SlurmError) as refused:
        read_recorded(offer, f"submit_{name}")
    meaning = refusals.of_submission(refused.value.fault)
    assert isinstance(meaning, Rejected)
    assert meaning.code == code


@pytest.mark.parametrize("number", sorted(refusals.NOT_NOW))
def test_a_full_or_closed_slurm_is_no_refusal_for_ever(number: int) -> None:
    meaning = refusals.of_submission(Fault(number))
    assert isinstance(meaning, Unavailable)
    assert not meaning.maybe_done


def test_no_number_is_both_never_and_not_now() -> None:
    assert not set(refusals.NEVER) & set(refusals.NOT_NOW)
    assert all(family(number) is Family.ANSWER for number in {*refusals.NEVER, *refusals.NOT_NOW})


def test_a_number_that_we_do_not_know_is_a_refusal_by_slurm() -> None:
    meaning = refusals.of_submission(Fault(2999, "Something new"))
    assert isinstance(meaning, Rejected)
    assert (meaning.code, meaning.facts["slurm_error"]) == ("slurm-refused", 2999)


@pytest.mark.parametrize("number", [-1, 1, 110, 1002, 1003, 1802, 5004])
@pytest.mark.parametrize("may_act", [True, False])
def test_what_broke_on_the_way_may_have_been_done(number: int, *, may_act: bool) -> None:
    content = json.dumps({"errors": [{"error_number": number}]}).encode()
    with pytest.raises(Unavailable) as outage:
        read(500, content, may_act=may_act)
    assert outage.value.maybe_done == may_act


@pytest.mark.parametrize(
    ("status", "content", "maybe_done"),
    [
        (502, b"<html>bad gateway</html>", True),
        (503, b"", True),
        (504, b"{}", True),
        (200, b"not json", True),
        (200, b"[1, 2]", True),
        (200, b"[" * 100_000, True),
        (302, b"", False),
        (429, b"slow down", False),
        (408, b"", False),
    ],
)
def test_an_answer_that_is_not_slurms_leaves_the_outcome_open(status: int, content: bytes, *, maybe_done: bool) -> None:
    with pytest.raises(Unavailable) as outage:
        read(status, content, may_act=True)
    assert outage.value.maybe_done is maybe_done


def test_an_error_without_a_number_is_an_error() -> None:
    with pytest.raises(Unavailable):
        read(200, b'{"errors": [{"description": "what?"}]}', may_act=False)


def test_an_error_inside_the_result_is_seen() -> None:
    with pytest.raises(SlurmError):
        read(200, b'{"result": {"error_code": 2000, "error": "no"}, "errors": []}', may_act=True)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(
    status=st.sampled_from([200, 204, 301, 304, 400, 401, 404, 422, 500, 502, 511]),
    errors=_JSON,
    told=_JSON,
    may_act=st.booleans(),
)
def test_any_answer_is_read_or_refused_by_one_of_three(status: int, errors: Any, told: Any, *, may_act: bool) -> None:
    content = json.dumps({"errors": errors, "status": told, "result": told, "error_code": told}).encode()
    try:
        body, _ = read(status, content, may_act=may_act)
    except (Unavailable, SlurmError, VersionGone):
        return
    assert answers.faults(body) == () or status == 304 or answers.faults(body)[0].number == 1900
