"""Every "no" of the policy lab, by name. Facts, no sentences (infra.refusal); those are in wording.py."""

from __future__ import annotations

from typing import ClassVar

from infra.refusal import Refusal


class TraceUnreadable(Refusal):
    """A file of a trace as a whole. Facts: source, problem ('missing_file' | 'not_text' | 'missing_columns' |
    'no_rows'), columns (those that are missing).
    """

    code: ClassVar[str] = "trace-unreadable"


class TraceRowRefused(Refusal):
    """One row. Facts: source, row (the header is row 1), column, value, problem (see wording.ROWS), limit."""

    code: ClassVar[str] = "trace-row-refused"


class ExperimentRefused(Refusal):
    """What was asked of the lab. Facts: option, value, problem (see wording.OPTIONS)."""

    code: ClassVar[str] = "experiment-refused"
