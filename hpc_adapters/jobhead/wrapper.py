"""The text of a batch job: facts of the attempt as harmless words, then the head of every job (job.sh). Pure.

The user's program, arguments and variables travel as base64, so that no character of theirs is ever read by a shell.
Secrets are not in it: the text is kept by Slurm, and may be in its accounting.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Final

SUPERSEDED: Final = 75
"""Another start of this attempt has passed the gate."""

_HEAD: Final = files("hpc_adapters.jobhead").joinpath("job.sh").read_text(encoding="utf-8")
_PLAIN: Final = re.compile(r"[A-Za-z0-9._/-]*")
_PATTERNS: Final = re.compile(r"[A-Za-z0-9._/\[\]* -]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What the head of one job is told. Paths are absolute and of plain characters."""

    work: str
    program: bytes
    arguments: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    """The user's own variables."""
    own: Mapping[str, str] = field(default_factory=dict)
    """Ours, which win."""
    secrets: int = 0
    """How many the file `.secrets` holds."""
    launch: str = ""
    """Shell lines that start `<work>/script` instead of the program by itself."""
    prefix: Sequence[str] = ()
    """Words before the program's own."""
    folders: Sequence[str] = ()
    """Made before the program starts."""
    warning: str = ""
    """The signal (without SIG) that the job asked to be warned with."""
    user: str = ""
    """As whom it runs; empty: the node is asked."""
    devices: str = "/dev/nvidia[0-9]* /dev/nvidiactl /dev/dxg"
    """Where one of these is, the job's GPUs are measured."""
    run: tuple[str, str, str] = ("${SLURM_JOB_ID:-}", "${SLURM_RESTART_COUNT:-0}", "${SLURM_JOB_START_TIME:-}")
    """Id, restart count and start of this run, as a shell on the node knows them."""


def batch_script(head: Head) -> str:
    """What Slurm is given to run."""
    lists = [
        _encoded(words)
        for words in (head.prefix, head.arguments, _assignments(head.environment), _assignments(head.own))
    ]
    facts = {
        "ky_work": _plain(head.work),
        "ky_program": _words([head.program], end=b""),
        "ky_lists": _words([word for words in lists for word in words]),
        "ky_counts": f"({' '.join(str(len(words)) for words in lists)})",
        "ky_launch": _words([head.launch.encode()], end=b""),
        "ky_secrets": str(int(head.secrets)),
        "ky_warning": _plain(head.warning),
        "ky_user": _plain(head.user),
        "ky_devices": f'"{_plain(head.devices, _PATTERNS)}"',
        **{f"ky_run_{name}": f'"{word}"' for name, word in zip(("id", "restart", "start"), head.run, strict=True)},
    }
    folders = " ".join(_plain(folder) for folder in head.folders)
    lines = [*(f"{name}={value}" for name, value in facts.items()), f"ky_folders=({folders or '.'})"]
    return "#!/bin/bash\n" + "\n".join(lines) + "\n\n" + _HEAD


def secrets_file(secrets: Mapping[str, str]) -> bytes:
    """What the head finds in `.secrets`."""
    return b"".join(word + b"\0" for word in _encoded(_assignments(secrets)))


def _assignments(variables: Mapping[str, str]) -> Iterable[str]:
    return (f"{name}={value}" for name, value in variables.items())


def _encoded(words: Iterable[str]) -> list[bytes]:
    return [word.encode() for word in words]


def _words(words: Sequence[bytes], *, end: bytes = b"\0") -> str:
    return b64encode(b"".join(word + end for word in words)).decode("ascii")


def _plain(word: str, allowed: re.Pattern[str] = _PLAIN) -> str:
    """A word that a shell reads as itself. ValueError: it is none, and our own code is wrong."""
    if allowed.fullmatch(word) is None:
        raise ValueError(f"not a plain word: {word!r}")
    return word
