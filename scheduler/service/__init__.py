"""What others may ask of the scheduler: the one door. Every function works in the caller's transaction.

Submitting and reading work as the tenant (the database shows it only its own); what moves an attempt on is done by the
loops.
"""

from __future__ import annotations

from scheduler.service.admitting import largest_nu, resources_of
from scheduler.service.calendaring import (
    close_backend,
    closures,
    lift_closure,
    set_reservable,
    set_reservation_quota,
)
from scheduler.service.called import calls, qpu
from scheduler.service.devices import calibration, calibrations, device, device_history, devices, waiting_at
from scheduler.service.elastic import (
    declare_disruption,
    disruptions,
    elastic_actions,
    elastic_rules,
    end_disruption,
    set_elastic_rule,
)
from scheduler.service.exchange import exchange_table, publish_exchange_rate
from scheduler.service.filing import inputs, inputs_in_use, outputs
from scheduler.service.operating import queue_view
from scheduler.service.phasing import estimate, phases
from scheduler.service.placing import candidates, data_rules, set_data_rule
from scheduler.service.reading import attempts, dependencies, job, job_id_of, jobs, native_ids, result, story
from scheduler.service.remedying import what_would_help
from scheduler.service.reserving import book, calendar, cancel_reservation, reservation, reservations
from scheduler.service.sharing import BranchName, set_branch, set_share
from scheduler.service.submitting import cancel_waiting_of, request_cancel, request_cancel_array, submit
from scheduler.service.treeview import share_tree

__all__ = [
    "BranchName",
    "attempts",
    "book",
    "calendar",
    "calibration",
    "calibrations",
    "calls",
    "cancel_reservation",
    "cancel_waiting_of",
    "candidates",
    "close_backend",
    "closures",
    "data_rules",
    "declare_disruption",
    "dependencies",
    "device",
    "device_history",
    "devices",
    "disruptions",
    "elastic_actions",
    "elastic_rules",
    "end_disruption",
    "estimate",
    "exchange_table",
    "inputs",
    "inputs_in_use",
    "job",
    "job_id_of",
    "jobs",
    "largest_nu",
    "lift_closure",
    "native_ids",
    "outputs",
    "phases",
    "publish_exchange_rate",
    "qpu",
    "queue_view",
    "request_cancel",
    "request_cancel_array",
    "reservation",
    "reservations",
    "resources_of",
    "result",
    "set_branch",
    "set_data_rule",
    "set_elastic_rule",
    "set_reservable",
    "set_reservation_quota",
    "set_share",
    "share_tree",
    "story",
    "submit",
    "waiting_at",
    "what_would_help",
]
