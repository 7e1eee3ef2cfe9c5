from __future__ import annotations

import gc
import os
from collections.abc import AsyncIterator, Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.support import parts, postgres
from tests.support.database import Database, fresh_database
from tests.support.order import Groups, group_and_order
from tests.support.report import show_reports
from tests.support.slurm import FIXTURES as SLURM_FIXTURES
from tests.support.slurm import own_cluster, release, slurm_2411, slurm_2605, slurm_of_each_release

__all__ = ["own_cluster", "release", "slurm_2411", "slurm_2605", "slurm_of_each_release"]  # fixtures for all tests

_UNIT = str(Path(__file__).parent / "unit") + os.sep

settings.register_profile("dev", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.register_profile(
    "nightly", deadline=None, max_examples=2_000, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if parts.are_required() else "dev"))


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        postgres.open_run()


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        postgres.close_run()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Groups | None:
    return Groups(config, log) if config.getoption("dist") == "loadgroup" else None


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Every worker makes a million objects here that stay: none of them is worth being looked through for rubbish."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "database" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.postgres)
        if SLURM_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slurm)
        if str(item.path).startswith(_UNIT):
            item.add_marker(pytest.mark.disable_socket)
        else:
            item.add_marker(pytest.mark.allow_hosts(["127.0.0.1", "::1"]))
    group_and_order(items)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    show_reports(terminalreporter)


def pytest_runtest_setup(item: pytest.Item) -> None:
    sentence = parts.missing(marker.name for marker in item.iter_markers())
    if sentence is None:
        return
    if parts.are_required():
        pytest.fail(sentence, pytrace=False)
    pytest.skip(sentence)


@pytest.fixture
async def database() -> AsyncIterator[Database]:
    """A fresh, migrated database of its own: clone of the run's template."""
    async with fresh_database() as fresh:
        yield fresh
