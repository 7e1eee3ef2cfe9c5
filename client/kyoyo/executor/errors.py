"""How a function that ran as a job can fail to come back."""

from __future__ import annotations

from kyoyo.errors import KyoyoError


class UncompletedJobError(KyoyoError):
    """The job ended without a result: cancelled, out of time or memory, or killed before it could write one."""

    code = "uncompleted"


class FailedJobError(UncompletedJobError):
    """The function raised; the message is its traceback, as text. Nothing of the exception itself is unpickled."""

    code = "function-raised"


class ForgedResult(KyoyoError):
    """A pickled result whose seal is not ours. It was not unpickled."""

    code = "forged-result"
