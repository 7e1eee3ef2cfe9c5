"""A call that is made elsewhere, and a class of functions that know how to go on. As in submitit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any


class DelayedSubmission:
    """A function with its arguments: what `checkpoint` returns to say how the next attempt goes on."""

    def __init__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        self.function = function
        self.args: Sequence[Any] = args
        self.kwargs: Mapping[str, Any] = kwargs


class Checkpointable:
    """Derive from it and write `__call__`: the object is pickled as it is, and called again with the same arguments."""

    def checkpoint(self, *args: Any, **kwargs: Any) -> DelayedSubmission:
        """What to do after an interruption. Another class may have a method of this name and need no base class."""
        return DelayedSubmission(self, *args, **kwargs)  # type: ignore[arg-type]  # a subclass can be called


def is_checkpointable(function: object) -> bool:
    """Whether it can say how to go on."""
    return hasattr(function, "__submitit_checkpoint__") or hasattr(function, "checkpoint")
