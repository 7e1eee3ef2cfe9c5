"""The other end of a bridge: what a vendor's process does with its standard streams. Standard library only.

Answers may come in another order than the questions: each is worked on by a thread of its own, a few at a time.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any, BinaryIO

from hpc_adapters.errors import Rejected, Unavailable

Method = Callable[[Mapping[str, Any]], Any]
"""Takes the parameters, gives something that JSON can hold. Rejected, Unavailable go back as they are."""


def serve(open_methods: Callable[[Mapping[str, Any]], Mapping[str, Method]], *, threads: int = 4) -> None:
    """Answer until the input ends. `open_methods` gets the hello, with the secrets, and gives what can be asked.

    The real stdout is kept for answers; whatever else prints goes nowhere.
    """
    answers = os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    _Server(answers, open_methods, threads).run(sys.stdin.buffer)
    os._exit(0)  # a thread may still wait for the network: nobody waits for it


class _Server:
    def __init__(
        self, answers: BinaryIO, open_methods: Callable[[Mapping[str, Any]], Mapping[str, Method]], threads: int
    ) -> None:
        self._answers = answers
        self._open = open_methods
        self._methods: Mapping[str, Method] = {}
        self._lock = Lock()
        self._pool = ThreadPoolExecutor(max_workers=threads)

    def run(self, questions: Iterable[bytes]) -> None:
        for line in questions:
            asked = json.loads(line)
            if asked["method"] == "hello":
                self._answer(asked["id"], self._greet, asked["params"])
            else:
                self._pool.submit(self._answer, asked["id"], self._methods[asked["method"]], asked["params"])

    def _greet(self, params: Mapping[str, Any]) -> None:
        self._methods = self._open(params)

    def _answer(self, number: int, method: Method, params: Mapping[str, Any]) -> None:
        said: dict[str, Any] = {"id": number}
        try:
            said["result"] = method(params)
        except Rejected as refused:
            said["error"] = {"kind": "rejected", "code": refused.code, "facts": refused.facts}
        except Unavailable as problem:
            said["error"] = {"kind": "unavailable", "detail": problem.detail, "maybe_done": problem.maybe_done}
        except BaseException as error:  # noqa: BLE001  its words may hold what was sent; its class does not
            said["error"] = {"kind": "unavailable", "detail": f"sdk-{type(error).__name__}", "maybe_done": True}
        line = json.dumps(said, default=str).encode() + b"\n"
        with self._lock:
            self._answers.write(line)
            self._answers.flush()
