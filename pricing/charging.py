"""What a job is charged: one function of all that is known about it. Pure.

Facts about a job arrive in any order, twice, late, corrected. So nothing is charged step by step: `charge` says what
the lines of a job should be, given everything known now; what is booked is the difference between that and what was
booked before (`outcome`). Hence a repeated fact books nothing, and the order of arrival does not matter, with one
exception that is a promise to the customer: once the rest of the hold has gone back, the charge never grows again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from uuid import UUID

from pricing.model import WHOLE_BP, BillableAttempt, PriceVersion, UsageToRate, Waiver
from pricing.rating import RatedPiece, rate

Key = tuple[UUID, date]
"""Usage record and accounting day: at most one live line stands for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A rated piece of an attempt and what the customer is charged for it. All amounts are negative on a reversal."""

    attempt_id: UUID
    piece: RatedPiece
    charged_micro_yen: int
    waiver: Waiver | None
    house_micro_yen: int = 0
    """What the house pays of it: booked to `overrun`. (What its cause does not charge is nobody's: unbooked.)"""
    refunded_micro_yen: int = 0
    """What was charged and given back by a decision."""

    @property
    def key(self) -> Key:
        """What the line stands for."""
        return self.piece.usage_record_id, self.piece.day

    def reversed(self) -> Line:
        """The line that takes this one back."""
        piece = self.piece
        back = replace(
            piece,
            quantity_micro=-piece.quantity_micro,
            list_micro_yen=-piece.list_micro_yen,
            market_micro_yen=-piece.market_micro_yen,
            price_micro_yen=-piece.price_micro_yen,
        )
        return replace(
            self,
            piece=back,
            charged_micro_yen=-self.charged_micro_yen,
            house_micro_yen=-self.house_micro_yen,
            refunded_micro_yen=-self.refunded_micro_yen,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """What attempts that are not looked at one by one come to: the books said of them all that was known."""

    charged_micro_yen: int = 0
    is_at_our_cost: bool = False
    """Some of it the house pays."""
    is_settled: bool = True
    """Every one of them is."""
    has_last: bool = False
    """The last attempt of the job is among them. Of no interest before they are settled."""


NOTHING = Rest()


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFacts:
    """What pricing knows about a job: of some attempts everything, of the `rest` what they come to.

    `usages` per attempt: the current revisions that have a price.
    """

    versions: Mapping[str, PriceVersion]
    """By offering: a job with phases may use several."""
    ceiling_micro_yen: int
    hold_open: bool
    attempts: Sequence[BillableAttempt]
    usages: Mapping[UUID, Sequence[UsageToRate]]
    parked: frozenset[UUID]
    """Attempts with usage that waits for a price."""
    booked: Mapping[Key, Line]
    """The live lines: what stands after all lines and reversals so far."""
    refunds_micro_yen: int = 0
    """What was decided to be given back of the job, all decisions together."""
    rest: Rest = NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What has to be booked so that the books say what `charge` says. Empty when they do."""

    lines: tuple[Line, ...]
    charged_before_micro_yen: int
    charged_after_micro_yen: int
    overrun_micro_yen: int
    """By how much the house's part grows."""
    settled: tuple[UUID, ...]
    """Attempts that are settled from now on."""
    releases: bool
    """Whether the rest of the hold goes back now."""


def outcome(facts: JobFacts) -> Outcome:
    """The difference between what the books say of a job and what they should say."""
    wanted = {line.key: line for line in charge(facts)}
    changed = [key for key in {**facts.booked, **wanted} if not _same(facts.booked.get(key), wanted.get(key))]
    lines = [facts.booked[key].reversed() for key in changed if key in facts.booked]
    lines += [wanted[key] for key in changed if key in wanted]
    settled = tuple(each.attempt_id for each in facts.attempts if each.settled_at is None and _is_settled(facts, each))
    return Outcome(
        lines=tuple(lines),
        charged_before_micro_yen=facts.rest.charged_micro_yen + _charged(facts.booked.values()),
        charged_after_micro_yen=facts.rest.charged_micro_yen + _charged(wanted.values()),
        overrun_micro_yen=sum(line.house_micro_yen for line in lines),
        settled=settled,
        releases=facts.hold_open and _is_over(facts),
    )


def leaves_the_rest(facts: JobFacts) -> bool:
    """Whether the lines of the rest stay as they are, so that `outcome` of these facts is that of all facts.

    It is so where nobody reaches the ceiling, now or before, and nothing is given back: then each line's charge is its
    price, or a part by its own cause, whatever the order. A job's many calls are settled so, each for what it takes
    itself. After the release the limit is what was charged, which is reached at once: then everything is looked at.
    """
    if facts.refunds_micro_yen:
        return False  # the rest may come to nothing because all of it was given back
    if facts.rest == NOTHING:
        return True
    if not facts.hold_open or facts.rest.is_at_our_cost:
        return False
    return not any(line.house_micro_yen for line in charge(facts))


def charge(facts: JobFacts) -> list[Line]:
    """The lines of a job as they should stand, charged in a total order of its pieces until the limit is reached.

    The limit is the ceiling; after the release it is what was charged by then, or less after a correction. What was
    decided to be given back is taken off the first pieces in that order, whatever has been corrected since.
    """
    booked_micro_yen = sum(each.charged_micro_yen + each.refunded_micro_yen for each in facts.booked.values())
    limit = facts.ceiling_micro_yen if facts.hold_open else booked_micro_yen
    beyond = Waiver.BEYOND_CEILING if limit == facts.ceiling_micro_yen else Waiver.LATE_CORRECTION
    left, to_refund = limit - facts.rest.charged_micro_yen, facts.refunds_micro_yen
    lines = []
    for attempt, piece in _pieces(facts):
        due = piece.price_micro_yen * attempt.share_bp // WHOLE_BP
        covered = min(due, left)
        back = min(covered, to_refund)
        left, to_refund = left - covered, to_refund - back
        lines.append(
            Line(
                attempt_id=attempt.attempt_id,
                piece=piece,
                charged_micro_yen=covered - back,
                waiver=beyond if covered < due else Waiver.REFUNDED if back else _waiver_of(attempt),
                house_micro_yen=due - covered,
                refunded_micro_yen=back,
            )
        )
    return lines


def _pieces(facts: JobFacts) -> Iterable[tuple[BillableAttempt, RatedPiece]]:
    """The pieces of every attempt whose charge is known, in a total order that does not depend on arrival."""
    for attempt in sorted(facts.attempts, key=lambda each: (each.opened_at, each.attempt_id)):
        if attempt.ending is None or attempt.accounting_final_at is None:
            continue
        version = facts.versions[attempt.offering_id]
        rated = [piece for usage in facts.usages.get(attempt.attempt_id, ()) for piece in rate(usage, version)]
        for piece in sorted(rated, key=lambda each: (each.day, each.component, each.usage_record_id)):
            yield attempt, piece


def _waiver_of(attempt: BillableAttempt) -> Waiver | None:
    """By the refund matrix: what is charged nothing by its ending's nature has the ending's own name."""
    if attempt.ending is None or attempt.share_bp == WHOLE_BP:
        return None
    return Waiver.BY_CAUSE if attempt.share_bp or attempt.ending.is_charged else Waiver(attempt.ending.value)


def _is_settled(facts: JobFacts, attempt: BillableAttempt) -> bool:
    """Whether nothing more is expected: its end is known, and so is its usage unless that costs nothing anyway."""
    if attempt.settled_at is not None:
        return True
    if attempt.ending is None:
        return False
    complete = attempt.accounting_final_at is not None and attempt.attempt_id not in facts.parked
    return complete or not attempt.share_bp


def _is_over(facts: JobFacts) -> bool:
    """Whether the last attempt has been told and all of them are settled."""
    has_last = facts.rest.has_last or any(each.last for each in facts.attempts)
    return has_last and facts.rest.is_settled and all(_is_settled(facts, each) for each in facts.attempts)


def _same(booked: Line | None, wanted: Line | None) -> bool:
    """Whether a line may stand. Another name for the waiver of the same amount is no reason to book it again."""
    if booked is None or wanted is None:
        return False
    return (booked.piece, booked.charged_micro_yen, booked.refunded_micro_yen) == (
        wanted.piece,
        wanted.charged_micro_yen,
        wanted.refunded_micro_yen,
    )


def _charged(lines: Iterable[Line]) -> int:
    return sum(line.charged_micro_yen for line in lines)
