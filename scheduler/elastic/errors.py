"""Every way in which a rule of elastic capacity, or a disruption, can be refused."""

from __future__ import annotations

from typing import ClassVar

from infra.refusal import Refusal


class InvalidElasticRule(Refusal):
    """Facts: field, value, problem ('out_of_range' | 'no_use' | 'no_borrower' | 'no_lending' | 'not_a_node' |
    'too_many_nodes'), minimum, maximum.
    """

    code: ClassVar[str] = "invalid-elastic-rule"


class ElasticRuleExists(Refusal):
    """A rule never changes in place: this instant has one already. Facts: backend, effective_at (ISO 8601)."""

    code: ClassVar[str] = "elastic-rule-exists"


class DisruptionNotFound(Refusal):
    """No such disruption, or it was ended before. Facts: none."""

    code: ClassVar[str] = "disruption-not-found"
