"""How unreliable the simulated cluster is, and what that means for one submission."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from hpc_adapters.contract import Seen
from hpc_adapters.simulated.chance import Chance


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """Probabilities in [0, 1], all 0 when not given. 'per submission', 'per job' or 'per call' says of what."""

    lost_answer: float = 0
    """Per submission: it took effect, and the answer is lost."""
    lost_request: float = 0
    """Per submission: it never arrived, which nobody can know."""
    delayed_effect: float = 0
    """Per submission: no answer, and it takes effect some seconds later (within the settle window)."""
    vanished: float = 0
    """Per job: the cluster forgets it while it runs."""
    orphaned: float = 0.5
    """Per vanished job: its user code goes on unseen, and holds its units until it ends."""
    id_reused: float = 0
    """Per vanished job: its native id is given to the next submission of anybody."""
    double_start: float = 0
    """Per job: the cluster starts it a second time (the start gate must absorb it)."""
    node_failure: float = 0
    """Per job: ended by a failing node at some moment of its run."""
    preemption: float = 0
    """Per job: ended because its units went to somebody else."""
    late_accounting: float = 0
    """Per job: the record appears only some time after the end (within the accounting lag)."""
    doubled_row: float = 0
    """Per job: the accounting says its record twice in one answer."""
    corrected_row: float = 0
    """Per job: the final record says too much at first, and is corrected under the same key later."""
    lost_cancel_answer: float = 0
    """Per call of cancel: the wish was taken, and the answer is lost."""
    stale_status: float = 0
    """Per observed attempt: an earlier observation comes (again), late and out of order."""
    unknown_state: float = 0
    """Per observed attempt: a word that nobody can read."""
    flapping: float = 0
    """Per call: a burst of refused connections begins, this call included."""
    flapping_calls: int = 3
    """Length of such a burst, in calls."""


RELIABLE = Faults()


class Answer(StrEnum):
    """What becomes of a submission on its way."""

    GIVEN = "given"
    LOST_ANSWER = "lost_answer"
    LOST_REQUEST = "lost_request"
    DELAYED_EFFECT = "delayed_effect"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What will happen to one submission of one attempt. Shares are parts of its run time."""

    answer: Answer
    appears_after_s: float
    starts_after_s: float
    cut_short: Seen | None
    cut_at_share: float
    vanishes_at_share: float | None
    orphaned: bool
    id_reused: bool
    starts_again_after_s: float | None
    recorded_after_s: float
    corrected_after_s: float | None
    row_doubled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Delays:
    """The cluster's slowness: upper bounds, in seconds."""

    start_s: float = 2
    cancel_s: float = 1
    settle_s: float = 20
    accounting_lag_s: float = 60


def draw_answer(faults: Faults, chance: Chance, attempt_id: UUID, submission: int) -> Answer:
    x = chance.of("answer", attempt_id, submission)
    for answer, probability in (
        (Answer.LOST_ANSWER, faults.lost_answer),
        (Answer.LOST_REQUEST, faults.lost_request),
        (Answer.DELAYED_EFFECT, faults.delayed_effect),
    ):
        if x < probability:
            return answer
        x -= probability
    return Answer.GIVEN


def draw_fate(faults: Faults, delays: Delays, chance: Chance, attempt_id: UUID, submission: int) -> Fate:
    """The fate of the n-th submission of an attempt. Pure: the same question has the same answer."""

    def happens(what: str, probability: float) -> bool:
        return chance.happens(probability, what, attempt_id, submission)

    def between(what: str, low: float, high: float) -> float:
        return chance.between(low, high, what + " when", attempt_id, submission)

    answer = draw_answer(faults, chance, attempt_id, submission)
    cut_short = None
    if happens("node failure", faults.node_failure):
        cut_short = Seen.NODE_FAILED
    elif happens("preemption", faults.preemption):
        cut_short = Seen.PREEMPTED
    late = happens("late accounting", faults.late_accounting)
    again = happens("double start", faults.double_start)
    return Fate(
        answer=answer,
        appears_after_s=between("appears", 0.5, delays.settle_s * 0.8) if answer is Answer.DELAYED_EFFECT else 0.0,
        starts_after_s=between("starts", 0.1, delays.start_s),
        cut_short=cut_short,
        cut_at_share=between("cut", 0.05, 0.95),
        vanishes_at_share=between("vanishes", 0.05, 0.95) if happens("vanishes", faults.vanished) else None,
        orphaned=happens("orphaned", faults.orphaned),
        id_reused=happens("id reused", faults.id_reused),
        starts_again_after_s=between("again", 0.1, 5.0) if again else None,
        recorded_after_s=between("late accounting", 0.1, delays.accounting_lag_s * 0.9) if late else 0.0,
        corrected_after_s=between("corrected", 1.0, 600.0) if happens("corrected", faults.corrected_row) else None,
        row_doubled=happens("doubled row", faults.doubled_row),
    )
