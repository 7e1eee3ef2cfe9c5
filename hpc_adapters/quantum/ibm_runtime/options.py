"""Our options against errors in IBM's words; what decides how much is executed is said, and not left open. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hpc_adapters.pubs import Options, Primitive

_READOUT, _GATES = 1, 2
_LEARNING: Final = {"num_randomizations": 32, "shots_per_randomization": "auto"}
_NOISE_FACTORS: Final = (1, 3, 5)


def primitive_options(primitive: Primitive, options: Options) -> Mapping[str, Any]:
    """Options of `SamplerV2` or `EstimatorV2`, with nothing that executes more than `Options.factor` says."""
    level, sequence = options.resilience_level, options.dynamical_decoupling
    told: dict[str, Any] = {
        "dynamical_decoupling": {"enable": sequence is not None}
        | ({} if sequence is None else {"sequence_type": sequence}),
        "twirling": {
            "enable_gates": options.twirl_gates or level >= _GATES,
            "enable_measure": options.twirl_measure or level >= _READOUT,
        },
    }
    if primitive is Primitive.SAMPLER:
        return told
    resilience: dict[str, Any] = {"pec_mitigation": False, "zne_mitigation": level >= _GATES}
    resilience["measure_mitigation"] = level >= _READOUT
    if level >= _READOUT:
        resilience["measure_noise_learning"] = _LEARNING
    if level >= _GATES:
        resilience["zne"] = {"noise_factors": _NOISE_FACTORS, "amplifier": "gate_folding"}
    return told | {"resilience_level": level, "resilience": resilience}
