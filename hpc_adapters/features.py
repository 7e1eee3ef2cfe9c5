"""What a request asks of a site beyond plain resources, and the one way to refuse what is not offered. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from hpc_adapters.contract import Capabilities, Feature, JobRequest, Placement
from hpc_adapters.errors import Rejected

_JOINTS: Final = re.compile(r"[&|]")
"""Between the names of a constraint."""


def names_asked(placement: Placement) -> Mapping[Feature, frozenset[str]]:
    """The site's own names that a placement asks for, by feature."""
    constraint = placement.constraint
    asked = {
        Feature.GPU_TYPE: _one(placement.gpu_type),
        Feature.CONSTRAINT: frozenset() if constraint is None else frozenset(map(str.strip, _JOINTS.split(constraint))),
        Feature.RESERVATION: _one(placement.reservation),
        Feature.LICENSES: frozenset(placement.licenses),
        Feature.IMAGE: _one(placement.image),
    }
    return {feature: names for feature, names in asked.items() if names}


def _one(name: str | None) -> frozenset[str]:
    return frozenset() if name is None else frozenset({name})


def refuse_unoffered(request: JobRequest, capabilities: Capabilities) -> None:
    """`Rejected` by name: 'unsupported-<feature>' for the first feature that is not offered, 'no-identity'."""
    unoffered = request.features() - capabilities.features
    for feature in Feature:
        if feature in unoffered:
            raise Rejected(f"unsupported-{feature.value.replace('_', '-')}", feature=feature.value)
    if capabilities.needs_identity and request.identity is None:
        raise Rejected("no-identity")
