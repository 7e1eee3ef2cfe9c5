"""The packages have plain names; nothing else that is installed may have them too."""

from __future__ import annotations

from importlib.metadata import packages_distributions
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support.repository import PACKAGES, ROOT


@pytest.mark.parametrize("name", PACKAGES)
def test_no_other_distribution_provides_our_package(name: str) -> None:
    assert set(packages_distributions().get(name, [])) <= {"kyoyo-server"}


@pytest.mark.parametrize("name", [*PACKAGES, "kyoyo"])
def test_our_package_is_the_one_that_is_imported(name: str) -> None:
    found = find_spec(name)
    assert found is not None
    assert found.origin is not None
    assert Path(found.origin).is_relative_to(ROOT)
