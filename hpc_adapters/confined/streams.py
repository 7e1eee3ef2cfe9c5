"""Copying what a job prints into a file that cannot grow beyond its cap."""

from __future__ import annotations

import os

_PIECE = 65_536


class CappedCopy:
    """From a pipe to a file, up to a cut: the cap, or a full disk.

    What comes after it is read, so that the job never blocks on it, and dropped.
    """

    def __init__(self, source: int, target: str, *, cap_bytes: int) -> None:
        os.set_blocking(source, False)
        self.source = source
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        self._target = os.open(target, flags, 0o600)
        self._room = cap_bytes
        self.truncated = False

    def pump(self, *, pieces: int = 16) -> bool:
        """Move what is there, a bounded piece at a time. False: the pipe has ended."""
        for _ in range(pieces):
            try:
                data = os.read(self.source, _PIECE)
            except BlockingIOError:
                return True
            if not data:
                return False
            self._keep(data)
        return True

    def drain(self) -> None:
        """Move all that is left, when no writer lives any more."""
        while self.pump():
            if not self._has_more():
                break
        os.close(self._target)
        os.close(self.source)

    def _has_more(self) -> bool:
        try:
            data = os.read(self.source, _PIECE)
        except BlockingIOError:
            return False  # somebody still holds the pipe (only without a sandbox): what is there has been taken
        self._keep(data)
        return bool(data)

    def _keep(self, data: bytes) -> None:
        kept = data[: self._room]
        self.truncated |= len(kept) < len(data)
        while kept:
            try:
                written = os.write(self._target, kept)
            except OSError:  # a full disk: the job goes on, and its later words do not stand beside a hole
                self._room, self.truncated = 0, True
                return
            self._room -= written
            kept = kept[written:]
