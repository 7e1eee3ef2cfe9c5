-- Sites that know Unix users, members' secrets, and what a job may ask for beyond plain resources.

CREATE TABLE accounts.site_user (
    backend         text NOT NULL,
    unix_user       text NOT NULL CHECK (unix_user ~ '^[a-z_][a-z0-9_-]{0,31}$' AND unix_user NOT IN ('root', 'slurm', 'munge')),
    organisation_id uuid NOT NULL REFERENCES accounts.organisation,
    person_id       uuid REFERENCES accounts.person,   -- NULL: for every member who has none of their own
    account         text NOT NULL CHECK (account ~ '^[a-z0-9][a-z0-9_-]{0,62}$' AND account <> 'root'),
    created_at      timestamptz NOT NULL,
    created_by      uuid REFERENCES accounts.person,
    removed_at      timestamptz,    -- set once; the name is never given to anybody else
    PRIMARY KEY (backend, unix_user),
    CHECK (removed_at IS NULL OR created_at <= removed_at)
);
CREATE UNIQUE INDEX site_user_current ON accounts.site_user (backend, organisation_id, person_id) NULLS NOT DISTINCT
    WHERE removed_at IS NULL;
COMMENT ON TABLE accounts.site_user IS 'As whom an organisation or one of its members runs on a backend that knows Unix users. No row: nothing of theirs is sent there.';

CREATE TABLE accounts.secret (
    id              uuid PRIMARY KEY,
    organisation_id uuid NOT NULL REFERENCES accounts.organisation,
    person_id       uuid NOT NULL REFERENCES accounts.person,
    name            text NOT NULL CHECK (name ~ '^[A-Z_][A-Z0-9_]{0,63}$'),
    ciphertext      bytea CHECK (length(ciphertext) BETWEEN 1 AND 65536), -- NULL: forgotten, with removed_at
    key_id          text NOT NULL,         -- which of the house's keys it is encrypted with
    created_at      timestamptz NOT NULL,
    removed_at      timestamptz,           -- set once: replaced or removed
    CHECK ((ciphertext IS NULL) = (removed_at IS NOT NULL)),
    UNIQUE (id, organisation_id)
);
CREATE UNIQUE INDEX secret_current ON accounts.secret (organisation_id, person_id, name) WHERE removed_at IS NULL;
COMMENT ON TABLE accounts.secret IS 'A member''s own secrets for their own jobs, encrypted. Only the worker reads the ciphertext.';

-- What was removed stays so, and with a secret goes its ciphertext; while it holds, only its encryption may be renewed.
CREATE FUNCTION accounts.keep_site_user() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.removed_at IS NOT NULL THEN
        RAISE EXCEPTION 'site user % of % was removed for good', OLD.unix_user, OLD.backend USING ERRCODE = 'KY006';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER site_user_removed BEFORE UPDATE ON accounts.site_user
    FOR EACH ROW EXECUTE FUNCTION accounts.keep_site_user();

CREATE FUNCTION accounts.keep_secret() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.removed_at IS NOT NULL THEN
        RAISE EXCEPTION 'secret % was removed for good', OLD.id USING ERRCODE = 'KY006';
    END IF;
    IF NEW.removed_at IS NOT NULL THEN
        NEW.ciphertext := NULL;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER secret_removed BEFORE UPDATE ON accounts.secret
    FOR EACH ROW EXECUTE FUNCTION accounts.keep_secret();

-- As schema.sql says them, the grants come in this order.
REVOKE ALL ON FUNCTION accounts.keep_site_user(), accounts.keep_secret() FROM PUBLIC;
GRANT SELECT ON accounts.site_user TO kyoyo_worker, kyoyo_auditor, kyoyo_operator, kyoyo_tenant;
GRANT SELECT ON accounts.secret TO kyoyo_worker;
GRANT SELECT (id, organisation_id, person_id, name, key_id, created_at, removed_at) ON accounts.secret
    TO kyoyo_operator, kyoyo_auditor, kyoyo_tenant;
GRANT UPDATE (ciphertext, key_id) ON accounts.secret TO kyoyo_worker;
GRANT INSERT ON accounts.site_user TO kyoyo_operator;
GRANT UPDATE (removed_at) ON accounts.site_user, accounts.secret TO kyoyo_operator;
GRANT INSERT ON accounts.secret TO kyoyo_tenant;
GRANT UPDATE (removed_at) ON accounts.site_user, accounts.secret TO kyoyo_tenant;

CREATE TABLE scheduler.job_array (
    id              uuid PRIMARY KEY,
    organisation_id uuid NOT NULL REFERENCES accounts.organisation,
    number          bigint NOT NULL,       -- that of its first task
    first_index     integer NOT NULL CHECK (first_index >= 0),
    last_index      integer NOT NULL CHECK (last_index >= first_index),
    step            integer NOT NULL CHECK (step > 0),
    tasks           integer NOT NULL CHECK (tasks > 0),
    max_running     integer CHECK (max_running > 0),   -- so many tasks at a time; NULL: as many as fit
    submitted_at    timestamptz NOT NULL,
    UNIQUE (organisation_id, number),
    UNIQUE (id, organisation_id)
);
COMMENT ON TABLE scheduler.job_array IS 'Append-only: jobs that were submitted together as one array. Each task is a job of its own, with its own hold and quota.';

ALTER TABLE scheduler.job
    ADD COLUMN number bigint CHECK (number > 0),
    ADD COLUMN nodes integer NOT NULL DEFAULT 1 CHECK (nodes > 0),
    ADD COLUMN max_timeouts integer NOT NULL DEFAULT 0 CHECK (max_timeouts >= 0),
    ADD COLUMN begin_at timestamptz,
    ADD COLUMN array_id uuid,
    ADD COLUMN array_index integer,
    ADD UNIQUE (organisation_id, number),
    ADD UNIQUE (array_id, array_index),
    ADD CHECK ((array_id IS NULL) = (array_index IS NULL)),
    ADD CHECK (max_timeouts < max_attempts),
    ADD FOREIGN KEY (array_id, organisation_id) REFERENCES scheduler.job_array (id, organisation_id);

CREATE TYPE scheduler.dependency_kind AS ENUM (
    'after',      -- the other has started, or has ended
    'afterok',    -- the other has SUCCEEDED
    'afternotok', -- the other has ended otherwise
    'afterany'    -- the other has ended
);

CREATE TABLE scheduler.dependency (
    job_id          uuid NOT NULL,
    on_job_id       uuid NOT NULL,
    organisation_id uuid NOT NULL REFERENCES accounts.organisation,
    kind            scheduler.dependency_kind NOT NULL,
    PRIMARY KEY (job_id, on_job_id, kind),
    CHECK (job_id <> on_job_id),
    FOREIGN KEY (job_id, organisation_id) REFERENCES scheduler.job (id, organisation_id),
    FOREIGN KEY (on_job_id, organisation_id) REFERENCES scheduler.job (id, organisation_id)
);
CREATE INDEX dependency_on ON scheduler.dependency (on_job_id);
COMMENT ON TABLE scheduler.dependency IS 'Append-only: what a job waits for. Only jobs of the same organisation.';

GRANT SELECT ON scheduler.job_array, scheduler.dependency TO kyoyo_worker, kyoyo_auditor, kyoyo_operator, kyoyo_tenant;
GRANT INSERT ON scheduler.job_array, scheduler.dependency TO kyoyo_worker, kyoyo_tenant;

DO $$
DECLARE
    append_only regclass;
    tenant_table regclass;
BEGIN
    FOREACH append_only IN ARRAY ARRAY['scheduler.job_array', 'scheduler.dependency']::regclass[] LOOP
        EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON %s '
                       'FOR EACH ROW EXECUTE FUNCTION infra.refuse_change()', append_only);
        EXECUTE format('CREATE TRIGGER append_only_whole BEFORE TRUNCATE ON %s '
                       'FOR EACH STATEMENT EXECUTE FUNCTION infra.refuse_change()', append_only);
    END LOOP;
    FOREACH tenant_table IN ARRAY ARRAY['accounts.site_user', 'accounts.secret', 'scheduler.job_array',
                                        'scheduler.dependency']::regclass[] LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format('CREATE POLICY house ON %s TO kyoyo_owner, kyoyo_worker, kyoyo_operator, kyoyo_officer, '
                       'kyoyo_auditor USING (true) WITH CHECK (true)', tenant_table);
        EXECUTE format('CREATE POLICY own ON %s TO kyoyo_tenant USING (organisation_id = infra.current_organisation()) '
                       'WITH CHECK (organisation_id = infra.current_organisation())', tenant_table);
    END LOOP;
END $$;
