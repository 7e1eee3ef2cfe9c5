"""The QPU that a job may call while it runs, and its calls, as its owner is told of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from portal.api.wire import Items, Out, number_text
from portal.language import Language
from pricing.model import AttemptMoney
from pricing.units import yen_text
from scheduler.core.explain import how_it_ended
from scheduler.core.model import State
from scheduler.core.refused import advice
from scheduler.views import CallView, QpuView


class CallOut(Out):
    """A call. `code`: why it was refused; else `state` is that of the attempt that carries it out."""

    number: int
    at: Annotated[datetime, Field(description="When it was found in the job's mailbox.")]
    shots: int
    state: str | None
    started_at: datetime | None
    ended_at: datetime | None
    reason: str | None
    code: str | None
    facts: dict[str, Any]
    sentence: Annotated[str | None, Field(description="What to do about a refusal, or how it failed.")]
    attempt_id: UUID | None
    usage: dict[str, str]
    charge_yen: Annotated[str | None, Field(description="Without tax; null until it is final.")]


class QpuCallsOut(Out):
    """What the job may call. `closed`: no call came for `idle_s`, and none is taken any more."""

    offering: str
    backend: str
    max_calls: int
    max_shots: Annotated[int, Field(description="Of all calls together.")]
    idle_s: int
    call_s: int
    wait_s: int
    reserved: Annotated[bool, Field(description="A slot of the device is kept for the calls; else they queue.")]
    closed: bool
    asked: Annotated[int, Field(description="How many calls it has made so far, refused ones among them.")]
    calls: Annotated[list[CallOut], Field(description="The newest 50, newest first.")]
    next_cursor: Annotated[str | None, Field(description="Leads GET /jobs/{job_id}/calls to those before.")]


class CallPageOut(Items[CallOut]):
    next_cursor: str | None


def qpu_out(view: QpuView | None, by_attempt: Mapping[UUID, AttemptMoney], language: Language) -> QpuCallsOut | None:
    """The calls with their money, in the reader's language."""
    if view is None:
        return None
    return QpuCallsOut(
        offering=view.offering_id,
        backend=view.backend,
        max_calls=view.max_calls,
        max_shots=view.max_shots,
        idle_s=view.idle_s,
        call_s=view.call_s,
        wait_s=view.wait_s,
        reserved=False,
        closed=view.closed,
        asked=view.asked,
        calls=calls_out(view.calls, by_attempt, language),
        next_cursor=view.next_cursor,
    )


def calls_out(calls: Sequence[CallView], by_attempt: Mapping[UUID, AttemptMoney], language: Language) -> list[CallOut]:
    """Each with its money."""
    return [_call(each, by_attempt, language) for each in calls]


def attempts_in(calls: Sequence[CallView]) -> list[UUID]:
    """Those that carry them out."""
    return [each.attempt_id for each in calls if each.attempt_id is not None]


def _call(call: CallView, by_attempt: Mapping[UUID, AttemptMoney], language: Language) -> CallOut:
    money = None if call.attempt_id is None else by_attempt.get(call.attempt_id)
    usage = {} if money is None else {name: number_text(quantity) for name, quantity in money.usage.items()}
    return CallOut(
        number=call.number,
        at=call.recorded_at,
        shots=call.shots,
        state=None if call.state is None else call.state.value,
        started_at=call.started_at,
        ended_at=call.ended_at,
        reason=call.reason,
        code=call.code,
        facts=dict(call.facts),
        sentence=_sentence(call, language),
        attempt_id=call.attempt_id,
        usage=usage,
        charge_yen=yen_text(money.charged_micro_yen) if money is not None and money.settled else None,
    )


def _sentence(call: CallView, language: Language) -> str | None:
    if call.code is not None:
        ja, en = advice(call.code)
    elif call.state is not None and call.state.is_terminal and call.state is not State.SUCCEEDED:
        told = how_it_ended(call.state, call.reason, {})
        ja, en = told.ja, told.en
    else:
        return None
    return ja if language is Language.JA else en
