"""Accounts, users, associations and QOS as slurmdbd keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hpc_adapters.slurm.models.lenient import Json, NotReadable, Records, mapping, number, records, text, tres, words


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A node of the account tree. Where it hangs is told by its own association (`Association.parent`)."""

    name: str
    description: str = ""
    organization: str = ""
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A Unix user that slurmdbd knows."""

    name: str
    default_account: str = ""
    admin_level: str = "None"
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Association:
    """A user in an account (or, without a user, the account itself) on one cluster."""

    account: str
    user: str = ""
    cluster: str = ""
    partition: str = ""
    parent: str = ""
    qos: tuple[str, ...] = ()
    default_qos: str = ""
    shares: int | None = None
    is_default: bool = False
    id: int | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Qos:
    """A QOS with the limits that we set."""

    name: str
    description: str = ""
    flags: tuple[str, ...] = ()
    """As Slurm spells them in capitals: 'NO_DECAY', 'DENY_LIMIT', …"""
    group_tres_minutes: Mapping[str, int] = field(default_factory=dict)
    """GrpTRESMins: 'gres/gpu', 'cpu', … in minutes."""
    group_tres: Mapping[str, int] = field(default_factory=dict)
    """GrpTRES: at the same time."""
    priority: int | None = None
    max_wall_s: int | None = None
    preempts: tuple[str, ...] = ()
    id: int | None = None


def accounts(value: object) -> Records[Account]:
    """`accounts` of an answer."""
    return records(value, _account, id_field="name")


def users(value: object) -> Records[User]:
    """`users` of an answer."""
    return records(value, _user, id_field="name")


def associations(value: object) -> Records[Association]:
    """`associations` of an answer."""
    return records(value, _association, id_field="account")


def qos(value: object) -> Records[Qos]:
    """`qos` of an answer."""
    return records(value, _qos, id_field="name")


def _account(raw: Json) -> Account:
    return Account(
        name=_name(raw),
        description=text(raw.get("description")),
        organization=text(raw.get("organization")),
        flags=words(raw.get("flags")),
    )


def _user(raw: Json) -> User:
    levels = raw.get("administrator_level")
    level = levels[0] if isinstance(levels, list) and levels else levels
    return User(
        name=_name(raw),
        default_account=text(mapping(raw, "default").get("account")),
        admin_level=text(level) or "None",
        flags=words(raw.get("flags")),
    )


def _association(raw: Json) -> Association:
    return Association(
        account=_name(raw, "account"),
        user=text(raw.get("user")),
        cluster=text(raw.get("cluster")),
        partition=text(raw.get("partition")),
        parent=text(raw.get("parent_account")),
        qos=_names(raw.get("qos")),
        default_qos=text(mapping(raw, "default").get("qos")),
        shares=number(raw.get("shares_raw")),
        is_default=raw.get("is_default") is True,
        id=number(raw.get("id")) or number(mapping(raw, "id").get("id")),
        flags=words(raw.get("flags")),
    )


def _qos(raw: Json) -> Qos:
    limits = mapping(raw, "limits", "max", "tres")
    wall = number(mapping(raw, "limits", "max", "wall_clock", "per").get("job"))
    return Qos(
        name=_name(raw),
        description=text(raw.get("description")),
        flags=words(raw.get("flags")),
        group_tres_minutes=tres(mapping(limits, "minutes").get("total")),
        group_tres=tres(limits.get("total")),
        priority=number(raw.get("priority")),
        max_wall_s=None if wall is None else wall * 60,
        preempts=_names(mapping(raw, "preempt").get("list")),
        id=number(raw.get("id")),
    )


def _name(raw: Json, field_name: str = "name") -> str:
    if not (name := text(raw.get(field_name))):
        raise NotReadable(f"no-{field_name}")
    return name


def _names(value: object) -> tuple[str, ...]:
    return tuple(text(name) for name in value if text(name)) if isinstance(value, list) else ()


def association_body(item: Association) -> Json:
    """As slurmdbd takes it, for a user. An account's own would need an empty user here, and hang outside the tree."""
    if not item.user:
        raise ValueError(f"account {item.account} is put into the tree by Directory.add_account")
    body: dict[str, object] = {"account": item.account, "cluster": item.cluster, "user": item.user}
    if item.partition:
        body["partition"] = item.partition
    if item.shares is not None:
        body["shares_raw"] = item.shares
    if item.qos:
        body["qos"] = list(item.qos)
    if item.default_qos:
        body["default"] = {"qos": item.default_qos}
    return body


def qos_body(item: Qos) -> Json:
    """As slurmdbd takes it."""
    tres_limits: dict[str, object] = {}
    if item.group_tres_minutes:
        tres_limits["minutes"] = {"total": _tres_list(item.group_tres_minutes)}
    if item.group_tres:
        tres_limits["total"] = _tres_list(item.group_tres)
    body: dict[str, object] = {"name": item.name, "description": item.description, "flags": list(item.flags)}
    if tres_limits:
        body["limits"] = {"max": {"tres": tres_limits}}
    if item.priority is not None:
        body["priority"] = {"set": True, "number": item.priority}
    return body


def _tres_list(amounts: Mapping[str, int]) -> list[Json]:
    named = ((*name.split("/", 1), "")[:2] for name in amounts)
    return [
        {"type": kind, "name": name, "count": count}
        for (kind, name), count in zip(named, amounts.values(), strict=True)
    ]
