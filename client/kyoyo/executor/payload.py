"""Makes the script of a submission: our runner as text, and all calls of it pickled by value."""

from __future__ import annotations

import base64
import json
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import cloudpickle

from kyoyo.errors import UsageError
from kyoyo.executor import delayed, runner
from kyoyo.executor.delayed import DelayedSubmission

SCRIPT_BYTES = 1_048_576
"""More the portal does not take."""
MAX_CALLS = 1_000


def dumped(call: DelayedSubmission, by_value: Sequence[ModuleType]) -> bytes:
    """The call by value where it is of __main__ or of these modules; all else by its name. UsageError."""
    known = cloudpickle.list_registry_pickle_by_value()
    new = [module for module in {*by_value, delayed} if module.__name__ not in known]
    for module in new:
        cloudpickle.register_pickle_by_value(module)
    try:
        return bytes(cloudpickle.dumps((call.function, tuple(call.args), dict(call.kwargs))))
    except Exception as wrong:
        raise UsageError(key="wrong.unpicklable", function=call.function, reason=wrong) from wrong
    finally:
        for module in new:
            cloudpickle.unregister_pickle_by_value(module)


def script_of(
    calls: Sequence[bytes],
    *,
    key: bytes,
    signal: str | None,
    pickled: bool,
    python: str,
) -> str:
    """The job's script. UsageError: the calls are too many or too large for one submission."""
    if len(calls) > MAX_CALLS:
        raise UsageError(key="wrong.array_large", text=f"1-{len(calls)}", limit=f"{MAX_CALLS:,}")
    told = {
        "array": len(calls) > 1,
        "calls": [base64.b64encode(call).decode() for call in calls],
        "key": key.hex(),
        "pickled": pickled,
        "python": list(sys.version_info[:2]),
        "signal": signal,
        "sources": _sources(),
    }
    packed = base64.b64encode(zlib.compress(json.dumps(told).encode(), 9)).decode()
    source = Path(runner.__file__).read_text(encoding="utf-8")
    # a traceback shows the line of the call, which therefore does not hold the payload
    script = f'#!{python}\n{source}\n\n_PACKED = "{packed}"\n\nif __name__ == "__main__":\n    main(_PACKED)\n'
    if len(script.encode()) > SCRIPT_BYTES:
        raise UsageError(key="wrong.payload", size=f"{len(script.encode()):,}", limit=f"{SCRIPT_BYTES:,}")
    return script


def _sources() -> dict[str, str]:
    """The text of cloudpickle (BSD), for a site that does not have it."""
    folder = Path(cloudpickle.__file__).parent
    return {
        "cloudpickle": (folder / "__init__.py").read_text(encoding="utf-8"),
        "cloudpickle.cloudpickle": (folder / "cloudpickle.py").read_text(encoding="utf-8"),
    }
