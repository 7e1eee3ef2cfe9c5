"""Nodes and partitions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from hpc_adapters.slurm.models.lenient import (
    Json,
    NotReadable,
    Records,
    instant,
    is_infinite,
    mapping,
    number,
    records,
    text,
    tres,
    words,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A machine: what it has, what of it is given to jobs, and its states."""

    name: str
    state: tuple[str, ...]
    """The base state, then flags, as Slurm spells them."""
    reason: str
    reservation: str
    partitions: tuple[str, ...]
    features: tuple[str, ...]
    tres: Mapping[str, int]
    """'cpu', 'mem' in MiB, 'gres/gpu', 'gres/gpu:<type>'."""
    tres_used: Mapping[str, int]
    version: str = ""
    boot_at: datetime | None = None
    last_busy_at: datetime | None = None
    """When the last job ended there, or the node came into service; None: not told, or something runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """A queue of the site's, over some nodes."""

    name: str
    state: tuple[str, ...]
    nodes: str
    total_nodes: int
    tres: Mapping[str, int]
    max_time_s: int | None
    """None: no limit."""
    default_time_s: int | None
    accounts_allowed: tuple[str, ...] = ()
    """Empty: every account."""
    qos_allowed: tuple[str, ...] = ()


def nodes(value: object) -> Records[Node]:
    """`nodes` of an answer."""
    return records(value, node, id_field="name")


def partitions(value: object) -> Records[Partition]:
    """`partitions` of an answer."""
    return records(value, partition, id_field="name")


def node(raw: Json) -> Node:
    """NotReadable without a name or a state."""
    has, used = tres(raw.get("tres")), tres(raw.get("tres_used"))
    return Node(
        name=_name(raw),
        state=_state(raw.get("state")),
        reason=text(raw.get("reason")),
        reservation=text(raw.get("reservation")),
        partitions=_names(raw.get("partitions")),
        features=_names(raw.get("active_features")),
        tres=_with(has, cpu=number(raw.get("cpus")), mem=number(raw.get("real_memory"))),
        tres_used=_with(used, cpu=number(raw.get("alloc_cpus")), mem=number(raw.get("alloc_memory"))),
        version=text(raw.get("version")),
        boot_at=instant(raw.get("boot_time")),
        last_busy_at=instant(raw.get("last_busy")),
    )


def partition(raw: Json) -> Partition:
    """NotReadable without a name or a state."""
    limit, default = mapping(raw, "maximums").get("time"), mapping(raw, "defaults").get("time")
    return Partition(
        name=_name(raw),
        state=_state(mapping(raw, "partition").get("state") or raw.get("state")),
        nodes=text(mapping(raw, "nodes").get("configured")),
        total_nodes=number(mapping(raw, "nodes").get("total")) or 0,
        tres=tres(mapping(raw, "tres").get("configured")),
        max_time_s=_minutes(limit),
        default_time_s=_minutes(default),
        accounts_allowed=_names(mapping(raw, "accounts").get("allowed")),
        qos_allowed=_names(mapping(raw, "qos").get("allowed")),
    )


def _name(raw: Json) -> str:
    if not (name := text(raw.get("name"))):
        raise NotReadable("no-name")
    return name


def _state(value: object) -> tuple[str, ...]:
    if not (state := words(value)):
        raise NotReadable("no-state")
    return state


def _names(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        value = value.split(",")
    names = (text(name).strip() for name in value) if isinstance(value, list) else ()
    return tuple(name for name in names if name and name != "ALL")


def _minutes(value: object) -> int | None:
    minutes = None if is_infinite(value) else number(value)
    return None if minutes is None else minutes * 60


def _with(amounts: Mapping[str, int], *, cpu: int | None, mem: int | None) -> dict[str, int]:
    """Where the TRES text lacks them, the node's own fields tell."""
    own = {name: amount for name, amount in (("cpu", cpu), ("mem", mem)) if amount is not None}
    return {**own, **amounts}
