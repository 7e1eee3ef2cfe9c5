"""Where a node is on its way out of service and back, by what real servers said of it (24.11 and 26.05)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from hpc_adapters.elastic import NodeState
from hpc_adapters.slurm.models.machines import Node, node
from hpc_adapters.slurm.powering import OURS, node_seen, node_state

BUSY_AT = datetime(2026, 11, 21, 23, tzinfo=UTC)
MINE = OURS + "power 7"


def seen(*state: str, reason: str = "", **more: object) -> Node:
    told = {
        "name": "gpu1",
        "state": list(state),
        "reason": reason,
        "partitions": ["main"],
        "tres": "cpu=64,mem=1000000M,gres/gpu=8,gres/gpu:h200=8,gres/qpu=1",
        "last_busy": {"set": True, "infinite": False, "number": int(BUSY_AT.timestamp())},
        **more,
    }
    return node(told)


@pytest.mark.parametrize(
    ("words", "reason", "state"),
    [
        ("IDLE", "", NodeState.SERVING),
        ("MIXED", "", NodeState.SERVING),
        ("MIXED DRAIN", MINE, NodeState.LEAVING),
        ("IDLE COMPLETING DRAIN", MINE, NodeState.LEAVING),
        ("IDLE DRAIN", MINE, NodeState.OUT),
        ("IDLE DRAIN POWER_DOWN", MINE, NodeState.SINKING),
        ("IDLE POWERING_DOWN", MINE, NodeState.SINKING),
        ("IDLE POWERED_DOWN", MINE, NodeState.OFF),
        ("MIXED POWERED_DOWN", "", NodeState.WAKING),  # Slurm wakes it for a job by itself
        ("IDLE POWERED_DOWN POWER_UP", MINE, NodeState.WAKING),
        ("MIXED NOT_RESPONDING POWERING_UP", "", NodeState.WAKING),
        ("IDLE DRAIN", "disk is failing", NodeState.FOREIGN),
        ("IDLE POWERED_DOWN", "", NodeState.FOREIGN),
        ("IDLE POWERING_DOWN", "", NodeState.FOREIGN),
        ("DOWN DRAIN", MINE, NodeState.FOREIGN),
        ("IDLE NOT_RESPONDING", "", NodeState.FOREIGN),
        ("DOWN POWERING_UP", MINE, NodeState.FOREIGN),
        ("IDLE MAINTENANCE", "", NodeState.FOREIGN),
        ("IDLE SOMETHING_NEW", MINE, NodeState.FOREIGN),
    ],
)
def test_slurms_words(words: str, reason: str, state: NodeState) -> None:
    assert node_state(seen(*words.split(), reason=reason), partition="main") is state


def test_what_others_have_a_part_in_is_not_ours() -> None:
    for more in ({"partitions": ["main", "debug"]}, {"partitions": ["debug"]}, {"reservation": "maintenance"}):
        assert node_state(seen("IDLE", **more), partition="main") is NodeState.FOREIGN


def test_a_node_is_idle_since_its_last_job_and_not_when_one_is_planned() -> None:
    idle = node_seen(seen("IDLE"), partition="main", qpu="gres/qpu")
    assert (idle.units, idle.idle_since, idle.mark) == (9, BUSY_AT, "")
    assert node_seen(seen("IDLE", "DRAIN", reason=MINE), partition="main").mark == "power 7"
    busy = [seen("IDLE", "PLANNED"), seen("MIXED"), seen("IDLE", "COMPLETING"), seen("IDLE", tres_used="cpu=1")]
    assert [node_seen(each, partition="main").idle_since for each in busy] == [None] * 4
    assert node_seen(seen("IDLE", last_busy={"set": True, "number": 0}), partition="main").idle_since is None
