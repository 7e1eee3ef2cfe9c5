"""Qiskit on Kyoyo's quantum computers: one changed line.

from kyoyo.qiskit import KyoyoService

backend = KyoyoService().backend("qpu-demo")
sampler = SamplerV2(mode=backend)        # qiskit_ibm_runtime's, unmodified; or the one from here
result = sampler.run([circuit]).result()

Needs the extra: pip install "kyoyo[qiskit]".
"""

from __future__ import annotations

try:
    import qiskit as _qiskit
except ImportError as _missing:
    raise ImportError('kyoyo.qiskit needs Qiskit: pip install "kyoyo[qiskit]"') from _missing

from kyoyo.qiskit.backend import KyoyoBackend, KyoyoWarning
from kyoyo.qiskit.jobs import CircuitJob, PrimitiveJob
from kyoyo.qiskit.options import EstimatorOptions, SamplerOptions
from kyoyo.qiskit.primitives import EstimatorV2, SamplerV2
from kyoyo.qiskit.service import KyoyoService
from kyoyo.qiskit.session import Batch, Session, SessionUsage
from kyoyo.quantum.errors import (
    BadPrecision,
    BadShots,
    DocumentTooLarge,
    JobFailed,
    NoBackend,
    NotSupported,
    SessionOver,
    TooManyQubits,
    UnknownBackend,
)

Estimator = EstimatorV2
Sampler = SamplerV2

__all__ = [
    "BadPrecision",
    "BadShots",
    "Batch",
    "CircuitJob",
    "DocumentTooLarge",
    "Estimator",
    "EstimatorOptions",
    "EstimatorV2",
    "JobFailed",
    "KyoyoBackend",
    "KyoyoService",
    "KyoyoWarning",
    "NoBackend",
    "NotSupported",
    "PrimitiveJob",
    "Sampler",
    "SamplerOptions",
    "SamplerV2",
    "Session",
    "SessionOver",
    "SessionUsage",
    "TooManyQubits",
    "UnknownBackend",
]
del _qiskit
