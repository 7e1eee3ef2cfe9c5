"""The conformance suite asserts like a test file."""

import pytest

pytest.register_assert_rewrite(
    "hpc_adapters.conformance.suite",
    "hpc_adapters.conformance.secrecy",
    "hpc_adapters.conformance.sessions",
    "hpc_adapters.conformance.harness",
)
