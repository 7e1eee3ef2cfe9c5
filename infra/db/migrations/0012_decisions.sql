-- Service classes, preemption, and the records of decisions.

-- The more urgent first; no statement below may use the new ones: they are there after this transaction.
ALTER TYPE pricing.service_class ADD VALUE 'reserved' BEFORE 'standard';
ALTER TYPE pricing.service_class ADD VALUE 'interactive' BEFORE 'standard';

ALTER TABLE scheduler.attempt
    ADD COLUMN preempt_wanted_at timestamptz,
    ADD COLUMN preempt_for       pricing.service_class,
    ADD CHECK ((preempt_wanted_at IS NULL) = (preempt_for IS NULL)),
    ADD CHECK (preempt_wanted_at IS NULL OR state NOT IN ('QUEUED', 'DISPATCHING'));
CREATE INDEX attempt_preempted ON scheduler.attempt (preempt_wanted_at) WHERE preempt_wanted_at IS NOT NULL;
-- That it is asked to make room is something that planning reads.
CREATE OR REPLACE TRIGGER attempt_change_told AFTER UPDATE ON scheduler.attempt
    FOR EACH ROW WHEN (
        (OLD.state, OLD.backend_ref, OLD.dispatched_at, OLD.started_at, OLD.ended_at, OLD.not_before, OLD.walltime_s,
         OLD.preempt_wanted_at)
        IS DISTINCT FROM
        (NEW.state, NEW.backend_ref, NEW.dispatched_at, NEW.started_at, NEW.ended_at, NEW.not_before, NEW.walltime_s,
         NEW.preempt_wanted_at)
        OR (NEW.not_before IS NOT NULL
            AND (OLD.wait_reason IN ('PARKED', 'NOT_ELIGIBLE') OR NEW.wait_reason IN ('PARKED', 'NOT_ELIGIBLE'))
            AND (OLD.wait_reason, OLD.wait_facts) IS DISTINCT FROM (NEW.wait_reason, NEW.wait_facts)))
    EXECUTE FUNCTION scheduler.tell_attempt();
GRANT UPDATE (preempt_wanted_at, preempt_for) ON scheduler.attempt TO kyoyo_worker;

CREATE TABLE scheduler.decision (
    attempt_id      uuid NOT NULL,
    organisation_id uuid NOT NULL REFERENCES accounts.organisation,
    at              timestamptz NOT NULL,
    kind            text NOT NULL CHECK (kind IN ('start', 'preempt')),
    facts           jsonb NOT NULL,
    PRIMARY KEY (attempt_id, at, kind),
    FOREIGN KEY (attempt_id, organisation_id) REFERENCES scheduler.attempt (id, organisation_id)
);
COMMENT ON TABLE scheduler.decision IS 'Append-only: why an attempt was handed over when it was, or had to make room: the rule and its figures, without anything of other tenants.';

GRANT SELECT ON scheduler.decision TO kyoyo_worker, kyoyo_auditor, kyoyo_operator, kyoyo_tenant;
GRANT INSERT ON scheduler.decision TO kyoyo_worker;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON scheduler.decision
    FOR EACH ROW EXECUTE FUNCTION infra.refuse_change();
CREATE TRIGGER append_only_whole BEFORE TRUNCATE ON scheduler.decision
    FOR EACH STATEMENT EXECUTE FUNCTION infra.refuse_change();
ALTER TABLE scheduler.decision ENABLE ROW LEVEL SECURITY;
ALTER TABLE scheduler.decision FORCE ROW LEVEL SECURITY;
CREATE POLICY house ON scheduler.decision TO kyoyo_owner, kyoyo_worker, kyoyo_operator, kyoyo_officer, kyoyo_auditor
    USING (true) WITH CHECK (true);
CREATE POLICY own ON scheduler.decision TO kyoyo_tenant USING (organisation_id = infra.current_organisation())
    WITH CHECK (organisation_id = infra.current_organisation());
