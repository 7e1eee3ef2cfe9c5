"""Which pickled results are ours: a key that never leaves the executor's folder, and from it one key a submission.

What this protects from. A pickle runs code when it is read, so a result must be written by the function that we sent.
The key of a submission travels inside its script; it is useless for every other submission. Somebody who can write a
job's result file or replace it on its way, but cannot read the job's script, is found out. So is a mix-up of jobs.
What it does not protect from. Whoever can read the script (the operators of the portal and of the site, and the job's
own processes) has that key. If you do not trust them with your machine, use AutoExecutor(…, pickled_results=False):
then only plain JSON values come back, and nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from contextlib import suppress
from pathlib import Path

KEY_FILE = ".executor-key"
_KEY_BYTES = 32
_MODE = 0o600


def master_key(folder: Path) -> bytes:
    """The folder's key, made when there is none. ValueError: the file is not ours, or is open to others."""
    path = folder / KEY_FILE
    with suppress(FileExistsError):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, _MODE)
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(handle, "rb") as file:
        facts = os.fstat(file.fileno())
        key = file.read(_KEY_BYTES + 1)
    if facts.st_uid != os.geteuid() or facts.st_mode & 0o077 or len(key) != _KEY_BYTES:
        raise ValueError(str(path))
    return key


def submission_key(master: bytes, nonce: str) -> bytes:
    """The key of one submission; nobody gets from it to the master key."""
    return hmac.new(master, f"kyoyo-executor:{nonce}".encode(), hashlib.sha256).digest()


def is_sealed(body: bytes, seal: str, *, key: bytes, index: int) -> bool:
    """Whether the seal is that of this task's result."""
    expected = hmac.new(key, f"{index}:".encode() + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), seal.encode("utf-8", "replace"))
