"""The one way to refuse what a backend does not offer. Pure."""

from __future__ import annotations

from hpc_adapters.contract import Capabilities, Feature, JobRequest
from hpc_adapters.errors import Rejected


def refuse_unoffered(request: JobRequest, capabilities: Capabilities) -> None:
    """`Rejected` by name: 'unsupported-<feature>' for the first feature that is not offered, 'no-identity'."""
    unoffered = request.features() - capabilities.features
    for feature in Feature:
        if feature in unoffered:
            raise Rejected(f"unsupported-{feature.value.replace('_', '-')}", feature=feature.value)
    if capabilities.needs_identity and request.identity is None:
        raise Rejected("no-identity")
