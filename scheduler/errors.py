"""Every "no" of the scheduler, by name. Facts, no sentences (infra.refusal)."""

from __future__ import annotations

from typing import ClassVar

from infra.refusal import Refusal

# --- what was asked for -----------------------------------------------------------------------------------------------


class MissingScript(Refusal):
    """The script or circuit is missing or empty. Facts: kind."""

    code: ClassVar[str] = "missing-script"


class ScriptTooLarge(Refusal):
    """Facts: size_bytes, limit_bytes."""

    code: ClassVar[str] = "script-too-large"


class ScriptNotText(Refusal):
    """Not UTF-8, or with a NUL character in it. Facts: problem ('not_utf8' | 'nul')."""

    code: ClassVar[str] = "script-not-text"


class MissingShebang(Refusal):
    """A script must say in its first line what runs it. Facts: first_line (shortened)."""

    code: ClassVar[str] = "missing-shebang"


class NegativeWalltime(Refusal):
    """A time limit of zero seconds or less. Facts: requested_s."""

    code: ClassVar[str] = "negative-walltime"


class NegativeGpus(Refusal):
    """Facts: requested."""

    code: ClassVar[str] = "negative-gpus"


class NegativeShots(Refusal):
    """Facts: requested."""

    code: ClassVar[str] = "negative-shots"


class AttemptsOutOfRange(Refusal):
    """Facts: requested, minimum, maximum."""

    code: ClassVar[str] = "attempts-out-of-range"


class TooManyArguments(Refusal):
    """Facts: count, limit."""

    code: ClassVar[str] = "too-many-arguments"


class BadArgument(Refusal):
    """An argument that no program can be given. Facts: index (from 0), problem ('too_long' | 'control_character')."""

    code: ClassVar[str] = "bad-argument"


class TooManyVariables(Refusal):
    """Environment variables. Facts: count, limit."""

    code: ClassVar[str] = "too-many-variables"


class BadVariable(Refusal):
    """An environment variable that cannot be set.

    Facts: name (shortened), problem ('name' | 'reserved' | 'too_long' | 'control_character').
    """

    code: ClassVar[str] = "bad-variable"


class KindMismatch(Refusal):
    """The offering does not run this kind of job. Facts: kind, offering, offering_kind."""

    code: ClassVar[str] = "kind-mismatch"


class GpusNotOffered(Refusal):
    """GPUs asked for a quantum job. Facts: requested."""

    code: ClassVar[str] = "gpus-not-offered"


class ArgumentsNotOffered(Refusal):
    """A circuit takes no arguments and no environment. Facts: none."""

    code: ClassVar[str] = "arguments-not-offered"


# --- how it was asked -------------------------------------------------------------------------------------------------


class IdempotencyKeyMissing(Refusal):
    """A submission without a key could not be repeated safely. Facts: none."""

    code: ClassVar[str] = "idempotency-key-missing"


class IdempotencyKeyInvalid(Refusal):
    """Facts: problem ('too_long' | 'not_ascii'), limit."""

    code: ClassVar[str] = "idempotency-key-invalid"


class IdempotencyKeyReused(Refusal):
    """The same key came before with another request. Facts: job_id (of the earlier one)."""

    code: ClassVar[str] = "idempotency-key-reused"


class BadCursor(Refusal):
    """Not a cursor that we gave. Facts: none."""

    code: ClassVar[str] = "bad-cursor"


class BadLimit(Refusal):
    """A page of no or too many items. Facts: requested, limit."""

    code: ClassVar[str] = "bad-limit"


# --- what the present state does not allow ----------------------------------------------------------------------------


class QueueFull(Refusal):
    """The organisation has as many waiting jobs as it may. Facts: queued, max."""

    code: ClassVar[str] = "queue-full"


class JobNotFound(Refusal):
    """No such job, or another organisation's: deliberately not told apart. Facts: none."""

    code: ClassVar[str] = "job-not-found"


# --- what an operator sets --------------------------------------------------------------------------------------------


class InvalidShare(Refusal):
    """Facts: field ('weight' | 'max_queued_jobs' | 'max_running_jobs'), value, minimum."""

    code: ClassVar[str] = "invalid-share"


class InvalidExchangeRate(Refusal):
    """Facts: resource_type, nu_per_hour (text)."""

    code: ClassVar[str] = "invalid-exchange-rate"


class ShareExists(Refusal):
    """A share never changes in place: this instant has one already. Facts: effective_at (ISO 8601)."""

    code: ClassVar[str] = "share-exists"


class ExchangeRateExists(Refusal):
    """A rate never changes in place: this instant has one already. Facts: resource_type, effective_at (ISO 8601)."""

    code: ClassVar[str] = "exchange-rate-exists"
