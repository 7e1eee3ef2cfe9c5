"""What a backend does not offer is refused by its name, and by nothing else."""

from __future__ import annotations

from uuid import UUID

import pytest

from hpc_adapters.contract import (
    Capabilities,
    Feature,
    Identity,
    Isolation,
    JobRequest,
    Placement,
    Resources,
    Script,
    Signal,
    Torchrun,
)
from hpc_adapters.errors import Rejected
from hpc_adapters.features import names_asked, refuse_unoffered

ASKING = {
    Feature.NODES: {"placement": Placement(nodes=2)},
    Feature.GPU_TYPE: {"placement": Placement(gpu_type="h200")},
    Feature.CONSTRAINT: {"placement": Placement(constraint="nvlink")},
    Feature.RESERVATION: {"placement": Placement(reservation="night")},
    Feature.LICENSES: {"placement": Placement(licenses={"matlab": 1})},
    Feature.EXCLUSIVE: {"placement": Placement(exclusive=True)},
    Feature.SIGNAL: {"placement": Placement(signal=Signal(name="USR1", before_s=60))},
    Feature.IMAGE: {"placement": Placement(image="pytorch")},
    Feature.SECRETS: {"payload": Script(body=b"x", secrets={"TOKEN": "s"})},
    Feature.CALLS: {"has_calls": True},
    Feature.TORCHRUN: {"payload": Script(body=b"x", launch=Torchrun(processes_per_node=1))},
}


def a_request(**changes: object) -> JobRequest:
    stated: dict[str, object] = {
        "attempt_id": UUID(int=1),
        "tenant": "tenant-a",
        "resources": Resources(gpus=1),
        "walltime_s": 60,
        "payload": Script(body=b"#!/bin/sh\n"),
    }
    return JobRequest(**{**stated, **changes})  # type: ignore[arg-type]  # a builder


def offering(*features: Feature, needs_identity: bool = False) -> Capabilities:
    return Capabilities(
        name="b",
        isolation=Isolation.PER_ATTEMPT,
        payloads=frozenset({Script}),
        components=frozenset({"gpu_s"}),
        settle_window_s=1,
        accounting_lag_s=1,
        features=frozenset(features),
        needs_identity=needs_identity,
    )


@pytest.mark.parametrize("feature", list(ASKING))
def test_what_is_not_offered_is_refused_by_name_and_what_is_offered_passes(feature: Feature) -> None:
    request = a_request(**ASKING[feature])
    with pytest.raises(Rejected) as refused:
        refuse_unoffered(request, offering(*(set(Feature) - {feature})))
    assert refused.value.code == f"unsupported-{feature.value.replace('_', '-')}"
    assert refused.value.facts == {"feature": feature.value}
    refuse_unoffered(request, offering(feature))


def test_a_plain_job_passes_everywhere_but_where_a_user_is_needed() -> None:
    refuse_unoffered(a_request(), offering())
    with pytest.raises(Rejected, match="no-identity"):
        refuse_unoffered(a_request(), offering(needs_identity=True))
    refuse_unoffered(a_request(identity=Identity("alice", "lab")), offering(needs_identity=True))


def test_the_names_that_a_placement_asks_for_are_told_apart_by_feature() -> None:
    placement = Placement(gpu_type="h200", constraint="nvlink & ib|fast", licenses={"solver": 2})
    assert names_asked(placement) == {
        Feature.GPU_TYPE: {"h200"},
        Feature.CONSTRAINT: {"nvlink", "ib", "fast"},
        Feature.LICENSES: {"solver"},
    }
    assert names_asked(Placement()) == {}
