"""What decides whether an organisation `o` may start anything at the parameter {at}."""

from __future__ import annotations

STANDING = (
    "o.id AS organisation_id, o.suspended_at, EXISTS (SELECT FROM accounts.declaration d "
    "WHERE d.organisation_id = o.id AND d.valid_from <= {at} AND {at} < d.valid_until) AS is_declared, "
    "(SELECT max(d.valid_until) FROM accounts.declaration d "
    "WHERE d.organisation_id = o.id AND d.valid_until <= {at}) AS expired_at"
)
