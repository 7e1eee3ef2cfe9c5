"""What this installation ran as a trace: its share tree, its machines, and what ran on them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from infra.tokyo import TOKYO
from scheduler.core.branches import Branch, branches_of
from scheduler.policy import DEFAULT_NU_PER_HOUR
from scheduler.simulate.errors import TraceUnreadable
from scheduler.simulate.rows import TraceJob
from scheduler.simulate.shares import Share
from scheduler.simulate.sources import Source
from scheduler.store.history import History, Ran

_MILLI: Final = 1000
_COMPONENTS: Final = ("gpu_s", "qpu_s")


def source_of(book: History) -> Source:
    """TraceUnreadable: no attempt held a GPU or a QPU.

    A branch is named by its path ('acme/default/eve@acme.jp'). What has not ended is taken to run to its limit. A
    machine is a backend, with the most units that it had in service in that time, or, where nobody noted them, with
    the most that ran at once; its rate is the highest of what it sells.
    """
    held = [each for each in book.ran if each.gpus or each.qpus]
    if not held:
        raise TraceUnreadable(source="PostgreSQL", problem="no_history", columns=[])
    machines = {(each.backend, bool(each.qpus)) for each in held}
    names = {key: _named(key, machines) for key in machines}
    units = {key: _units(key, held, book.units) for key in machines}
    first_s = int(held[0].ready_at.timestamp())
    return Source(
        name=_span(held),
        jobs=[_job(number, each, names, first_s) for number, each in enumerate(held, start=1)],
        shares=shares_of(held, book.weights),
        pools={names[key]: count for key, count in sorted(units.items()) if not key[1]},
        qpus={names[key]: count for key, count in sorted(units.items()) if key[1]},
        rates={names[key]: _rate(key, held, book.rates) for key in sorted(machines)},
        left_out=book.unstarted + len(book.ran) - len(held),
    )


def _span(ran: Sequence[Ran]) -> str:
    first, last = (each.ready_at.astimezone(TOKYO).date().isoformat() for each in (ran[0], ran[-1]))
    return first if first == last else f"{first} – {last}"


def shares_of(ran: Iterable[Ran], weights: Mapping[Branch, int]) -> list[Share]:
    """Every branch that had something run, those above first; 1 where no weight was set."""
    shares: dict[Branch, Share] = {}
    for each in ran:
        path = (each.organisation, each.project, each.email)
        for branch in reversed(branches_of((each.organisation_id, each.project_id, each.person_id))):
            if branch not in shares and branch:
                depth = len(branch)
                shares[branch] = Share("/".join(path[:depth]), weights.get(branch, 1), "/".join(path[: depth - 1]))
    return sorted(shares.values(), key=lambda share: (share.name.count("/"), share.name))


Key = tuple[str, bool]
"""A backend, and whether its QPUs are meant."""


def _named(key: Key, machines: Iterable[Key]) -> str:
    backend, is_qpu = key
    return f"{backend}/qpu" if is_qpu and (backend, False) in set(machines) else backend


def _job(number: int, ran: Ran, names: Mapping[Key, str], first_s: int) -> TraceJob:
    ready_s, name = int(ran.ready_at.timestamp()), names[ran.backend, bool(ran.qpus)]
    duration_s = ran.walltime_s if ran.ended_at is None else -int(-(ran.ended_at - ran.started_at).total_seconds() // 1)
    common = (number, str(number), f"{ran.organisation}/{ran.project}/{ran.email}", "", ready_s - first_s)
    if ran.qpus:
        return TraceJob(*common, max(0, duration_s), ran.walltime_s, 0, max(1, duration_s), name)
    return TraceJob(*common, max(0, duration_s), ran.walltime_s, ran.gpus, machine=name)


def _units(key: Key, ran: Iterable[Ran], known: Mapping[tuple[str, str], int]) -> int:
    backend, is_qpu = key
    mine = [each for each in ran if (each.backend, bool(each.qpus)) == key]
    needed = [1 if is_qpu else each.gpus for each in mine]
    noted = known.get((backend, _COMPONENTS[is_qpu]), 0)
    return max(noted, *needed) if noted else _peak(mine, needed)


def _peak(ran: Sequence[Ran], units: Sequence[int]) -> int:
    """The most that ran at once; what ends at an instant makes room for what starts then."""
    changes = [(each.started_at, count) for each, count in zip(ran, units, strict=True)]
    changes += [(each.ended_at, -count) for each, count in zip(ran, units, strict=True) if each.ended_at]
    now = most = 0
    for _, change in sorted(changes):
        now += change
        most = max(most, now)
    return max(most, *units)


def _rate(key: Key, ran: Iterable[Ran], rates: Mapping[str, float]) -> int:
    sold = {each.resource_type for each in ran if (each.backend, bool(each.qpus)) == key}
    return max(1, round(max(rates.get(each, DEFAULT_NU_PER_HOUR) for each in sold) * _MILLI))
