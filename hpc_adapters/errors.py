"""What a backend can answer instead of doing what it was asked: three families; nothing else leaves an adapter."""

from __future__ import annotations

from uuid import UUID


class BackendError(Exception):
    """Base of the three families."""


class Unavailable(BackendError):
    """The backend did not answer as it should: try again later.

    `maybe_done` is the whole point. False: the adapter *knows* that nothing has happened (refused connection, a full
    machine that said so). True: the request may have taken effect or may still do so (time-out, reset, 5xx after the
    request left us): the outcome is unknown, and only `find` by attempt id may settle it. Never submit again on True.
    """

    def __init__(self, detail: str, *, maybe_done: bool) -> None:
        super().__init__(detail)
        self.detail = detail
        self.maybe_done = maybe_done


class Rejected(BackendError):
    """The backend understood and will never do it. Nothing was created.

    `code` is a stable kebab-case word (e.g. 'too-many-qubits'), `facts` are numbers and names for the message.
    """

    def __init__(self, code: str, **facts: object) -> None:
        super().__init__(code, facts)
        self.code = code
        self.facts = facts


class Forgotten(BackendError):
    """The backend does not know this attempt (any more). Says nothing about whether it once ran."""

    def __init__(self, attempt_id: UUID) -> None:
        super().__init__(str(attempt_id))
        self.attempt_id = attempt_id
