"""Every way in which a reservation, or a job in one, can be refused."""

from __future__ import annotations

from typing import ClassVar

from infra.refusal import Refusal


class BadReservation(Refusal):
    """Facts: problem ('whole_hours' | 'ends_first' | 'no_units' | 'too_long'), since, until (ISO
    8601), units.
    """

    code: ClassVar[str] = "bad-reservation"


class ReservationInPast(Refusal):
    """It would have begun already. Facts: since, next (the earliest beginning; ISO 8601)."""

    code: ClassVar[str] = "reservation-in-past"


class NoReservableUnits(Refusal):
    """Facts: offering, units (asked for), free (at `at`, an hour in which they are not), next (when so many are free
    for so long; None: not as far ahead as the organisation may book).
    """

    code: ClassVar[str] = "reservation-no-capacity"


class ReservationQuotaExceeded(Refusal):
    """More than the organisation may reserve. Facts: limit ('units' at a time, with its other reservations |
    'unit_hours' of one | 'days_ahead'), asked, maximum.
    """

    code: ClassVar[str] = "reservation-quota"


class ReservationNotFound(Refusal):
    """No such reservation, or another organisation's: deliberately not told apart. Facts: reservation."""

    code: ClassVar[str] = "reservation-not-found"


class ReservationDeadlinePassed(Refusal):
    """Too late to cancel it. Facts: reservation, cancel_by (ISO 8601)."""

    code: ClassVar[str] = "reservation-deadline-passed"


class ReservationEnded(Refusal):
    """It has ended, or was cancelled. Facts: reservation, until (ISO 8601)."""

    code: ClassVar[str] = "reservation-over"


class ReservationUnfit(Refusal):
    """The job cannot run in it. Facts: reservation, problem ('other_offering' | 'beyond_units' | 'of_phases': a hybrid
    job | 'in_session': a circuit), offering (of the reservation; '' where it is not the point), units.
    """

    code: ClassVar[str] = "reservation-unfit"


class WalltimeBeyondReservation(Refusal):
    """It could still run when its reservation ends. Facts: reservation, walltime_s, left_s (from its beginning, or from
    now), until (ISO 8601).
    """

    code: ClassVar[str] = "walltime-beyond-reservation"


class ReservationsNotSold(Refusal):
    """Reserved time has no price yet: it is free, and what runs in it is billed as ever. Facts: price_percent."""

    code: ClassVar[str] = "reservations-not-sold"


class InvalidReservable(Refusal):
    """A setting of the calendar or of a quota. Facts: field, value, minimum, maximum."""

    code: ClassVar[str] = "invalid-reservable"


class ReservationQuotaExists(Refusal):
    """A quota never changes in place: this instant has one already. Facts: effective_at (ISO 8601)."""

    code: ClassVar[str] = "reservation-quota-exists"


class ClosureNotFound(Refusal):
    """No such closure, or it was lifted before. Facts: none."""

    code: ClassVar[str] = "closure-not-found"
