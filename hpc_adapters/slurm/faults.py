"""What Slurm's error numbers mean for us. Pure.

The HTTP status says little: a refusal is 500 on 24.11 and 422 on 26.05, a refused cancel is 200, a bad token is 511,
or 502 when slurmdbd is asked. The numbers are the same in all versions (Slurm's `slurm_errno.h`), and the rule is: what
may be an outage or a refused token is `Unavailable` and never "no such job".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from hpc_adapters.errors import Unavailable

NO_SUCH_JOB: Final = 2017
ALREADY_DONE: Final = frozenset({2020, 2021, 2084, 2086})
"""Nothing is left to cancel: in transition to its end, completed, finished, neither pending nor running."""
ACCESS_DENIED: Final = 2002
NOT_THAT_JOB: Final = 2172
"""The job with this id has another name, user or state than the one that we named."""
NOTHING_FOUND: Final = 9003
NO_CHANGE: Final = 1900
BAD_NAME: Final = 7004
JOBS_RUNNING: Final = 7001


class Family(StrEnum):
    """What a number is about, as far as the next step depends on it."""

    AUTHENTICATION = "authentication"
    """Authentication failed before anything was done."""
    NOT_REACHED = "not_reached"
    """The daemon behind the REST server was not reached, or is not the active one: nothing was done."""
    CUT = "cut"
    """Something broke on the way: what was sent may have been done."""
    NO_CHANGE = "no_change"
    """Nothing is newer than the time that we asked from."""
    ANSWER = "answer"
    """Slurm understood and says no."""


_TOKEN: Final = frozenset({1007, 6000, 6001, 6004, 6007, 6010, 9008})
_NOT_REACHED: Final = frozenset({1001, 1019, 1021, 1800, 1804, 1805, 2027, 2131, 7000, 7008})
_BROKEN_ON_THE_WAY: Final = frozenset({5003, 5004, 5005})
_FIRST_OF_SLURMCTLD: Final = 1900


def family(number: int) -> Family:
    """Of an error number. What is below Slurm's own numbers (errno, -1) is something that broke."""
    if number in _TOKEN:
        return Family.AUTHENTICATION
    if number in _NOT_REACHED:
        return Family.NOT_REACHED
    if number == NO_CHANGE:
        return Family.NO_CHANGE
    if number < _FIRST_OF_SLURMCTLD or number in _BROKEN_ON_THE_WAY:
        return Family.CUT
    return Family.ANSWER


@dataclass(frozen=True, slots=True)
class Fault:
    """One error of an answer, from `errors[]`, `status[].error` or `error_code`."""

    number: int
    text: str = ""
    description: str = ""
    job_id: int | None = None

    def __str__(self) -> str:
        return f"{self.number} {self.text}" + (f" ({self.description})" if self.description else "")


class SlurmError(Exception):
    """Slurm answered, and says no. Never leaves the adapter: `calls` and the adapter know what it means there."""

    def __init__(self, fault: Fault, *, status: int = 200) -> None:
        super().__init__(str(fault))
        self.fault, self.status = fault, status

    @property
    def number(self) -> int:
        """Slurm's own, the same in every version."""
        return self.fault.number


class TokenRefused(Unavailable):
    """Slurm did not accept our token: the key differs, or one of the clocks is wrong. Nothing was done."""

    def __init__(self, hint: str = "") -> None:
        super().__init__(f"token-refused: {hint}" if hint else "token-refused", maybe_done=False)
