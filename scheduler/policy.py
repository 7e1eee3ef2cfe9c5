"""Settings of the present policy that are not an operator's to change per organisation."""

from __future__ import annotations

from datetime import timedelta

from scheduler.core.quotas import Share
from scheduler.reservations.model import Quota

HALF_LIFE = timedelta(days=7)
"""After so long half of a use counts in the fair share."""
DEFAULT_SHARE = Share()
"""An organisation without a row in scheduler.share."""
DEFAULT_NU_PER_HOUR = 1.0
"""A resource type without a published rate counts as the reference GPU: too much rather than nothing."""
MAX_INTERACTIVE_S = 4 * 3_600
"""Walltime of an interactive job: somebody sits before it, and it goes before the other work of its organisation."""
DEFAULT_RESERVATION_QUOTA = Quota()
"""An organisation without a row in scheduler.reservation_quota."""
MAX_SETTING = 1_000_000
"""Of a weight or a limit."""
MAX_NU_PER_HOUR = 1_000_000.0
MAX_MONTH_NU = 1_000_000_000
