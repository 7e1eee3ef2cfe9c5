"""The program of a job of the executor. It travels as text inside the job's script: standard library only.

`main` is called at the end of the script with what the executor put there. The call and its state are unpickled here,
on the site, as the job's own user; nothing is unpickled from anywhere else.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import importlib.abc
import importlib.util
import json
import math
import os
import pickle
import signal
import sys
import time
import traceback
import zlib
from pathlib import Path
from typing import Any

RESULT_BYTES = 1_000_000
STATE = "executor-state.pickle"
STOPPED = 143
PATIENCE_S = 600.0
NO_KYOYO = (
    "This site's Python has no kyoyo. The function runs without it when it imports nothing of kyoyo: the session of a "
    "hybrid job is its argument. Else install kyoyo in that Python, or name one that has it: python=…"
)


def main(packed: str) -> None:
    """Run the call of this task and leave its outcome in the result file."""
    told = json.loads(zlib.decompress(base64.b64decode(packed)))
    index = int(os.environ.get("SLURM_ARRAY_TASK_ID") or 0) if told["array"] else 0
    try:
        outcome = _outcome(told, index)
    except BaseException as error:
        if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] == "kyoyo":
            error.add_note(NO_KYOYO)
        _write({"outcome": "error", "type": type(error).__name__, "traceback": traceback.format_exc()[-200_000:]})
        raise
    _write(outcome)


def _outcome(told: dict[str, Any], index: int) -> dict[str, object]:
    here, there = list(sys.version_info[:2]), told["python"]
    if here != there:
        raise RuntimeError(
            f"the function was pickled by Python {there[0]}.{there[1]}, and the job runs Python {here[0]}.{here[1]}"
        )
    _provide(told["sources"])
    call = _Call(*_loaded(base64.b64decode(told["calls"][index])))
    if told["signal"]:
        call.watch(told["signal"])
    value = call.function(*call.args, **call.kwargs)
    if is_plain(value):
        return {"outcome": "success", "value": value}
    if not told["pickled"]:
        raise TypeError(f"the result is no plain JSON value but {type(value).__name__}")
    body = _dumped(value)
    seal = hmac.new(bytes.fromhex(told["key"]), f"{index}:".encode() + body, hashlib.sha256).hexdigest()
    return {"outcome": "success", "pickle": base64.b64encode(body).decode(), "seal": seal}


class _Call:
    """A function with its arguments, and how to go on when the end comes before the result."""

    def __init__(self, function: Any, args: Any, kwargs: Any) -> None:
        self.function, self.args, self.kwargs = function, args, kwargs
        self.leaving = self.terminated = False

    def watch(self, name: str) -> None:
        """Save and leave when this signal comes."""
        signal.signal(signal.SIGTERM, self._note)
        signal.signal(getattr(signal, f"SIG{name}"), self._leave)

    def _note(self, *_: object) -> None:
        """Preemption: the same, and no time to lose. While it is already leaving: no need to wait for the end."""
        self.terminated = True
        self._leave()

    def _leave(self, *_: object) -> None:
        if self.leaving:
            return
        self.leaving = True
        follow = getattr(self.function, "__submitit_checkpoint__", None) or getattr(self.function, "checkpoint", None)
        delayed = follow(*self.args, **self.kwargs) if follow else None
        if delayed is None or _state() is None:
            raise RuntimeError("interrupted, and there is no way to go on: checkpoint returned nothing")
        _replace(_state(), _dumped((delayed.function, tuple(delayed.args), dict(delayed.kwargs))))
        until = time.monotonic() + PATIENCE_S
        while not self.terminated and time.monotonic() < until:
            time.sleep(0.1)  # a program that ends by itself before its time has, as far as anybody can know, failed
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(STOPPED)


def is_plain(value: Any) -> bool:
    """Whether JSON brings exactly this value back."""
    kind = type(value)
    if kind is float:
        return math.isfinite(value)
    if kind is str:
        return not any("\ud800" <= letter <= "\udfff" for letter in value)
    if kind is list:
        return all(is_plain(each) for each in value)
    if kind is dict:
        return all(type(name) is str and is_plain(name) and is_plain(each) for name, each in value.items())
    return value is None or kind is bool or (kind is int and abs(value) < 2**63)


def _loaded(first: bytes) -> Any:
    state = _state()
    body = state.read_bytes() if state is not None and state.exists() else first
    return pickle.loads(body)  # noqa: S301  our own call, or the state that it left here


def _dumped(value: object) -> bytes:
    import cloudpickle  # noqa: PLC0415  provided by now

    return bytes(cloudpickle.dumps(value))


def _state() -> Path | None:
    folder = os.environ.get("KYOYO_CHECKPOINT_DIR")
    return Path(folder) / STATE if folder else None


def _write(outcome: dict[str, object]) -> None:
    body = json.dumps({"kyoyo_executor": 1, **outcome}).encode()
    if len(body) > RESULT_BYTES:
        text = f"the result is too large: {len(body):,} bytes, at most {RESULT_BYTES:,}"
        body = json.dumps(
            {"kyoyo_executor": 1, "outcome": "error", "type": "ResultTooLarge", "traceback": text}
        ).encode()
    _replace(Path(os.environ.get("KYOYO_RESULT") or "result.json"), body)


def _replace(path: Path | None, body: bytes) -> None:
    assert path is not None
    draft = path.with_name(path.name + ".new")
    draft.write_bytes(body)
    draft.replace(path)


class _Sources(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Modules from their text, for a site that does not have them."""

    def __init__(self, sources: dict[str, str]) -> None:
        self.sources = sources

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:  # noqa: ARG002  Python's own
        if name not in self.sources:
            return None
        is_package = any(other.startswith(f"{name}.") for other in self.sources)
        return importlib.util.spec_from_loader(name, self, is_package=is_package)

    def get_source(self, fullname: str) -> str:
        return self.sources[fullname]

    def is_package(self, fullname: str) -> bool:
        return any(other.startswith(f"{fullname}.") for other in self.sources)


def _provide(sources: dict[str, str]) -> None:
    sys.meta_path.append(_Sources(sources))  # last: the site's own module comes first
