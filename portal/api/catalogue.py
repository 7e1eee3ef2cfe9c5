"""What is put on sale, and taken off again: the operator's side of the offerings."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field

from portal.api.offerings import OfferingOut, offering_out
from portal.api.prices import Instant
from portal.api.wire import INT4_MAX, DryRun, In, Word
from portal.auth.caller import Operator
from pricing import service as pricing
from pricing.model import Offering, OfferingKind, OfferingWithPrices

router = APIRouter(tags=["operator"], prefix="/offerings")
Amount = Annotated[int, Field(ge=0, le=INT4_MAX)]
Title = Annotated[Word, Field(min_length=1, max_length=200)]


class NewOffering(In):
    """A backend's resource with its limits. Its prices are proposed afterwards.

    `hardware`: what helps or hinders development on it: memory, interconnect, storage. `provider`: whose machine it is
    (empty: the house's own); `site`: where it stands.
    """

    id: Annotated[str, Field(pattern="^[a-z0-9][a-z0-9-]{1,62}$", examples=["gpu-h200"])]
    backend: Word
    kind: OfferingKind
    resource_type: Annotated[str, Field(pattern="^[a-z0-9]+:[a-z0-9][a-z0-9._-]*$", max_length=100)]
    title_ja: Title
    title_en: Title
    max_walltime_s: Annotated[int, Field(ge=1, le=INT4_MAX)]
    max_gpus: Amount = 0
    cpus_per_gpu: Amount = 0
    memory_mb_per_gpu: Amount = 0
    max_shots: Amount = 0
    qpu_base_us: Amount = 0
    qpu_per_kshot_us: Amount = 0
    max_session_s: Amount = 0
    max_session_idle_s: Amount = 0
    sim_units: Amount = 0
    hardware: dict[Word, str | int | bool]
    software: Annotated[list[Title], Field(max_length=200, default_factory=list)]
    provider: Annotated[Word, Field(max_length=100)] = ""
    site: Annotated[Word, Field(max_length=100)] = ""


class Retirement(In):
    at: Annotated[Instant | None, Field(description="From then on nothing of it is sold; else from now on.")] = None


@router.post("", status_code=HTTPStatus.CREATED)
async def create_offering(caller: Operator, new: NewOffering, dry_run: DryRun = False) -> OfferingOut:  # noqa: FBT002
    """Puts an offering into the catalogue. The very same again is nothing."""
    told: dict[str, Any] = new.model_dump()
    offering = Offering(**{**told, "software": tuple(new.software)})
    async with caller.transaction(dry_run=dry_run) as conn:
        await pricing.create_offering(conn, offering, now=caller.now, actor=caller.principal.person_id)
    return offering_out(OfferingWithPrices(offering=offering, prices=()), caller.language)


@router.post("/{offering_id}/retire")
async def retire_offering(
    caller: Operator,
    offering_id: str,
    given: Retirement,
    dry_run: DryRun = False,  # noqa: FBT002
) -> OfferingOut:
    """Takes it off the catalogue, for good. What was submitted before runs to its end, at its price."""
    async with caller.transaction(dry_run=dry_run) as conn:
        await pricing.retire_offering(
            conn, offering_id, at=given.at or caller.now, now=caller.now, actor=caller.principal.person_id
        )
        offering = await pricing.offering(conn, offering_id)
    return offering_out(OfferingWithPrices(offering=offering, prices=()), caller.language)
