"""What a submission is going to ask of the database, read ahead in one round trip instead of ten.

Which class an organisation has, and on which backend an offering runs, is only a guess, by what the submission before
was told: everything is read now, and what was guessed wrongly is asked again by whoever needs it (infra.db.ahead).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, TypeVar
from uuid import UUID

from accounts import service as accounts
from accounts.model import CustomerClass, Principal, Project
from infra.db.ahead import Look, ahead
from infra.db.connection import Conn
from pricing import service as pricing
from pricing.model import Offering
from scheduler.hybrid import Hybrid
from scheduler.store import exchange, placing, tree
from scheduler.store import jobs as job_store
from scheduler.store.jobs import Queue
from scheduler.submission import Submission

_MOST: Final = 10_000
_K = TypeVar("_K")
_V = TypeVar("_V")


class Expectations:
    """Of one process, never more than a guess."""

    def __init__(self) -> None:
        self._owners: dict[tuple[UUID, str], tuple[UUID, CustomerClass]] = {}
        self._sold: dict[str, tuple[str, str]] = {}

    def owner(self, project: Project, customer_class: CustomerClass) -> None:
        """It submitted for this project, as this class."""
        _keep(self._owners, (project.organisation_id, project.slug), (project.id, customer_class))

    def sold(self, offering: Offering) -> None:
        """It asked for this offering."""
        _keep(self._sold, offering.id, (offering.backend, offering.resource_type))

    def looks(self, organisation_id: UUID, person_id: UUID, request: Submission, now: datetime) -> Sequence[Look]:
        """What admission is going to ask, if all is as it was."""
        known = self._owners.get((organisation_id, request.project))
        if known is None:
            return ()
        project_id, customer_class = known
        looks = [tree.settings_look(at=now, leaf=(organisation_id, project_id, person_id))]
        for name in _offerings(request):
            looks.append(
                pricing.priced_look(name, customer_class=customer_class, service_class=request.service_class, now=now)
            )
            if name in self._sold:
                backend, resource_type = self._sold[name]
                looks += [
                    accounts.site_user_look(backend=backend, organisation_id=organisation_id, person_id=person_id),
                    exchange.nu_per_hour_look(resource_type, at=now),
                ]
        return looks


_EXPECTATIONS: Final = Expectations()
expect_owner = _EXPECTATIONS.owner
expect_sold = _EXPECTATIONS.sold


async def entered(
    conn: Conn, principal: Principal, request: Submission, *, key: str, job_id: UUID, now: datetime
) -> tuple[Conn, Queue]:
    """The locks of a submission, then how queue and wallet stand under them, and what admission asks: two round trips.

    The locks are taken in the order in which they always are: the queue's, then the wallet's.
    """
    organisation_id, person_id = principal.organisation_id, principal.person_id
    assert organisation_id is not None
    conn = await ahead(conn, job_store.queue_lock(organisation_id), pricing.wallet_lock(organisation_id))
    await job_store.lock_queue(conn, organisation_id)
    conn = await ahead(
        conn,
        job_store.queue_look(organisation_id, person_id=person_id, key=key, at=now),
        accounts.submitter_look(organisation_id, project=request.project, now=now),
        *pricing.purse_looks(organisation_id, job_id),
        placing.data_location_look(organisation_id, request.project),
        *_EXPECTATIONS.looks(organisation_id, person_id, request, now),
    )
    return conn, await job_store.queue_of(conn, organisation_id, person_id=person_id, key=key, at=now)


def _offerings(request: Submission) -> Sequence[str]:
    if isinstance(request, Hybrid):
        return sorted({phase.request.offering_id for phase in request.phases})
    return (request.offering_id, *request.alternatives)


def _keep(known: dict[_K, _V], key: _K, value: _V) -> None:
    if len(known) >= _MOST:
        known.clear()
    known[key] = value
