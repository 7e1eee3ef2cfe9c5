"""Runs the benchmarks: python -m tests.bench [NAME ...]. One JSON line each.

A benchmark is a module beside this one with `async def run() -> Result`, or a sentence: why it was not run. It measures
its limit or peer in the same run on the same machine, for a figure alone says nothing, and it fails when what it
measured is not right. Files that begin with _ are no benchmarks. `fresh_database()` of tests.support gives one its
database. README.md lists them.
"""

from __future__ import annotations

import asyncio
import json
import sys
from importlib import import_module
from pathlib import Path

from tests.support import postgres
from tests.support.benchmark import Result

HERE = Path(__file__).parent


def names() -> list[str]:
    return sorted(path.stem for path in HERE.glob("*.py") if not path.stem.startswith("_"))


def main(wanted: list[str]) -> int:
    unknown = sorted(set(wanted) - set(names()))
    if unknown:
        print(f"no such benchmark: {', '.join(unknown)}. There are: {', '.join(names())}", file=sys.stderr)  # noqa: T201
        return 2
    postgres.open_run()
    try:
        for name in wanted or names():
            result: Result | str = asyncio.run(import_module(f"tests.bench.{name}").run())
            if isinstance(result, str):
                print(f"{name}: {result}", file=sys.stderr)  # noqa: T201  why there is no line
            else:
                print(json.dumps(result, ensure_ascii=False), flush=True)  # noqa: T201  the line is the point
    finally:
        postgres.close_run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
