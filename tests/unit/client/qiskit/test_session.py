from __future__ import annotations

from decimal import Decimal

import pytest
from qiskit import QuantumCircuit

from kyoyo import Conflict
from kyoyo.qiskit import Batch, EstimatorV2, KyoyoBackend, KyoyoService, SamplerV2, Session, SessionOver
from kyoyo.transport import new_key
from tests.support.quantum_portal import QuantumPortal

pytestmark = pytest.mark.quantum


@pytest.fixture
def portal() -> QuantumPortal:
    return QuantumPortal()


@pytest.fixture
def service(portal: QuantumPortal) -> KyoyoService:
    return KyoyoService(client=portal.client(make_key=new_key))


@pytest.fixture
def backend(service: KyoyoService) -> KyoyoBackend:
    return service.backend("aer-demo")


def coin() -> QuantumCircuit:
    circuit = QuantumCircuit(1)
    circuit.h(0)
    circuit.measure_all()
    return circuit


def test_a_session_is_a_job_and_its_circuits_name_it(portal: QuantumPortal, backend: KyoyoBackend) -> None:
    with Session(backend, max_time="5m", idle_s=30, max_cost_yen=None) as session:
        SamplerV2().run([coin()])
        EstimatorV2(mode=session).run([(coin().remove_final_measurements(inplace=False), "X")])
        assert session.status() == "RUNNING"
        assert session.usage().qpu_s == Decimal("1.5")
        assert (session.usage().session_s, session.usage().jobs) == (Decimal("1.5"), 2)
    bodies = [job["body"] for job in portal.jobs.values()]
    asked = {name: bodies[0][name] for name in ("kind", "session", "walltime_s", "offering", "shots")}
    assert asked == {
        "kind": "quantum",
        "session": {"idle_s": 30, "dedicated": True},
        "walltime_s": 300,
        "offering": "qpu-demo",
        "shots": 0,
    }
    assert "program" not in bodies[0]
    assert [body.get("session_job") for body in bodies] == [None, "q-1", "q-1"]
    assert session.status() == "CANCELLED"


def test_a_batch_is_not_dedicated(portal: QuantumPortal, backend: KyoyoBackend) -> None:
    with Batch(backend):
        SamplerV2().run([coin()])
    assert portal.jobs["q-1"]["body"]["session"] == {"idle_s": 60, "dedicated": False}
    assert portal.jobs["q-1"]["body"]["name"] == "batch"


def test_a_run_waits_until_it_is_open(portal: QuantumPortal, backend: KyoyoBackend) -> None:
    session = Session(backend)
    session.open()
    portal.jobs["q-1"]["state"] = "QUEUED"
    opened: list[float] = []

    def sleep(seconds: float) -> None:
        opened.append(seconds)
        portal.jobs["q-1"]["state"] = "RUNNING"

    backend.client._transport.pace = type(portal.pace)(sleep=sleep, monotonic=lambda: 0.0)
    assert session.open().refresh().state == "QUEUED"
    SamplerV2(session).run([coin()])
    assert opened


@pytest.mark.parametrize("state", ["SUCCEEDED", "CANCELLED", "FAILED", "CANCELLING"])
def test_a_session_that_is_over_says_so(portal: QuantumPortal, backend: KyoyoBackend, state: str) -> None:
    session = Session(backend)
    sampler = SamplerV2(mode=session)
    sampler.run([coin()])
    portal.jobs["q-1"]["state"] = state
    with pytest.raises(SessionOver, match=f"session q-1 is over \\({state}\\)"):
        sampler.run([coin()])
    assert len(portal.jobs) == 2


def test_a_session_that_ends_between_the_question_and_the_run(portal: QuantumPortal, backend: KyoyoBackend) -> None:
    session = Session(backend)
    session.wait_open()
    with pytest.raises(SessionOver):
        session.run(lambda held: _too_late(portal, backend, held))


def _too_late(portal: QuantumPortal, backend: KyoyoBackend, held: str) -> object:
    portal.jobs[held]["state"] = "SUCCEEDED"
    return SamplerV2(backend)._mode.backend.send(_program(), SamplerV2(backend).options, name="late", session_job=held)


def _program() -> object:
    from kyoyo.qiskit.encoding import circuits_program  # noqa: PLC0415

    return circuits_program([coin()], shots=1, options={})


def test_an_error_lets_go_of_it_at_once(portal: QuantumPortal, backend: KyoyoBackend) -> None:
    with pytest.raises(ZeroDivisionError), Session(backend) as session:
        job = SamplerV2().run([coin()])
        portal.jobs[job.job_id()]["state"] = "RUNNING"
        raise ZeroDivisionError
    assert (portal.jobs["q-2"]["state"], session.status()) == ("CANCELLED", "CANCELLED")


def test_closing_what_has_ended_is_harmless(portal: QuantumPortal, backend: KyoyoBackend) -> None:
    Session(backend).close()
    with Session(backend) as session:
        portal.jobs["q-1"]["state"] = "SUCCEEDED"
    session.close()
    assert not isinstance(session.status(), Conflict)


def test_another_process_goes_on_in_it(portal: QuantumPortal, backend: KyoyoBackend) -> None:
    first = Session(backend)
    first.open()
    later = KyoyoService(client=portal.client(make_key=new_key))
    assert first.session_id is not None
    session = Session.from_id(first.session_id, later)
    SamplerV2(session).run([coin()])
    assert portal.jobs["q-2"]["body"]["session_job"] == "q-1"


def test_a_session_that_is_never_used_costs_nothing(portal: QuantumPortal, backend: KyoyoBackend) -> None:
    session = Session(backend)
    assert (session.status(), session.session_id, session.usage().jobs) == ("CLOSED", None, 0)
    assert not portal.jobs
