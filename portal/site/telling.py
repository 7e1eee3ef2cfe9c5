"""What `kyoyod site` prints. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hpc_adapters.slurm.provisioning.model import Change, Doubt
from hpc_adapters.slurm.provisioning.reconciling import Report
from portal.site.users import Row

_HEADER = ("user", "account", "organisation", "person", "since", "until")


def user_lines(rows: Sequence[Row]) -> list[str]:
    """A table of who runs as whom."""
    return columns(
        [
            _HEADER,
            *(
                (
                    each.user.unix_user,
                    each.user.account,
                    each.organisation,
                    each.person or "(every other member)",
                    f"{each.user.created_at:%Y-%m-%d}",
                    f"{each.user.removed_at:%Y-%m-%d}" if each.user.removed_at else "",
                )
                for each in rows
            ),
        ]
    )


def report_lines(report: Report) -> Iterator[str]:
    """What was found, done and left."""
    plan = report.plan
    if report.dry_run:
        yield from columns([("would " + each.step.value, *_of(each)) for each in plan.changes])
    else:
        yield from columns([(each.change.step.value, *_of(each.change), each.outcome.value) for each in report.done])
    yield from (
        f"  {each.change.step.value} {each.change.account}: {each.detail}" for each in report.done if each.detail
    )
    if plan.doubt is not None:
        count = len(plan.withheld)
        yield f"withheld, {plan.doubt.value}: {count} removals"
        if plan.doubt is not Doubt.VIEW_INCOMPLETE:
            yield f"if they are meant: --remove {count}"
        yield from columns([("withheld " + each.step.value, *_of(each)) for each in plan.withheld])
    yield from columns([(f"look: {each.kind.value}", each.name, each.detail) for each in plan.findings])
    yield from (f"not taken: {' '.join((each.step.value, *_of(each)))}" for each in report.remaining)
    yield "both sides agree" if report.is_settled else "both sides differ"


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows with their words one below the other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _of(change: Change) -> tuple[str, str]:
    limit = change.as_json().get("gpu_minutes")
    return change.account, f"{limit} GPU-minutes" if limit is not None else change.user
