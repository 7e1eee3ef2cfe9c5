-- Files: an organisation's objects, and what jobs read and leave.

CREATE SCHEMA portal;

CREATE TABLE portal.object (
    id              uuid PRIMARY KEY,       -- that of the upload that brought it; its content is found by it, never by its key
    organisation_id uuid NOT NULL REFERENCES accounts.organisation,
    key             text NOT NULL CHECK (octet_length(key) BETWEEN 1 AND 900),
    size_bytes      bigint NOT NULL CHECK (size_bytes >= 0),
    part_bytes      bigint NOT NULL CHECK (part_bytes > 0),
    part_sha256     bytea NOT NULL CHECK (length(part_sha256) BETWEEN 32 AND 320000 AND length(part_sha256) % 32 = 0), -- of each part, in order
    checksum        text NOT NULL CHECK (checksum ~ '^[0-9a-f]{64}(-[0-9]{1,5})?$'), -- derived from part_sha256; what a job's input is frozen by
    created_by      uuid NOT NULL REFERENCES accounts.person,
    created_at      timestamptz NOT NULL,
    replaced_at     timestamptz,            -- set once: a newer version has its key; kept while a job still needs it
    removed_at      timestamptz,            -- set once: somebody removed it
    purged_at       timestamptz,            -- set once: its content is gone, and counts no more
    UNIQUE (id, organisation_id),
    CHECK (purged_at IS NULL OR replaced_at IS NOT NULL OR removed_at IS NOT NULL)
);
CREATE UNIQUE INDEX object_current ON portal.object (organisation_id, key COLLATE "C") WHERE replaced_at IS NULL AND removed_at IS NULL;
CREATE INDEX object_kept ON portal.object (organisation_id) INCLUDE (size_bytes) WHERE purged_at IS NULL;  -- the quota
CREATE INDEX object_leaving ON portal.object (coalesce(removed_at, replaced_at)) WHERE purged_at IS NULL AND (replaced_at IS NOT NULL OR removed_at IS NOT NULL);
COMMENT ON TABLE portal.object IS 'Files of organisations, one row a version. A content never changes; a row is only ever replaced, removed and purged.';

CREATE TABLE portal.upload (
    id              uuid PRIMARY KEY,
    organisation_id uuid NOT NULL REFERENCES accounts.organisation,
    key             text NOT NULL CHECK (octet_length(key) BETWEEN 1 AND 900),
    size_bytes      bigint NOT NULL CHECK (size_bytes >= 0),
    part_bytes      bigint NOT NULL CHECK (part_bytes > 0),
    part_sha256     bytea NOT NULL CHECK (length(part_sha256) BETWEEN 32 AND 320000 AND length(part_sha256) % 32 = 0),
    token           text,                   -- the storage's own word for it; NULL: not begun there yet
    opened_by       uuid NOT NULL REFERENCES accounts.person,
    opened_at       timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL,
    ended_at        timestamptz,            -- set once: complete or given up; counts against the quota until then
    ending          text CHECK (ending IN ('complete', 'given-up', 'expired')),
    purged_at       timestamptz,            -- set once: what a given-up one had brought is gone
    CHECK ((ended_at IS NULL) = (ending IS NULL))
);
CREATE INDEX upload_open ON portal.upload (organisation_id) INCLUDE (size_bytes) WHERE ended_at IS NULL;
CREATE INDEX upload_leaving ON portal.upload (coalesce(ended_at, expires_at)) WHERE purged_at IS NULL AND (ending IS NULL OR ending <> 'complete');
COMMENT ON TABLE portal.upload IS 'Files on their way into the store. Which parts have arrived is the storage''s knowledge.';

CREATE TABLE scheduler.job_input (
    job_id          uuid NOT NULL,
    organisation_id uuid NOT NULL REFERENCES accounts.organisation,
    name            text NOT NULL CHECK (octet_length(name) BETWEEN 1 AND 900),  -- below the job's folder of inputs
    object_id       uuid NOT NULL,       -- the version that was there at submission: a later one does not change the job
    key             text NOT NULL,
    size_bytes      bigint NOT NULL CHECK (size_bytes >= 0),
    checksum        text NOT NULL,
    PRIMARY KEY (job_id, name),
    FOREIGN KEY (job_id, organisation_id) REFERENCES scheduler.job (id, organisation_id)
);
CREATE INDEX job_input_object ON scheduler.job_input (object_id);
COMMENT ON TABLE scheduler.job_input IS 'Append-only: the files that a job reads, each in the version that it had at submission. Those of an array are kept with its first task.';

CREATE TABLE scheduler.attempt_files (
    attempt_id      uuid PRIMARY KEY,
    organisation_id uuid NOT NULL REFERENCES accounts.organisation,
    staged_at       timestamptz,         -- its inputs are on the backend's file system; not handed over before
    collected_at    timestamptz,         -- its outputs were looked for, and what was found is in attempt_output
    tries           integer NOT NULL DEFAULT 0 CHECK (tries >= 0),
    retry_at        timestamptz,         -- after a failure that may pass
    problem         text,                -- the last such failure, a machine word
    FOREIGN KEY (attempt_id, organisation_id) REFERENCES scheduler.attempt (id, organisation_id)
);
COMMENT ON TABLE scheduler.attempt_files IS 'How far the files of an attempt have come (projection).';

CREATE TABLE scheduler.attempt_output (
    attempt_id      uuid NOT NULL,
    organisation_id uuid NOT NULL REFERENCES accounts.organisation,
    name            text NOT NULL CHECK (octet_length(name) BETWEEN 1 AND 4096),
    size_bytes      bigint NOT NULL CHECK (size_bytes >= 0),
    key             text,                -- where it is kept in the organisation's store
    checksum        text,
    problem         text,                -- why it was not kept: 'not-a-file', 'too-large', 'too-many', 'quota', 'name', 'changed' …
    recorded_at     timestamptz NOT NULL,
    PRIMARY KEY (attempt_id, name),
    CHECK ((key IS NULL) = (checksum IS NULL) AND (key IS NULL) = (problem IS NOT NULL)),
    FOREIGN KEY (attempt_id, organisation_id) REFERENCES scheduler.attempt (id, organisation_id)
);
COMMENT ON TABLE scheduler.attempt_output IS 'Append-only: the files that an attempt left, kept or not, and why not.';

GRANT USAGE ON SCHEMA portal TO kyoyo_tenant, kyoyo_operator, kyoyo_officer, kyoyo_worker, kyoyo_auditor, kyoyo_portal;
GRANT SELECT ON portal.object, portal.upload TO kyoyo_worker, kyoyo_auditor, kyoyo_tenant;
GRANT INSERT ON portal.object, portal.upload TO kyoyo_worker, kyoyo_tenant;
GRANT UPDATE ON portal.object, portal.upload TO kyoyo_worker;
GRANT UPDATE (replaced_at, removed_at) ON portal.object TO kyoyo_tenant;
GRANT UPDATE (token, ended_at, ending) ON portal.upload TO kyoyo_tenant;
GRANT SELECT ON scheduler.job_input, scheduler.attempt_files, scheduler.attempt_output TO kyoyo_worker, kyoyo_auditor, kyoyo_operator, kyoyo_tenant;
GRANT INSERT ON scheduler.job_input, scheduler.attempt_files, scheduler.attempt_output TO kyoyo_worker;
GRANT UPDATE ON scheduler.attempt_files TO kyoyo_worker;
GRANT INSERT ON scheduler.job_input TO kyoyo_tenant;

DO $$
DECLARE
    append_only regclass;
    tenant_table regclass;
BEGIN
    FOREACH append_only IN ARRAY ARRAY['scheduler.job_input', 'scheduler.attempt_output']::regclass[] LOOP
        EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON %s '
                       'FOR EACH ROW EXECUTE FUNCTION infra.refuse_change()', append_only);
        EXECUTE format('CREATE TRIGGER append_only_whole BEFORE TRUNCATE ON %s '
                       'FOR EACH STATEMENT EXECUTE FUNCTION infra.refuse_change()', append_only);
    END LOOP;
    FOREACH tenant_table IN ARRAY ARRAY['portal.object', 'portal.upload', 'scheduler.job_input',
                                        'scheduler.attempt_files', 'scheduler.attempt_output']::regclass[] LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format('CREATE POLICY house ON %s TO kyoyo_owner, kyoyo_worker, kyoyo_operator, kyoyo_officer, '
                       'kyoyo_auditor USING (true) WITH CHECK (true)', tenant_table);
        EXECUTE format('CREATE POLICY own ON %s TO kyoyo_tenant USING (organisation_id = infra.current_organisation()) '
                       'WITH CHECK (organisation_id = infra.current_organisation())', tenant_table);
    END LOOP;
END $$;
