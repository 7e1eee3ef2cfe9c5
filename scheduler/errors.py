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


class CostCapNotPositive(Refusal):
    """Facts: max_cost_yen."""

    code: ClassVar[str] = "cost-cap-not-positive"


class ProgramNotRead(Refusal):
    """Neither OpenQASM 2 or 3 nor a document of PUBs that holds what it says. Facts: problem (a code of
    hpc_adapters.programs, such as 'unknown-format'), and those of that code.
    """

    code: ClassVar[str] = "program-not-read"


class ShotsDiffer(Refusal):
    """A document of PUBs asks for another number of executions. Facts: requested, executions."""

    code: ClassVar[str] = "shots-differ"


class BadSession(Refusal):
    """Facts: problem ('session_kind' | 'session_both' | 'session_program' | 'session_array' | 'session_idle' |
    'session_name' | 'session_phase' | 'qpu_kind' | 'qpu_array'), phase (of a hybrid job, where one is meant).
    """

    code: ClassVar[str] = "bad-session"


class SessionNotFound(Refusal):
    """No session of this organisation on this offering. Facts: session (as it was named), offering."""

    code: ClassVar[str] = "session-not-found"


class SessionOver(Refusal):
    """It was closed, was idle for too long, or has reached its end. Facts: session (as it was named)."""

    code: ClassVar[str] = "session-over"


class DeviceLimit(Refusal):
    """More than the device takes: circuits of one job, or shots of one PUB. Facts: unit ('shots' | 'circuits'),
    requested, limit, device.
    """

    code: ClassVar[str] = "device-limit"


class RefusedByDevice(Refusal):
    """The device has looked at the program and would not run it. Facts: device, problem (its code), about (what it says
    of it, as 'name: value').
    """

    code: ClassVar[str] = "refused-by-device"


class AttemptsOutOfRange(Refusal):
    """Facts: requested, minimum, maximum."""

    code: ClassVar[str] = "attempts-out-of-range"


class TooManyArguments(Refusal):
    """Facts: count, limit."""

    code: ClassVar[str] = "too-many-arguments"


class BadArgument(Refusal):
    """An argument that no program can be given. Facts: index (from 0), problem ('too_long' | 'control_character')."""

    code: ClassVar[str] = "bad-argument"


class WordsTooLarge(Refusal):
    """Arguments and environment together. Facts: size_bytes, limit_bytes."""

    code: ClassVar[str] = "arguments-too-large"


class TooManyVariables(Refusal):
    """Environment variables. Facts: count, limit."""

    code: ClassVar[str] = "too-many-variables"


class BadVariable(Refusal):
    """An environment variable that cannot be set.

    Facts: name (shortened), problem ('name' | 'reserved' | 'too_long' | 'control_character'
    | 'twice': it is a secret too).
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


class OptionNotForCircuits(Refusal):
    """A circuit has no nodes, signals, secrets and the like. Facts: option."""

    code: ClassVar[str] = "option-not-for-circuits"


class BadOption(Refusal):
    """A word that no machine could take as it is. Facts: option, value (shortened), problem ('form' | 'path')."""

    code: ClassVar[str] = "bad-option"


class OptionOutOfRange(Refusal):
    """A number, or how many of them there are. Facts: option, requested, minimum, maximum."""

    code: ClassVar[str] = "option-out-of-range"


class UnevenNodes(Refusal):
    """What does not divide evenly among the nodes. Facts: option ('gpus' | 'cpus' | 'memory_mb'), requested, nodes."""

    code: ClassVar[str] = "uneven-nodes"


class MoreThanGpusBring(Refusal):
    """CPUs and memory come with the GPUs: less may be asked for, not more. Facts: option, requested, limit, gpus."""

    code: ClassVar[str] = "more-than-gpus-bring"


class UnknownSignal(Refusal):
    """Facts: signal (shortened), known."""

    code: ClassVar[str] = "unknown-signal"


class UnsupportedFeature(Refusal):
    """The machine behind the offering does not do this. Facts: feature (hpc_adapters.contract.Feature), offering."""

    code: ClassVar[str] = "unsupported-feature"


class NotAtThisSite(Refusal):
    """The site has no such GPU type, constraint, image … Facts: feature, asked, offered (names), offering."""

    code: ClassVar[str] = "not-at-this-site"


class BadPlacement(Refusal):
    """Several offerings cannot be asked for like this. Facts: problem ('location', 'two_ways', 'too_many',
    'session', 'qpu', 'reservation', 'phases').
    """

    code: ClassVar[str] = "bad-placement"


class NoPlaceFits(Refusal):
    """No offering can take it. Facts: offerings (each with the code of its refusal)."""

    code: ClassVar[str] = "no-place-fits"


class NotDomestic(Refusal):
    """Its data must stay in Japan, and nobody knows this machine to stand there. Facts: machine."""

    code: ClassVar[str] = "not-domestic"


class InteractiveTooLong(Refusal):
    """An interactive job goes before others, and so is short. Facts: requested_s, limit_s."""

    code: ClassVar[str] = "interactive-too-long"


class ReservedWithoutReservation(Refusal):
    """Of class reserved are jobs inside an advance reservation, and none was named, or within a share of that class,
    and its organisation has none on the machine. Facts: none.
    """

    code: ClassVar[str] = "reserved-without-reservation"


class TimeoutsOutOfRange(Refusal):
    """A time-out that is continued needs an attempt to continue in. Facts: requested, maximum."""

    code: ClassVar[str] = "timeouts-out-of-range"


class BeginTooLate(Refusal):
    """A begin time further ahead than anybody plans. Facts: begin_at (ISO 8601), limit_days."""

    code: ClassVar[str] = "begin-too-late"


class DependencyNotFound(Refusal):
    """No such job, or another organisation's: deliberately not told apart. Facts: job (as it was asked, shortened)."""

    code: ClassVar[str] = "dependency-not-found"


class TooManyDependencies(Refusal):
    """Facts: count, limit."""

    code: ClassVar[str] = "too-many-dependencies"


class TooManyPhases(Refusal):
    """More phases than a hybrid job may have, its loop unfolded. Facts: count, limit."""

    code: ClassVar[str] = "too-many-phases"


class BadPhase(Refusal):
    """Facts: phase ('' for the job as a whole), problem ('no_phases' | 'name' | 'twice' | 'no_such_phase' | 'kind' |
    'program_from' | 'two_programs' | 'nothing_to_take' | 'input_name' | 'array' |
    'not_hybrid' | 'of_a_phase'), name (where one is meant).
    """

    code: ClassVar[str] = "bad-phase"


class ArrayEmpty(Refusal):
    """An array without a task. Facts: none."""

    code: ClassVar[str] = "array-empty"


class ArrayTooLarge(Refusal):
    """Facts: count, limit."""

    code: ClassVar[str] = "array-too-large"


class BadArrayIndex(Refusal):
    """Facts: index, problem ('negative' | 'duplicate' | 'too_large'), maximum."""

    code: ClassVar[str] = "bad-array-index"


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
    """As many jobs wait as may. Facts: level ('organisation' | 'project' | 'user'), on (a backend, or '*': in total),
    queued, max, asked (an array's tasks count each).
    """

    code: ClassVar[str] = "queue-full"


class OverQuota(Refusal):
    """One job wants more than its limit, even alone. Facts: quota ('max_gpus' | 'max_month_nu'), level, on (as those of
    QueueFull), asked, max.
    """

    code: ClassVar[str] = "over-quota"


class DeviceNotFound(Refusal):
    """No device of this name was ever heard of. Facts: device."""

    code: ClassVar[str] = "device-not-found"


class CalibrationNotFound(Refusal):
    """Facts: device, calibration."""

    code: ClassVar[str] = "calibration-not-found"


class JobNotFound(Refusal):
    """No such job, or another organisation's: deliberately not told apart. Facts: none."""

    code: ClassVar[str] = "job-not-found"


class ArrayNotFound(Refusal):
    """No such array, or another organisation's: deliberately not told apart. Facts: none."""

    code: ClassVar[str] = "array-not-found"


# --- what an operator sets --------------------------------------------------------------------------------------------


class InvalidShare(Refusal):
    """Facts: field ('weight' | 'max_queued_jobs' | 'max_running_jobs' | 'max_gpus' | 'max_month_nu' |
    'max_borrow_percent' | 'max_lend_percent' | 'reserved_units'), value, minimum, maximum.
    """

    code: ClassVar[str] = "invalid-share"


class UnknownShareField(Refusal):
    """Facts: field, known."""

    code: ClassVar[str] = "unknown-share-field"


class BackendHasNoWeight(Refusal):
    """Siblings take turns over all machines together: a weight on one of them would mean nothing. Facts: backend."""

    code: ClassVar[str] = "backend-has-no-weight"


class OnlyOrganisationsLend(Refusal):
    """Nominal shares are of organisations on every machine alike: a project, a user or one machine has none. Facts:
    field.
    """

    code: ClassVar[str] = "only-organisations-lend"


class ReservedShareOfMachine(Refusal):
    """A share of class reserved is an organisation's, of one machine. Facts: field."""

    code: ClassVar[str] = "reserved-share-of-machine"


class UnknownBackend(Refusal):
    """Nothing is sold on a machine of this name. Facts: backend, known."""

    code: ClassVar[str] = "unknown-backend"


class UserWithoutProject(Refusal):
    """A user is a branch of a project, and none was named. Facts: none."""

    code: ClassVar[str] = "user-without-project"


class NotRetroactive(Refusal):
    """What has been is not planned anew. Facts: effective_at, now (ISO 8601)."""

    code: ClassVar[str] = "not-retroactive"


class TooFarAhead(Refusal):
    """Facts: effective_at (ISO 8601), limit_days."""

    code: ClassVar[str] = "too-far-ahead"


class ReasonMissing(Refusal):
    """Why something is set is kept with it. Facts: limit (characters)."""

    code: ClassVar[str] = "reason-missing"


class InvalidResourceType(Refusal):
    """Facts: resource_type, known (kinds)."""

    code: ClassVar[str] = "invalid-resource-type"


class InvalidExchangeRate(Refusal):
    """Facts: resource_type, nu_per_hour (text), maximum."""

    code: ClassVar[str] = "invalid-exchange-rate"


class ShareExists(Refusal):
    """A share never changes in place: this instant has one already. Facts: effective_at (ISO 8601)."""

    code: ClassVar[str] = "share-exists"


class ExchangeRateExists(Refusal):
    """A rate never changes in place: this instant has one already. Facts: resource_type, effective_at (ISO 8601)."""

    code: ClassVar[str] = "exchange-rate-exists"
