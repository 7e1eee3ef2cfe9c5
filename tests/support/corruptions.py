"""What somebody with the keys to the database could do to it, and by which rule of the audit at least it is found.

:train, :double and :new stand for ids: of the attempt of the job 'train', of a second 'aya', of something new.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Corruption:
    what: str
    sql: str
    rule: str


_TAKEN = """
    INSERT INTO pricing.ledger_transaction (id, template, organisation_id, effective_at, recorded_at)
    SELECT :new, '{0}', organisation_id, '2026-04-11', '2026-04-11' FROM pricing.lot WHERE kind = 'credit';
    INSERT INTO pricing.ledger_entry
    SELECT :new, 0, organisation_id, 'available'::pricing.bucket, id, -5 FROM pricing.lot WHERE kind = 'credit'
    UNION ALL SELECT :new, 1, NULL, '{1}', NULL, 5;
    UPDATE pricing.ledger_balance SET amount_micro_yen = amount_micro_yen - 5
    WHERE bucket = 'available' AND lot_id = (SELECT id FROM pricing.lot WHERE kind = 'credit')"""

CORRUPTIONS = [
    Corruption(
        "a second offering that nobody was quoted",
        """INSERT INTO scheduler.job_candidate SELECT id, organisation_id, offering_id, backend, gpus, cpus, memory_mb,
               qpus, NULL, nu, 1 FROM scheduler.job WHERE name = 'train'""",
        "candidates-differ-from-quote",
    ),
    Corruption(
        "a wish to make room that nobody has noted",
        """UPDATE scheduler.attempt SET preempt_wanted_at = '2026-04-11', preempt_for = 'standard' WHERE id = :train""",
        "preemption-differs-from-its-story",
    ),
    Corruption(
        "a changed amount on the ledger",
        """UPDATE pricing.ledger_entry SET amount_micro_yen = amount_micro_yen + 1
           WHERE bucket = 'earned' AND transaction_id = (SELECT id FROM pricing.ledger_transaction
                                                         WHERE template = 'settle' ORDER BY id LIMIT 1)""",
        "ledger-transaction-unbalanced",
    ),
    Corruption(
        "a changed amount that balances",
        """UPDATE pricing.ledger_entry
           SET amount_micro_yen = amount_micro_yen + CASE bucket WHEN 'earned' THEN 5 ELSE -5 END
           WHERE bucket IN ('earned', 'held')
             AND transaction_id = (SELECT t.id FROM pricing.ledger_transaction t WHERE template = 'settle'
                                   AND (SELECT count(*) FROM pricing.ledger_entry e WHERE e.transaction_id = t.id) = 2
                                   ORDER BY id LIMIT 1)""",
        "charge-differs",
    ),
    Corruption(
        "a changed balance",
        "UPDATE pricing.ledger_balance SET amount_micro_yen = amount_micro_yen + 1",
        "balance-differs",
    ),
    Corruption(
        "a missing posting",
        """WITH gone AS (DELETE FROM pricing.ledger_transaction WHERE template = 'settle'
                         AND job_id = (SELECT id FROM scheduler.job WHERE name = 'train') RETURNING id)
           DELETE FROM pricing.ledger_entry USING gone WHERE transaction_id = gone.id""",
        "charge-differs",
    ),
    Corruption(
        "a missing release",
        """WITH gone AS (DELETE FROM pricing.ledger_transaction WHERE template = 'release'
                         AND job_id = (SELECT id FROM scheduler.job WHERE name = 'train') RETURNING id)
           DELETE FROM pricing.ledger_entry USING gone WHERE transaction_id = gone.id""",
        "held-differs",
    ),
    Corruption(
        "a missing grant",
        """WITH gone AS (DELETE FROM pricing.ledger_transaction WHERE template = 'issue_grant' RETURNING id)
           DELETE FROM pricing.ledger_entry USING gone WHERE transaction_id = gone.id""",
        "grant-posting-missing",
    ),
    Corruption(
        "an entry without its transaction",
        "DELETE FROM pricing.ledger_transaction WHERE template = 'receive_payment'",
        "ledger-transaction-unbalanced",
    ),
    Corruption(
        "an overdraft in between",
        """UPDATE pricing.ledger_transaction SET recorded_at = recorded_at + interval '30 days'
           WHERE template = 'issue_grant'""",
        "balance-negative",
    ),
    Corruption(
        "a doubled usage row",
        """ALTER TABLE metering.usage_record DROP CONSTRAINT usage_record_accounting_row_id_component_key;
           INSERT INTO metering.usage_record
           SELECT gen_random_uuid(), accounting_row_id, attempt_id, job_id, organisation_id, project_id, person_id,
                  offering_id, backend, component, quantity, started_at, ended_at, revision, supersedes, recorded_at
           FROM metering.usage_record WHERE component = 'gpu_s' ORDER BY id LIMIT 1""",
        "usage-differs-from-accounting",
    ),
    Corruption(
        "a doubled accounting row with its usage",
        """INSERT INTO metering.accounting_row
           SELECT :new, backend, 'again', revision, content_sha256, attempt_id,
                  unbilled, started_at, ended_at, final, ending, components, facts, recorded_at
           FROM metering.accounting_row WHERE natural_key = 'train.1';
           INSERT INTO metering.usage_record
           SELECT gen_random_uuid(), :new, attempt_id, job_id, organisation_id,
                  project_id, person_id, offering_id, backend, component, quantity, started_at, ended_at, revision,
                  supersedes, recorded_at
           FROM metering.usage_record WHERE job_id = (SELECT id FROM scheduler.job WHERE name = 'train')""",
        "accounting-row-not-of-backend",
    ),
    Corruption(
        "a changed usage record",
        "UPDATE metering.usage_record SET quantity = quantity - 1 WHERE component = 'gpu_s' AND quantity > 1",
        "usage-differs-from-accounting",
    ),
    Corruption(
        "a changed accounting row and its usage",
        """UPDATE metering.accounting_row SET components = '{"gpu_s": "1"}' WHERE natural_key = 'paid.1';
           UPDATE metering.usage_record SET quantity = CASE component WHEN 'gpu_s' THEN 1 ELSE 0 END
           WHERE job_id = (SELECT id FROM scheduler.job WHERE name = 'paid')""",
        "accounting-row-differs",
    ),
    Corruption(
        "a lost accounting row",
        """DELETE FROM metering.usage_record WHERE job_id = (SELECT id FROM scheduler.job WHERE name = 'test');
           DELETE FROM metering.accounting_row WHERE natural_key = 'test.1'""",
        "accounting-row-missing",
    ),
    Corruption(
        "usage given to somebody else",
        "UPDATE metering.usage_record SET person_id = (SELECT id FROM accounts.person WHERE display_name = 'bob')",
        "usage-of-another-attempt",
    ),
    Corruption(
        "usage that pricing never got",
        "DELETE FROM pricing.billable_usage WHERE component = 'qpu_s'",
        "usage-not-handed-over",
    ),
    Corruption("a lost attempt", "DELETE FROM scheduler.attempt WHERE id = :train", "job-lost"),
    Corruption(
        "a lost attempt without a trace",
        """DELETE FROM scheduler.attempt WHERE id = :train;
           DELETE FROM scheduler.attempt_event WHERE attempt_id = :train;
           DELETE FROM pricing.billable_attempt WHERE attempt_id = :train""",
        "run-of-unknown-attempt",
    ),
    Corruption(
        "an attempt that is never settled",
        "UPDATE pricing.billable_attempt SET settled_at = NULL WHERE attempt_id = :train",
        "attempt-never-settled",
    ),
    Corruption(
        "a wrong state",
        "UPDATE scheduler.attempt SET state = 'CANCELLED' WHERE id = :train",
        "attempt-differs-from-its-story",
    ),
    Corruption(
        "a wrong ending",
        """UPDATE pricing.billable_attempt SET ending = 'lost' WHERE attempt_id = :train""",
        "ending-differs",
    ),
    Corruption(
        "a missing event",
        "DELETE FROM scheduler.attempt_event WHERE attempt_id = :train AND kind = 'Started'",
        "attempt-differs-from-its-story",
    ),
    Corruption(
        "a second start",
        """INSERT INTO scheduler.attempt_event
           SELECT attempt_id, seq + 10, organisation_id, 'Started again', 'RUNNING', '{}', effective_at, recorded_at
           FROM scheduler.attempt_event WHERE attempt_id = :train AND kind = 'Started';
           UPDATE scheduler.attempt SET version = version + 1 WHERE id = :train""",
        "attempt-started-twice",
    ),
    Corruption(
        "two live attempts",
        """DROP INDEX scheduler.attempt_one_live;
           INSERT INTO scheduler.attempt OVERRIDING SYSTEM VALUE
           SELECT (jsonb_populate_record(a, jsonb_build_object('id', gen_random_uuid(), 'ordinal', 9))).*
           FROM scheduler.attempt a WHERE state = 'QUEUED'""",
        "two-live-attempts",
    ),
    Corruption(
        "a wrong price on a line",
        """UPDATE pricing.rated_line SET price_micro_yen = price_micro_yen + 7,
               charged_micro_yen = charged_micro_yen + 7
           WHERE id = (SELECT id FROM pricing.rated_line WHERE attempt_id = :train LIMIT 1)""",
        "rated-line-differs",
    ),
    Corruption(
        "a price edited afterwards",
        "UPDATE pricing.price_component SET price_micro_yen = price_micro_yen - 1000000 WHERE component = 'gpu_s'",
        "charge-differs",
    ),
    Corruption(
        "a price that one person set alone",
        """UPDATE pricing.proposal_decision d SET decided_by = p.proposed_by FROM pricing.proposal p
           WHERE p.id = d.proposal_id""",
        "not-wanted-by-two",
    ),
    Corruption(
        "a list price that nobody proposed",
        "UPDATE pricing.price_component SET list_micro_yen = list_micro_yen + 1",
        "price-differs-from-proposal",
    ),
    Corruption(
        "a price that was not in force",
        """INSERT INTO pricing.price_version (id, offering_id, customer_class, service_class, valid_from, tax_rate_bp,
               published_by, recorded_at, proposal_id)
           SELECT gen_random_uuid(), offering_id, customer_class, service_class,
                  valid_from + interval '1 hour', tax_rate_bp, published_by, recorded_at, proposal_id
           FROM pricing.price_version""",
        "price-not-in-force",
    ),
    Corruption(
        "a price of another class",
        "UPDATE accounts.declaration SET customer_class = 'large'",
        "price-not-in-force",
    ),
    Corruption(
        "a raised ceiling",
        """UPDATE pricing.quote SET ceiling_micro_yen = ceiling_micro_yen + 1;
           UPDATE pricing.hold SET ceiling_micro_yen = ceiling_micro_yen + 1""",
        "ceiling-differs",
    ),
    Corruption(
        "a charge beyond the promise",
        """UPDATE pricing.rated_line SET charged_micro_yen = charged_micro_yen * 1000,
               price_micro_yen = price_micro_yen * 1000
           WHERE attempt_id = :train""",
        "charged-beyond-promise",
    ),
    Corruption(
        "a hold closed too early",
        "UPDATE pricing.hold SET closed_at = now() WHERE closed_at IS NULL",
        "hold-open-or-closed-wrongly",
    ),
    Corruption(
        "a user counted twice",
        """INSERT INTO accounts.person SELECT :double, display_name, '  AYA@example.jp ', counts, created_at
           FROM accounts.person WHERE display_name = 'aya';
           INSERT INTO accounts.membership SELECT gen_random_uuid(), organisation_id, :double, role, since, until
           FROM accounts.membership WHERE person_id = (SELECT id FROM accounts.person WHERE display_name = 'bob')""",
        "figure-differs",
    ),
    Corruption(
        "a membership entered twice",
        """DROP INDEX accounts.membership_current;
           INSERT INTO accounts.membership SELECT gen_random_uuid(), organisation_id, person_id, role, since, until
           FROM accounts.membership ORDER BY id LIMIT 1""",
        "member-twice",
    ),
    Corruption(
        "an audit entry rewritten",
        "UPDATE accounts.audit_entry SET facts = facts || '{\"x\": 1}' WHERE seq = 3",
        "audit-trail-broken",
    ),
    Corruption(
        "a line moved to another month",
        "UPDATE pricing.rated_line SET accounting_date = '2026-03-31' WHERE attempt_id = :train",
        "rated-line-on-another-day",
    ),
    Corruption(
        "a line billed to another organisation",
        """UPDATE pricing.rated_line SET organisation_id = (SELECT id FROM accounts.organisation WHERE slug = 'beta')
           WHERE attempt_id = :train""",
        "rated-line-of-another-attempt",
    ),
    Corruption("a customer's value taken as revenue", _TAKEN.format("adjust", "earned"), "posting-not-of-its-kind"),
    Corruption("value that lapsed before its time", _TAKEN.format("expire", "expired"), "posting-not-of-its-kind"),
    Corruption(
        "money that came into a lot which had lapsed",
        "UPDATE pricing.lot SET expires_at = created_at WHERE kind = 'prepaid'",
        "money-came-back-to-lapsed-lot",
    ),
    Corruption("a payment that nobody decided", _TAKEN.format("pay_back", "cash"), "posting-without-decision"),
    Corruption(
        "a grant of another amount",
        """UPDATE pricing.ledger_entry SET amount_micro_yen = amount_micro_yen + 7 * sign(amount_micro_yen)
           WHERE transaction_id IN (SELECT id FROM pricing.ledger_transaction WHERE template = 'issue_grant');
           UPDATE pricing.ledger_balance SET amount_micro_yen = amount_micro_yen + 7
           WHERE bucket = 'available' AND lot_id IN (SELECT id FROM pricing.lot WHERE kind = 'grant')""",
        "posting-without-decision",
    ),
    Corruption(
        "a job of somebody who is no member",
        """UPDATE scheduler.job SET person_id = (SELECT id FROM accounts.person WHERE display_name = 'tester')
           WHERE name = 'train'""",
        "job-of-a-stranger",
    ),
    Corruption(
        "a run that is not charged because it never started",
        """UPDATE pricing.billable_attempt SET ending = 'never_ran' WHERE ending = 'lost'""",
        "ran-though-never-started",
    ),
    Corruption("an audit entry removed", "DELETE FROM accounts.audit_entry WHERE seq = 3", "audit-trail-broken"),
]
