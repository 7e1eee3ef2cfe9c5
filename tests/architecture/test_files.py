"""What must not stand in any file: addresses of package registries, and paths of one person's machine."""

from __future__ import annotations

import re

from tests.support.repository import shown, tracked_files

# In pieces, so that this file does not find itself.
REGISTRIES = [
    "py" + r"pi\.org",
    "python" + r"hosted\.org",
    "np" + r"mjs\.(org|com)",
    "yarn" + r"pkg\.com",
    r"(deb|security|archive|ports)\.(debian|ub" + r"untu)\.",
    "download" + r"\.pytorch\.org",
    "cra" + r"tes\.io",
    "conda\\." + "anaconda",
]
MACHINES = ["/ho" + r"me/\w", "/Use" + r"rs/\w", "/wo" + "rk/", "/opt/(whee" + "ls|py" + "pi)", r"C:\\" + r"\w"]
FORBIDDEN = re.compile("|".join(REGISTRIES + MACHINES))


def test_no_file_names_a_registry_or_a_path_of_one_machine() -> None:
    found = [
        f"{shown(path)}:{number}: {match.group()}"
        for path in tracked_files()
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1)
        if (match := FORBIDDEN.search(line))
    ]
    assert found == []


def test_no_tracked_file_is_large() -> None:
    assert [shown(path) for path in tracked_files() if path.stat().st_size > 1_000_000] == []
