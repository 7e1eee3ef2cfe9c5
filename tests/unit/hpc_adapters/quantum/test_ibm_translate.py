"""IBM's words in the port's."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_adapters.contract import Seen
from hpc_adapters.quantum.ibm_runtime.checks import attempt_of, tag_of
from hpc_adapters.quantum.ibm_runtime.device import calibration_of, state_of, target_of
from hpc_adapters.quantum.ibm_runtime.results import counts_of
from hpc_adapters.quantum.ibm_runtime.translate import Told, Wishes, charged, told_of, usage_of
from infra.clock import new_id

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def look(status: str, code: int | None = None, **metrics: object) -> dict[str, object]:
    return {"job": {"state": {"status": status, "reason_code": code}}, "metrics": metrics}


@pytest.mark.parametrize(
    ("status", "code", "wishes", "seen", "detail"),
    [
        ("Queued", None, Wishes(), Seen.WAITING, ""),
        ("Running", None, Wishes(), Seen.RUNNING, ""),
        ("Completed", None, Wishes(), Seen.SUCCEEDED, ""),
        ("Cancelled", None, Wishes(cancelled=True), Seen.CANCELLED, ""),
        ("Cancelled", None, Wishes(out_of_walltime=True), Seen.TIMED_OUT, ""),
        ("Cancelled", None, Wishes(), Seen.NODE_FAILED, "cancelled-by-vendor"),
        ("Cancelled", 4001, Wishes(), Seen.CANCELLED, "session-over"),
        ("Cancelled", 1305, Wishes(cancelled=True), Seen.TIMED_OUT, ""),
        ("Cancelled", 1305, Wishes(capped=True), Seen.FAILED, "qpu-cap-reached"),
        ("Cancelled - Ran too long", None, Wishes(), Seen.TIMED_OUT, ""),
        ("Failed", 1305, Wishes(), Seen.TIMED_OUT, ""),
        ("Failed", 8020, Wishes(), Seen.FAILED, "ibm-8020"),
        ("Failed", 7000, Wishes(), Seen.FAILED, "ibm-7000"),
        ("Failed", 9999, Wishes(), Seen.NODE_FAILED, "ibm-9999"),
        ("Failed", None, Wishes(), Seen.NODE_FAILED, "ibm-failed"),
        ("Entangled!", None, Wishes(), Seen.UNKNOWN, "ibm-entangled-"),
        ("", None, Wishes(), Seen.UNKNOWN, "ibm-no-status"),
    ],
)
def test_states(status: str, code: int | None, wishes: Wishes, seen: Seen, detail: str) -> None:
    told = told_of(look(status, code), wishes)
    assert (told.seen, told.detail) == (seen, detail)


@given(job=st.dictionaries(st.sampled_from(["state", "status", "id"]), JSON), metrics=JSON)
def test_whatever_is_said_is_read_without_a_crash(job: dict[str, object], metrics: object) -> None:
    told = told_of({"job": job, "metrics": metrics if isinstance(metrics, dict) else None}, Wishes())
    assert told.seen is Seen.UNKNOWN or isinstance(job["state"], dict)
    used = usage_of(metrics if isinstance(metrics, dict) else {})
    assert used.qpu_s >= 0


def test_times_are_utc_with_or_without_saying_so() -> None:
    stamps = {"running": "2026-11-21T10:00:00.5Z", "finished": "2026-11-21T10:00:02"}
    told = told_of(look("Completed", timestamps=stamps), Wishes())
    assert told.started_at == datetime(2026, 11, 21, 10, 0, 0, 500_000, tzinfo=UTC)
    assert told.ended_at == datetime(2026, 11, 21, 10, 0, 2, tzinfo=UTC)


def test_usage_is_exact_and_final_when_it_is_said_to_be() -> None:
    assert usage_of({"usage": {"qpu_charge_time_seconds": 2.1, "status": "final"}}).qpu_s == Decimal("2.1")
    assert not usage_of({"usage": {"qpu_charge_time_seconds": 2.1, "status": "pending"}}).final
    assert not usage_of({"usage": {"qpu_charge_time_seconds": 2.1}}).final
    for odd in (None, "much", float("nan"), -3):
        assert usage_of({"usage": {"qpu_charge_time_seconds": odd, "status": "final"}}).qpu_s == 0


def test_who_pays() -> None:
    used = Decimal(7)
    for seen in (Seen.SUCCEEDED, Seen.FAILED, Seen.CANCELLED, Seen.TIMED_OUT, Seen.RUNNING):
        assert charged(Told(seen=seen), used, cap_us=None) == 7
    assert charged(Told(seen=Seen.FAILED), used, cap_us=2_500_000) == Decimal("2.5")
    assert charged(Told(seen=Seen.NODE_FAILED), used, cap_us=None) == 0


def test_a_tag_is_read_back_and_others_are_nobodys() -> None:
    attempt_id = new_id()
    assert attempt_of(["kyoyo", tag_of(attempt_id)]) == attempt_id
    for tags in (None, "kyoyo", ["kyoyo"], ["kyoyo-12"], ["kyoyo-" + "z" * 32], [7]):
        assert attempt_of(tags) is None


def _value(name: str, value: float, unit: str = "") -> dict[str, object]:
    return {"name": name, "value": value, "unit": unit, "date": "2026-11-21T10:00:00Z"}


CONFIGURATION = {
    "n_qubits": 3,
    "basis_gates": ["cz", "x", "rz"],
    "supported_instructions": ["cz", "x", "measure", "delay", "if_else", "rz"],
    "gates": [{"name": "cz", "coupling_map": [[0, 1], [1, 2]]}],
    "dt": 4.0,
    "default_rep_delay": 250.0,
}
PROPERTIES = {
    "last_update_date": "2026-11-21T09:00:00+09:00",
    "qubits": [
        [
            _value("T1", 0.1, "ms"),
            _value("T2", 50, "us"),
            _value("readout_error", 0.02),
            _value("readout_length", 1, "us"),
        ],
        [_value("readout_error", 0.04)],
        [_value("readout_error", 0.5), _value("operational", 0)],
    ],
    "gates": [
        {"gate": "cz", "qubits": [0, 1], "parameters": [_value("gate_error", 0.01), _value("gate_length", 68, "ns")]},
        {"gate": "cz", "qubits": [1, 2], "parameters": [_value("gate_error", 0.9)]},
        {"gate": "x", "qubits": [0], "parameters": [_value("gate_error", 0.001), _value("gate_length", 32, "ns")]},
        {"gate": "x", "qubits": [1], "parameters": [_value("operational", 0)]},
    ],
}


def test_a_calibration_has_units_of_ours_and_an_id_that_follows_its_figures() -> None:
    calibration = calibration_of(PROPERTIES)
    assert calibration is not None
    assert calibration.at == datetime(2026, 11, 21, tzinfo=UTC)
    first = calibration.qubits[0]
    assert (first.t1_us, first.t2_us, first.readout_ns) == (100, 50, 1000)
    assert calibration.readout_error == 0.04
    assert len(calibration.id) == 16
    later = calibration_of({**PROPERTIES, "last_update_date": "2026-11-22T09:00:00+09:00"})
    assert later is not None
    assert later.id == calibration.id
    other = calibration_of({**PROPERTIES, "gates": PROPERTIES["gates"][:1]})
    assert other is not None
    assert other.id != calibration.id
    assert calibration_of({**PROPERTIES, "calibration_id": "abc"}).id == "abc"  # type: ignore[union-attr]
    assert calibration_of({}) is None


def test_a_target_leaves_out_what_is_faulty() -> None:
    target = target_of({"configuration": CONFIGURATION, "properties": PROPERTIES})
    assert target["gates"]["cz"] == [[[0, 1], pytest.approx(68e-9), 0.01]]
    assert [place[0] for place in target["gates"]["x"]] == [[0]]
    assert [place[0] for place in target["gates"]["rz"]] == [[0], [1]]
    assert [place[0] for place in target["gates"]["measure"]] == [[0], [1]]
    assert target["control_flow"] == ["if_else"]
    assert (target["dt_s"], target["rep_delay_s"]) == (pytest.approx(4e-9), pytest.approx(250e-6))


@pytest.mark.parametrize(
    ("status", "state", "detail"),
    [
        ({"status_msg": "active", "operational": True}, "online", ""),
        ({"status_msg": "active", "operational": False}, "offline", "active"),
        ({"status_msg": "maintenance", "operational": False}, "maintenance", "maintenance"),
        ({"status_msg": "calibrating", "operational": True}, "calibrating", "calibrating"),
        ({"status_msg": "internal", "operational": True}, "offline", "internal"),
        ({}, "offline", ""),
    ],
)
def test_states_of_a_device(status: dict[str, object], state: str, detail: str) -> None:
    assert state_of(status) == (state, detail)


def test_counts_put_the_last_register_first() -> None:
    def field(shots: bytes, bits: int) -> dict[str, object]:
        from base64 import b64encode  # noqa: PLC0415

        return {"num_bits": bits, "bytes": b64encode(shots).decode()}

    data = {"a": field(b"\x01\x01\x00", 2), "b": field(b"\x01\xff\x00\x00\x01\xff", 9)}
    assert counts_of(data, [["a", 2], ["b", 9]]) == {"000000000 01": 1, "111111111 00": 1, "111111111 01": 1}
