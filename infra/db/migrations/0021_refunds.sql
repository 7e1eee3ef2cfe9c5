-- The refund matrix: why an attempt ended and what of it is charged; and what is given back by a decision afterwards.

ALTER TABLE pricing.billable_attempt
    ADD COLUMN cause      text,
    ADD COLUMN charged_bp integer CHECK (charged_bp BETWEEN 0 AND 10000),
    ADD CONSTRAINT billable_attempt_cause CHECK ((cause IS NULL) = (charged_bp IS NULL) AND (cause IS NULL OR ending IS NOT NULL));

ALTER TABLE pricing.rated_line DISABLE TRIGGER append_only;
ALTER TABLE pricing.rated_line
    ADD COLUMN house_micro_yen    bigint NOT NULL DEFAULT 0,
    ADD COLUMN refunded_micro_yen bigint NOT NULL DEFAULT 0;
UPDATE pricing.rated_line SET house_micro_yen = price_micro_yen - charged_micro_yen
    WHERE waiver IN ('beyond_ceiling', 'late_correction');
ALTER TABLE pricing.rated_line ENABLE TRIGGER append_only;
ALTER TABLE pricing.rated_line ADD CONSTRAINT rated_line_parts
    CHECK (abs(charged_micro_yen) + abs(house_micro_yen) + abs(refunded_micro_yen) <= abs(price_micro_yen));

CREATE TABLE pricing.refund (
    id               uuid PRIMARY KEY,
    organisation_id  uuid NOT NULL,
    job_id           uuid NOT NULL,
    cause            text NOT NULL,
    amount_micro_yen bigint NOT NULL CHECK (amount_micro_yen > 0), -- without tax; the tax on it goes back with it
    reason           text NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    decided_by       uuid NOT NULL REFERENCES accounts.person,
    approved_by      uuid REFERENCES accounts.person CHECK (approved_by <> decided_by), -- NULL: within the limit of one
    decided_at       timestamptz NOT NULL,
    FOREIGN KEY (job_id, organisation_id) REFERENCES pricing.hold (job_id, organisation_id)
);
CREATE INDEX refund_of ON pricing.refund (job_id);
COMMENT ON TABLE pricing.refund IS 'Append-only: decisions to give back a part of what a job was charged. The rated lines and postings follow from them.';

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON pricing.refund FOR EACH ROW EXECUTE FUNCTION infra.refuse_change();
CREATE TRIGGER append_only_whole BEFORE TRUNCATE ON pricing.refund FOR EACH STATEMENT EXECUTE FUNCTION infra.refuse_change();
ALTER TABLE pricing.refund ENABLE ROW LEVEL SECURITY;
ALTER TABLE pricing.refund FORCE ROW LEVEL SECURITY;
CREATE POLICY house ON pricing.refund TO kyoyo_owner, kyoyo_worker, kyoyo_operator, kyoyo_officer, kyoyo_auditor
    USING (true) WITH CHECK (true);
CREATE POLICY own ON pricing.refund TO kyoyo_tenant USING (organisation_id = infra.current_organisation())
    WITH CHECK (organisation_id = infra.current_organisation());
GRANT SELECT ON pricing.refund TO kyoyo_worker, kyoyo_auditor, kyoyo_operator, kyoyo_tenant;
GRANT INSERT ON pricing.refund, pricing.rated_line TO kyoyo_operator;
