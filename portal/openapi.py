"""The API's description as a committed file: any change of the API is a change that a reviewer sees.

python -m portal.openapi --write
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, cast

from portal.app import create_app
from portal.auth.sessions import Sessions
from portal.deps import PortalDeps

COMMITTED = Path(__file__).with_name("openapi.json")


def document() -> str:
    """The description as it is now, the same text for the same API."""
    nobody = PortalDeps(pool=cast("Any", None), backends={}, sessions=Sessions(key=b""))
    return json.dumps(create_app(nobody).openapi(), ensure_ascii=False, indent=2, sort_keys=True) + "\n"


def is_current() -> bool:
    """Whether the committed file describes this API."""
    return COMMITTED.exists() and COMMITTED.read_text(encoding="utf-8") == document()


def write() -> None:
    """Renews the committed file."""
    COMMITTED.write_text(document(), encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        write()
    else:
        sys.stdout.write(document())
