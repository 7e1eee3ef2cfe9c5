-- Prepaid value that lapses, what a grant is for, limits on spending, notices, and what the machines can deliver.

CREATE TYPE pricing.grant_purpose AS ENUM (
    'subsidy',  -- from the programme's money: a discount that the agency is told of
    'promotion' -- ours: a campaign, an apology
);
ALTER TABLE pricing.lot DISABLE TRIGGER append_only;
ALTER TABLE pricing.lot ADD COLUMN purpose pricing.grant_purpose;
UPDATE pricing.lot SET purpose = 'subsidy' WHERE kind = 'grant';
ALTER TABLE pricing.lot ENABLE TRIGGER append_only;
ALTER TABLE pricing.lot DROP CONSTRAINT lot_check;
ALTER TABLE pricing.lot ADD CONSTRAINT lot_expiry
    CHECK (CASE kind WHEN 'grant' THEN expires_at IS NOT NULL WHEN 'credit' THEN expires_at IS NULL ELSE true END);
ALTER TABLE pricing.lot ADD CONSTRAINT lot_purpose CHECK ((kind = 'grant') = (purpose IS NOT NULL));
DROP INDEX pricing.lot_single;
CREATE UNIQUE INDEX lot_single ON pricing.lot (organisation_id) WHERE kind = 'credit';
COMMENT ON TABLE pricing.lot IS 'Where value came from. Consumption order: grants by earliest expiry, then prepaid value by earliest expiry, then credit.';

CREATE TYPE pricing.budget_period AS ENUM (
    'month',       -- of Asia/Tokyo
    'fiscal_year', -- April to March
    'forever'
);

CREATE TABLE pricing.budget (
    id              uuid PRIMARY KEY,
    organisation_id uuid NOT NULL REFERENCES pricing.wallet,
    project_id      uuid,             -- NULL: all projects
    person_id       uuid REFERENCES accounts.person, -- NULL: all members
    period          pricing.budget_period NOT NULL,
    limit_yen       bigint CHECK (limit_yen >= 0),   -- NULL: lifted
    reason          text NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    decided_by      uuid NOT NULL REFERENCES accounts.person,
    decided_at      timestamptz NOT NULL,
    CONSTRAINT budget_project FOREIGN KEY (project_id, organisation_id) REFERENCES accounts.project (id, organisation_id)
);
CREATE INDEX budget_of ON pricing.budget (organisation_id, decided_at);
COMMENT ON TABLE pricing.budget IS 'Append-only: what an organisation lets a project or a member spend. In force: the latest per project, member and period.';

CREATE TABLE pricing.notice (
    id              uuid PRIMARY KEY,  -- uuid5 of what it is about: told once
    organisation_id uuid NOT NULL REFERENCES pricing.wallet,
    kind            text NOT NULL,
    facts           jsonb NOT NULL,
    noticed_at      timestamptz NOT NULL
);
CREATE INDEX notice_of ON pricing.notice (organisation_id, noticed_at);
COMMENT ON TABLE pricing.notice IS 'Append-only: that value runs out or lapses, as a customer was told.';

CREATE TABLE pricing.deliverable (
    id            uuid PRIMARY KEY,
    resource_type text NOT NULL CHECK (length(resource_type) BETWEEN 1 AND 100),
    component     text NOT NULL,
    per_hour      numeric(20, 6) NOT NULL CHECK (per_hour >= 0), -- units of the component that can be sold in an hour
    reason        text NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    decided_by    uuid NOT NULL REFERENCES accounts.person,
    decided_at    timestamptz NOT NULL
);
CREATE INDEX deliverable_of ON pricing.deliverable (resource_type, component, decided_at);
COMMENT ON TABLE pricing.deliverable IS 'Append-only: what the machines can give in an hour. In force: the latest per resource type and component.';

DO $$
DECLARE
    new_table regclass;
BEGIN
    FOREACH new_table IN ARRAY ARRAY['pricing.budget', 'pricing.notice', 'pricing.deliverable']::regclass[] LOOP
        EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON %s '
                       'FOR EACH ROW EXECUTE FUNCTION infra.refuse_change()', new_table);
        EXECUTE format('CREATE TRIGGER append_only_whole BEFORE TRUNCATE ON %s '
                       'FOR EACH STATEMENT EXECUTE FUNCTION infra.refuse_change()', new_table);
    END LOOP;
    FOREACH new_table IN ARRAY ARRAY['pricing.budget', 'pricing.notice']::regclass[] LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', new_table);
        EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', new_table);
        EXECUTE format('CREATE POLICY house ON %s TO kyoyo_owner, kyoyo_worker, kyoyo_operator, kyoyo_officer, '
                       'kyoyo_auditor USING (true) WITH CHECK (true)', new_table);
        EXECUTE format('CREATE POLICY own ON %s TO kyoyo_tenant USING (organisation_id = infra.current_organisation()) '
                       'WITH CHECK (organisation_id = infra.current_organisation())', new_table);
    END LOOP;
END $$;

GRANT SELECT ON pricing.budget, pricing.notice, pricing.deliverable TO kyoyo_worker, kyoyo_auditor, kyoyo_operator;
GRANT SELECT ON pricing.budget, pricing.notice TO kyoyo_tenant;
GRANT INSERT ON pricing.budget TO kyoyo_tenant, kyoyo_operator;
GRANT INSERT ON pricing.notice TO kyoyo_worker;
GRANT INSERT ON pricing.deliverable TO kyoyo_operator;
