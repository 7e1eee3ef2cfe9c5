"""The pretended IBM Quantum of `ibm_stub` as QRMI 0.26.4 needs it: results and logs are told as plain text.

`qiskit-ibm-runtime` does not look at the type of the answer; QRMI's client takes JSON for a string in quotes. Circuits
run in a process of their own here: Qiskit 2.6.2 was seen to crash beside the threads of this server.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.support.ibm_stub import _Handler

_ROOT = Path(__file__).resolve().parents[2]


class _PlainResults(_Handler):
    def send_header(self, keyword: str, value: str) -> None:
        is_text = urlsplit(self.path).path.endswith(("/results", "/logs"))
        super().send_header(keyword, "text/plain" if keyword == "Content-Type" and is_text else value)


@contextmanager
def qrmi_stub() -> Iterator[str]:
    """The address of a running stub; worlds in it are `ibm_stub.IbmWorld`."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.qrmi_stub"],
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "QISKIT_PARALLEL": "FALSE", "OMP_NUM_THREADS": "1"},
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        process.wait(timeout=20)
        process.stdout.close()


def _simulated(job: Any) -> str:
    from tests.support import ibm_vendor  # noqa: PLC0415  qiskit: only in the processes

    return ibm_vendor.simulate(job)


def main() -> None:
    """Serve until the input ends."""
    from tests.support import ibm_vendor  # noqa: PLC0415

    warnings.simplefilter("ignore")
    pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
    ibm_vendor.simulate = lambda job: pool.submit(_simulated, job).result()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _PlainResults)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(f"http://127.0.0.1:{server.server_port}\n")
    sys.stdout.flush()
    sys.stdin.read()
    pool.shutdown(cancel_futures=True)
    os._exit(0)


if __name__ == "__main__":
    main()
