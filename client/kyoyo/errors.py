"""What can go wrong, by what the caller can do about it. `exit_code` is what the `kyoyo` command ends with: stable."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from kyoyo.messages_en import MESSAGES


class KyoyoError(Exception):
    """Base of everything that this package raises on purpose."""

    exit_code: ClassVar[int] = 1
    code: str = "error"

    @property
    def detail(self) -> str:
        """One sentence for a person."""
        return str(self)


class UsageError(KyoyoError):
    """The call itself is wrong: a bad option, an unreadable script. Nothing was sent.

    Either a finished message, or the key of a sentence with its facts: English in `str()`, and the command tells it in
    the reader's language.
    """

    exit_code = 2
    code = "usage"

    def __init__(self, message: str = "", *, key: str = "", line: int = 0, **facts: object) -> None:
        self.key = key
        self.line = line
        self.facts: Mapping[str, object] = facts
        told = message or MESSAGES[key].format(**facts)
        super().__init__(MESSAGES["wrong.line"].format(line=line, wrong=told) if line else told)

    def in_line(self, line: int) -> BadScript:
        """The same about one line of a job script."""
        return BadScript(key=self.key, line=line, **self.facts)  # type: ignore[arg-type]  # no fact is called message


class BadScript(UsageError):
    """A job script that cannot be sent as it is; `line` is its line number, 0 for the whole file."""

    code = "bad-script"


class Problem(KyoyoError):
    """A "no" from the server: an RFC 9457 problem with a stable code, facts, and where there is one, a remedy."""

    def __init__(
        self,
        code: str,
        detail: str = "",
        *,
        status: int = 0,
        facts: Mapping[str, object] | None = None,
        remedy: str = "",
    ) -> None:
        super().__init__(detail or code)
        self.code = code
        self.status = status
        self.facts: Mapping[str, object] = dict(facts or {})
        self.remedy = remedy


class Refused(Problem):
    """Understood and refused: money, quota, limits, eligibility. `facts` say how far it was off."""

    exit_code = 4


class Unauthorised(Problem):
    """No valid token, or one that may not do this."""

    exit_code = 3


class NotFound(Problem):
    """There is no such thing, or not for you."""

    exit_code = 5


class Conflict(Refused):
    """It contradicts something that already happened, such as an Idempotency-Key used with another body."""

    exit_code = 6


class Unavailable(Problem):
    """No usable answer for now, after retries. What the call wanted may have happened all the same."""

    exit_code = 7
