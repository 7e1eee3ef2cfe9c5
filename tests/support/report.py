"""Lines that a test wants to be read although it passes: shown at the end, also by parallel workers."""

from __future__ import annotations

import pytest

REPORT = "report"


def show_reports(terminal: pytest.TerminalReporter) -> None:
    lines = [
        str(value)
        for passed in terminal.getreports("passed")
        for name, value in passed.user_properties
        if name == REPORT
    ]
    if lines:
        terminal.section("longer than they should be")
        for line in lines:
            terminal.line(line)
