"""Decay without touching what has decayed: the past stays as it is, and the present weighs ever more. Pure.

A use of u units over [a, b] that halves every H seconds is worth, at a later time t, u·∫ 2^(−(t−x)/H) dx over [a, b].
All are compared at the same t, so the common factor 2^(−t/H) may be left out: u·(G(b) − G(a)) with G(x) = 2^(x/H), up
to another common factor. One number per node of the tree then needs no update as time goes by.
"""

from __future__ import annotations

from math import isqrt

_BITS = 40
_STEPS_LOG = 10
_STEPS = 1 << _STEPS_LOG


def _roots() -> tuple[int, ...]:
    """2^(i / 1024) for i = 0 … 1024 as multiples of 2^-40, by integer square roots: the same on every machine."""
    fine = 2 * _BITS
    halves, value = [], 2 << fine
    for _ in range(_STEPS_LOG):
        value = isqrt(value << fine)
        halves.append(value)
    table = []
    for index in range(_STEPS):
        product = 1 << fine
        for bit, half in enumerate(halves):
            if index >> (_STEPS_LOG - 1 - bit) & 1:
                product = product * half >> fine
        table.append(product >> (fine - _BITS))
    return (*table, 2 << _BITS)


_TABLE = _roots()


class Growth:
    """G(t) = 2^(t / half_life_s), a whole number of 2^-40, within 1e-7 of the real one, never falling."""

    def __init__(self, half_life_s: int) -> None:
        self._half_life_s = half_life_s
        self._at = 0
        self._value = _TABLE[0]

    def __call__(self, at_s: int) -> int:
        if at_s != self._at:
            self._at, self._value = at_s, self._grown(at_s)
        return self._value

    def _grown(self, at_s: int) -> int:
        doublings, rest = divmod(at_s, self._half_life_s)
        step, within = divmod(rest * _STEPS, self._half_life_s)
        low = _TABLE[step]
        value = low + (_TABLE[step + 1] - low) * within // self._half_life_s
        return value << doublings
