"""The policy lab: python -m scheduler.simulate replay | compare."""

from __future__ import annotations

from scheduler.simulate.commands import app

app(prog_name="python -m scheduler.simulate")
