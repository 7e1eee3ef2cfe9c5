"""One run: look, compare, repair what is small, look again, and tell."""

from __future__ import annotations

from dataclasses import dataclass

from hpc_adapters.slurm.directory import Directory
from hpc_adapters.slurm.provisioning.applying import Done, Outcome, apply, look
from hpc_adapters.slurm.provisioning.model import Change, Plan, Wanted
from hpc_adapters.slurm.provisioning.planning import plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a run found and did. `remaining`: what Slurm did not take, whatever it said."""

    plan: Plan
    done: tuple[Done, ...] = ()
    remaining: tuple[Change, ...] = ()
    dry_run: bool = False

    @property
    def is_settled(self) -> bool:
        """Both sides agree now, but for members whose jobs still run and for what people have to look at."""
        waiting = [each.change for each in self.done if each.outcome is Outcome.JOBS_RUNNING]
        left = self.plan.changes if self.dry_run else self.remaining
        return self.plan.doubt is None and all(each in waiting for each in left)

    def as_json(self) -> dict[str, object]:
        return {
            **self.plan.as_json(),
            "dry_run": self.dry_run,
            "done": [each.as_json() for each in self.done],
            "remaining": [each.as_json() for each in self.remaining],
            "settled": self.is_settled,
        }


async def reconcile(
    directory: Directory, wanted: Wanted, *, remove: int | None = None, dry_run: bool = False
) -> Report:
    """Makes the site's side like ours, as far as the plan goes. Unavailable."""
    found = plan(wanted, await look(directory), remove=remove)
    if dry_run or not found.changes:
        return Report(plan=found, dry_run=dry_run)
    done = await apply(directory, wanted, found.changes)
    after = plan(wanted, await look(directory), remove=remove)
    left = tuple(each for each in after.changes if each in found.changes)
    return Report(plan=found, done=tuple(done), remaining=left)
