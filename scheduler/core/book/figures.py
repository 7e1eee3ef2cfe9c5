"""The state of the shares now, in a few numbers for whoever watches: no names, nothing of anybody. Pure values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pricing.model import ServiceClass


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """As of the last decision. Amounts in NU per hour, over all machines."""

    waiting: Mapping[ServiceClass, int]
    """Attempts in our queue, for whatever reason."""
    held_nu_per_h: float
    capacity_nu_per_h: float
    borrowed_nu_per_h: float
    """What organisations hold beyond their nominal shares, of machines that can be divided."""
    share_error: float
    """The furthest that any organisation is from what it is entitled to now: |held − entitled| ÷ capacity."""
