"""Chance without state: every question has one answer for a seed, whoever asks first.

A shared random generator makes the fate of one job depend on how often others were asked about. Here the answer is a
hash of the seed and of the question's label, so that an attempt meets the same faults in every order of calls.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256


@dataclass(frozen=True, slots=True)
class Chance:
    seed: int

    def of(self, *label: object) -> float:
        """A number in [0, 1), evenly spread over labels."""
        text = "\x1f".join([str(self.seed), *map(str, label)])
        return int.from_bytes(sha256(text.encode()).digest()[:6], "big") / 2**48

    def happens(self, probability: float, *label: object) -> bool:
        return self.of(*label) < probability

    def between(self, low: float, high: float, *label: object) -> float:
        return low + (high - low) * self.of(*label)
