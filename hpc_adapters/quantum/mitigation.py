"""Options against errors, for adapters whose devices have none. Pure."""

from __future__ import annotations

from hpc_adapters.errors import Rejected
from hpc_adapters.pubs import Options


def refuse_mitigation(options: Options) -> None:
    """`Rejected('unsupported-option')` by the name of the first: ignoring it would be a lie, and charged."""
    for name in options.mitigation:
        raise Rejected("unsupported-option", option=name)
