"""What can be wrong with quantum work before it is sent, and how it ends badly: each a class with facts.

The sentence is in the reader's language at once, for in a program nobody translates it later.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import ClassVar

from kyoyo.errors import KyoyoError, UsageError
from kyoyo.texts import Texts, language_of


class QuantumError(UsageError):
    """Base of the refusals below. Nothing was sent."""

    sentence: ClassVar[str]

    def __init__(self, *, language: str | None = None, **facts: object) -> None:
        told = Texts(language or language_of(os.environ))(self.sentence, **facts)
        super().__init__(told, key=self.sentence, line=0, **facts)


class UnknownBackend(QuantumError):
    """No device and no offering has this name. Facts: name, known."""

    exit_code = 5
    code = "unknown-backend"
    sentence = "wrong.unknown_backend"


class NoBackend(QuantumError):
    """No device fits what was asked, or none was named and no session is open."""

    code = "no-backend"
    sentence = "wrong.no_backend"


class TooManyQubits(QuantumError):
    """The circuit is wider than the device. Facts: needed, available, backend."""

    code = "too-many-qubits"
    sentence = "wrong.too_many_qubits"


class BadShots(QuantumError):
    """Shots are no whole number, below 1, or above the device's limit. Facts: shots, limit, backend."""

    code = "invalid-shots"
    sentence = "wrong.shots"


class BadPrecision(QuantumError):
    """A precision that no number of shots on this device can give. Facts: precision, limit, backend."""

    code = "invalid-precision"
    sentence = "wrong.precision"


class SessionOver(QuantumError):
    """The session was closed, was idle for too long, or has reached its time. Facts: session, state."""

    code = "session-over"
    sentence = "wrong.session_over"


class DocumentTooLarge(QuantumError):
    """What would be sent is larger than a portal takes. Facts: size, limit (bytes)."""

    code = "document-too-large"
    sentence = "wrong.document_too_large"


class NotSupported(QuantumError):
    """Something that Qiskit can say and Kyoyo cannot honour. Facts: what, instead."""

    code = "not-supported"
    sentence = "wrong.not_supported"


class JobFailed(KyoyoError):
    """The job ended without a result. `code`: the word of the refusal or of the end; `facts`: the portal's."""

    exit_code = 1

    def __init__(self, code: str, detail: str, *, job: str, facts: Mapping[str, object] | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.job = job
        self.facts: Mapping[str, object] = dict(facts or {})
