-- When each waiting attempt is expected to start.

CREATE TABLE scheduler.forecast (
    attempt_id      uuid PRIMARY KEY,
    organisation_id uuid NOT NULL,
    as_of           timestamptz NOT NULL,
    position        integer NOT NULL CHECK (position > 0),   -- rank of starting on its backend, 1 is next
    p50_at          timestamptz,                             -- as likely before as after; NULL: not within the horizon
    p90_at          timestamptz CHECK (p50_at <= p90_at),    -- by then in nine of ten cases; NULL: not within the horizon
    ahead           jsonb NOT NULL,                          -- how many start before it, by cause: counts, nobody's names
    FOREIGN KEY (attempt_id, organisation_id) REFERENCES scheduler.attempt (id, organisation_id)
);
COMMENT ON TABLE scheduler.forecast IS 'When a waiting attempt is expected to start, as last foreseen (projection); decides nothing. Of one that has started: what was last said of it.';

GRANT SELECT ON scheduler.forecast TO kyoyo_worker, kyoyo_auditor, kyoyo_operator, kyoyo_tenant;
GRANT INSERT, UPDATE ON scheduler.forecast TO kyoyo_worker;

ALTER TABLE scheduler.forecast ENABLE ROW LEVEL SECURITY;
ALTER TABLE scheduler.forecast FORCE ROW LEVEL SECURITY;
CREATE POLICY house ON scheduler.forecast TO kyoyo_owner, kyoyo_worker, kyoyo_operator, kyoyo_officer, kyoyo_auditor
    USING (true) WITH CHECK (true);
CREATE POLICY own ON scheduler.forecast TO kyoyo_tenant USING (organisation_id = infra.current_organisation())
    WITH CHECK (organisation_id = infra.current_organisation());
