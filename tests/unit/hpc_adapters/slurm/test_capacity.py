from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_adapters.contract import Capacity, Placement, Resources
from hpc_adapters.slurm.capacity import (
    Machine,
    capacity,
    could_run,
    draining,
    every_machine,
    in_service,
    machines,
    share_of,
    will_ever_run,
)
from hpc_adapters.slurm.models import Node, Partition
from hpc_adapters.slurm.models import machines as parse
from tests.support import slurm_golden
from tests.support.slurm_golden import Offer, offers

NOW = datetime(2026, 11, 20, tzinfo=UTC)
every_offer = pytest.mark.parametrize("offer", offers(), ids=str)


def site(offer: Offer) -> tuple[tuple[Node, ...], tuple[Partition, ...]]:
    return (
        parse.nodes(offer.body("nodes")["nodes"]).items,
        parse.partitions(offer.body("partitions")["partitions"]).items,
    )


def measured(nodes: tuple[Node, ...], partitions: tuple[Partition, ...]) -> Capacity:
    return capacity(machines(nodes, partition="main"), partitions, partition="main", at=NOW)


@every_offer
def test_drained_down_and_reserved_nodes_are_out(offer: Offer) -> None:
    found = measured(*site(offer))
    assert found.total == Resources(gpus=24, cpus=192, memory_mb=3_000_000)
    assert found.online


@every_offer
def test_what_jobs_hold_is_not_free_and_what_slurm_keeps_is_not_either(offer: Offer) -> None:
    nodes, partitions = site(offer)
    assert measured(nodes, partitions).free == Resources()
    idle = tuple(replace(node, state=tuple(word for word in node.state if word != "PLANNED")) for node in nodes)
    assert measured(idle, partitions).free == Resources(gpus=24 - 3 - 8, cpus=192 - 2, memory_mb=3_000_000 - 300)


@every_offer
@pytest.mark.parametrize("state", [("DOWN",), ("DRAIN",), ("INACTIVE",), ("UP", "DRAIN")])
def test_a_partition_that_is_not_up_starts_nothing(offer: Offer, state: tuple[str, ...]) -> None:
    nodes, (partition,) = site(offer)
    found = measured(nodes, (replace(partition, state=state),))
    assert not found.online
    assert found.free == Resources()
    assert found.total.gpus == 24


@every_offer
def test_another_partitions_nodes_are_not_ours(offer: Offer) -> None:
    nodes, partitions = site(offer)
    found = capacity(machines(nodes, partition="other"), partitions, partition="other", at=NOW)
    assert (found.total, found.online) == (Resources(), False)


@every_offer
def test_what_jobs_hold_on_nodes_out_of_service_is_told_apart(offer: Offer) -> None:
    nodes, _ = site(offer)
    used = {"cpu": 8, "mem": 100, "gres/gpu": 2, "gres/gpu:h200": 2}
    states = (("MIXED",), ("MIXED", "DRAIN"), ("ALLOCATED", "DRAIN"), ("DOWN",))
    here = tuple(replace(nodes[0], state=state, reservation="", tres_used=used) for state in states)
    assert draining(here, partition="main") == Resources(gpus=6, cpus=24, memory_mb=300)
    assert draining(here, partition="main", gpu_type="t4").gpus == 0
    assert draining(here, partition="other") == Resources()
    kept = replace(here[0], reservation="site")
    assert draining([kept], partition="main") == Resources(gpus=2, cpus=8, memory_mb=100)


def told_states() -> set[str]:
    return {
        word
        for release in slurm_golden.releases()
        for words in slurm_golden.description(release)["enums"].values()
        if {"IDLE", "MIXED"} <= set(words)
        for word in words
    }


def test_every_state_of_the_real_servers_has_its_place() -> None:
    serving = {word for word in told_states() if in_service(("IDLE", word))}
    assert serving == {
        *(
            "IDLE",
            "ALLOCATED",
            "MIXED",
            "COMPLETING",
            "CLOUD",
            "DYNAMIC_NORM",
            "PLANNED",
            "RESUME",
            "UNDRAIN",
            "POWER_UP",
        )
    }


@given(st.lists(st.sampled_from(sorted(told_states())) | st.text(max_size=8), max_size=4))
def test_an_unknown_word_takes_a_node_out(state: list[str]) -> None:
    if not told_states().issuperset(state) or {"DRAIN", "DOWN", "FAIL", "MAINTENANCE", "UNKNOWN"} & set(state):
        assert not in_service(tuple(state))


def test_only_gpus_of_the_sites_type_count() -> None:
    node = replace(
        site(offers()[0])[0][0], tres={"cpu": 8, "mem": 9, "gres/gpu": 5, "gres/gpu:h200": 4, "gres/gpu:t4": 1}
    )
    assert machines([node], partition="main", gpu_type="h200")[0].total.gpus == 4
    assert machines([node], partition="main")[0].total.gpus == 5


def test_qpus_are_counted_by_the_name_that_the_site_gives_them() -> None:
    plain = site(offers()[0])[0][0]
    node = replace(
        plain, state=("MIXED",), tres={"cpu": 8, "gres/qpu": 3, "gres/qpu:kyo": 2}, tres_used={"gres/qpu": 1}
    )
    for qpu, count in (("gres/qpu", 3), ("gres/qpu:kyo", 2), ("gres/qpu:to", 0), (None, 0)):
        assert machines([node], partition="main", qpu=qpu)[0].total.qpus == count
    assert machines([node], partition="main", qpu="gres/qpu")[0].free.qpus == 2
    untyped = replace(node, tres={"gres/qpu": 3})
    assert every_machine([untyped], partition="main", qpu="gres/qpu:kyo")[0].total.qpus == 3


NODE = Machine(
    name="a",
    total=Resources(gpus=8, cpus=64, memory_mb=1000, qpus=1),
    free=Resources(),
    features=frozenset({"nvlink"}),
    gpu_types=frozenset({"h200"}),
)


@pytest.mark.parametrize(
    ("resources", "placement", "fits"),
    [
        (Resources(gpus=8, cpus=64, memory_mb=1000), Placement(), True),
        (Resources(gpus=9), Placement(), False),
        (Resources(gpus=16, cpus=128, memory_mb=2000), Placement(nodes=2), True),
        (Resources(gpus=16), Placement(), False),
        (Resources(gpus=16), Placement(nodes=3), False),
        (Resources(gpus=3), Placement(nodes=3), False),
        (Resources(gpus=8), Placement(constraint="nvlink"), True),
        (Resources(gpus=8), Placement(constraint="ib"), False),
        (Resources(gpus=8), Placement(constraint="nvlink&ib"), True),
        (Resources(gpus=8), Placement(gpu_type="h200"), True),
        (Resources(gpus=8), Placement(gpu_type="b300"), False),
        (Resources(gpus=1, memory_mb=1001), Placement(), False),
        (Resources(qpus=1), Placement(), True),
        (Resources(qpus=2), Placement(), False),
        (Resources(gpus=16, qpus=2), Placement(nodes=2), True),
        (Resources(qpus=1), Placement(nodes=2), False),
    ],
)
def test_a_job_fits_where_enough_nodes_have_its_share(
    resources: Resources, placement: Placement, *, fits: bool
) -> None:
    assert could_run([NODE, replace(NODE, name="b")], resources, placement) is fits


@pytest.mark.parametrize(
    ("resources", "placement", "might"),
    [
        (Resources(gpus=16), Placement(nodes=2), True),
        (Resources(gpus=9), Placement(), False),
        (Resources(gpus=1), Placement(nodes=3), False),
        (Resources(gpus=1), Placement(gpu_type="b300"), False),
        (Resources(gpus=1), Placement(constraint="ib"), True),  # features may change: Slurm's own word
    ],
)
def test_only_what_is_larger_than_the_nodes_themselves_never_runs(
    resources: Resources, placement: Placement, *, might: bool
) -> None:
    assert will_ever_run([NODE, replace(NODE, name="b")], resources, placement) is might


def test_what_slurm_does_not_show_is_no_reason_to_refuse() -> None:
    untyped = replace(NODE, gpu_types=frozenset())
    assert will_ever_run([untyped], Resources(gpus=1), Placement(gpu_type="b300"))
    assert will_ever_run([], Resources(gpus=99), Placement())


def test_a_node_that_is_down_may_come_back() -> None:
    node = replace(site(offers()[0])[0][0], state=("DOWN", "DRAIN"), tres={"cpu": 8, "mem": 9, "gres/gpu:t4": 2})
    assert machines([node], partition="main") == ()
    assert every_machine([node], partition="main")[0].total.gpus == 2


@given(st.integers(0, 99), st.integers(0, 999), st.integers(0, 999), st.integers(1, 9))
def test_the_shares_are_at_least_the_whole(gpus: int, cpus: int, memory_mb: int, nodes: int) -> None:
    share = share_of(Resources(gpus=gpus, cpus=cpus, memory_mb=memory_mb), Placement(nodes=nodes))
    if share is None:
        assert gpus % nodes
        return
    assert share.gpus * nodes == gpus
    assert cpus <= share.cpus * nodes < cpus + nodes
    assert memory_mb <= share.memory_mb * nodes < memory_mb + nodes
