-- Hybrid jobs: phases one after the other, under one hold.

ALTER TYPE scheduler.job_kind ADD VALUE 'hybrid';  -- no statement below may use it: it is there after this transaction

CREATE TABLE scheduler.job_phase (
    job_id          uuid NOT NULL,
    organisation_id uuid NOT NULL REFERENCES accounts.organisation,
    ordinal         integer NOT NULL CHECK (ordinal BETWEEN 1 AND 200),
    name            text NOT NULL CHECK (name ~ '^[a-z][a-z0-9-]{0,59}$' AND name <> 'main'), -- 'measure-3' of a loop
    base            text NOT NULL,           -- its name in the specification: 'measure'
    kind            scheduler.job_kind NOT NULL,
    offering_id     text NOT NULL REFERENCES pricing.offering,
    backend         text NOT NULL,
    gpus            integer NOT NULL CHECK (gpus >= 0),
    cpus            integer NOT NULL CHECK (cpus >= 0),
    memory_mb       integer NOT NULL CHECK (memory_mb >= 0),
    qpus            integer NOT NULL CHECK (qpus >= 0),
    shots           integer NOT NULL CHECK (shots >= 0),
    max_qpu_us      bigint CHECK (max_qpu_us > 0),
    nodes           integer NOT NULL CHECK (nodes > 0),
    walltime_s      integer NOT NULL CHECK (walltime_s > 0),
    nu              double precision NOT NULL CHECK (nu >= 0),
    max_attempts    integer NOT NULL CHECK (max_attempts BETWEEN 1 AND 10),
    max_timeouts    integer NOT NULL CHECK (max_timeouts >= 0 AND max_timeouts < max_attempts),
    options         jsonb NOT NULL,          -- as of a job
    body            bytea CHECK (length(body) <= 1048576),
    body_from       text,                    -- instead: a file that a phase leaves of which it takes
    takes           jsonb NOT NULL,          -- names of earlier phases, the newest first
    skippable       boolean NOT NULL,        -- the job goes on if it fails
    PRIMARY KEY (job_id, name),
    UNIQUE (job_id, ordinal),
    CHECK ((body IS NULL) <> (body_from IS NULL)),
    FOREIGN KEY (job_id, organisation_id) REFERENCES scheduler.job (id, organisation_id)
);
COMMENT ON TABLE scheduler.job_phase IS 'Append-only: the phases of a hybrid job as they were asked for, its loop unfolded.';

CREATE TABLE scheduler.phase_start (
    job_id          uuid NOT NULL,
    phase           text NOT NULL,
    organisation_id uuid NOT NULL REFERENCES accounts.organisation,
    body            bytea CHECK (length(body) <= 1048576),   -- what body_from was found to be
    shots           integer CHECK (shots > 0),               -- and how many executions it asks for
    recorded_at     timestamptz NOT NULL,
    PRIMARY KEY (job_id, phase),
    CHECK ((body IS NULL) = (shots IS NULL)),
    FOREIGN KEY (job_id, phase) REFERENCES scheduler.job_phase (job_id, name),
    FOREIGN KEY (job_id, organisation_id) REFERENCES scheduler.job (id, organisation_id)
);
COMMENT ON TABLE scheduler.phase_start IS 'Append-only: a phase after the first has been given what it takes, once for all its attempts. Before that it is not planned.';

CREATE TABLE scheduler.phase_input (
    job_id          uuid NOT NULL,
    phase           text NOT NULL,
    organisation_id uuid NOT NULL REFERENCES accounts.organisation,
    name            text NOT NULL CHECK (octet_length(name) BETWEEN 1 AND 4096),  -- below the job's folder of inputs
    object_id       uuid NOT NULL,
    key             text NOT NULL,
    size_bytes      bigint NOT NULL CHECK (size_bytes >= 0),
    checksum        text NOT NULL,
    PRIMARY KEY (job_id, phase, name),
    FOREIGN KEY (job_id, phase) REFERENCES scheduler.phase_start (job_id, phase),
    FOREIGN KEY (job_id, organisation_id) REFERENCES scheduler.job (id, organisation_id)
);
CREATE INDEX phase_input_object ON scheduler.phase_input (object_id);
COMMENT ON TABLE scheduler.phase_input IS 'Append-only: the files that a phase reads of earlier ones, each in the version that it had when that one was over.';

-- Attempts of a job are numbered through, over all its phases.
CREATE UNIQUE INDEX attempt_number ON scheduler.attempt (job_id, ordinal);

CREATE VIEW scheduler.attempt_asked WITH (security_invoker = true) AS
SELECT a.id AS attempt_id, a.job_id, a.phase, p.ordinal AS phase_ordinal, p.base,
       coalesce(p.kind, j.kind) AS kind, coalesce(p.offering_id, j.offering_id) AS offering_id,
       coalesce(p.gpus, j.gpus) AS gpus, coalesce(p.cpus, j.cpus) AS cpus,
       coalesce(p.memory_mb, j.memory_mb) AS memory_mb, coalesce(p.qpus, j.qpus) AS qpus,
       coalesce(p.shots, j.shots) AS shots, CASE WHEN p.job_id IS NULL THEN j.max_qpu_us ELSE p.max_qpu_us END AS max_qpu_us,
       coalesce(p.nodes, j.nodes) AS nodes, coalesce(p.walltime_s, j.walltime_s) AS walltime_s,
       coalesce(p.nu, j.nu) AS nu, coalesce(p.max_attempts, j.max_attempts) AS max_attempts,
       coalesce(p.max_timeouts, j.max_timeouts) AS max_timeouts, coalesce(p.options, j.options) AS options,
       coalesce(p.skippable, false) AS skippable
FROM scheduler.attempt a
JOIN scheduler.job j ON j.id = a.job_id
LEFT JOIN scheduler.job_phase p ON p.job_id = a.job_id AND p.name = a.phase;
COMMENT ON VIEW scheduler.attempt_asked IS 'What an attempt was asked for: by its phase where its job has phases, else by its job.';

CREATE TABLE pricing.quote_phase (
    job_id             uuid NOT NULL,
    phase              text NOT NULL,
    organisation_id    uuid NOT NULL REFERENCES accounts.organisation,
    ordinal            integer NOT NULL CHECK (ordinal > 0),
    offering_id        text NOT NULL REFERENCES pricing.offering,
    price_version_id   uuid NOT NULL REFERENCES pricing.price_version,
    ceiling_micro_yen  bigint NOT NULL CHECK (ceiling_micro_yen >= 0),
    expected_micro_yen bigint NOT NULL CHECK (expected_micro_yen BETWEEN 0 AND ceiling_micro_yen),
    lines              jsonb NOT NULL,
    PRIMARY KEY (job_id, phase),
    UNIQUE (job_id, ordinal),
    FOREIGN KEY (job_id, organisation_id) REFERENCES pricing.hold (job_id, organisation_id)
);
COMMENT ON TABLE pricing.quote_phase IS 'Append-only: the parts of a hybrid job''s quote. Their sum is its ceiling; what an attempt used is priced by the version of its phase.';

ALTER TABLE pricing.billable_attempt ADD COLUMN phase text NOT NULL DEFAULT 'main';

GRANT SELECT ON scheduler.job_phase, scheduler.phase_start, scheduler.phase_input, scheduler.attempt_asked, pricing.quote_phase
    TO kyoyo_worker, kyoyo_auditor, kyoyo_operator, kyoyo_tenant;
GRANT INSERT ON scheduler.job_phase, scheduler.phase_start, scheduler.phase_input, scheduler.attempt_asked, pricing.quote_phase
    TO kyoyo_worker;
GRANT INSERT ON scheduler.job_phase, pricing.quote_phase TO kyoyo_tenant;

DO $$
DECLARE
    new_table regclass;
BEGIN
    FOREACH new_table IN ARRAY ARRAY['scheduler.job_phase', 'scheduler.phase_start', 'scheduler.phase_input',
                                     'pricing.quote_phase']::regclass[] LOOP
        EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON %s '
                       'FOR EACH ROW EXECUTE FUNCTION infra.refuse_change()', new_table);
        EXECUTE format('CREATE TRIGGER append_only_whole BEFORE TRUNCATE ON %s '
                       'FOR EACH STATEMENT EXECUTE FUNCTION infra.refuse_change()', new_table);
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', new_table);
        EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', new_table);
        EXECUTE format('CREATE POLICY house ON %s TO kyoyo_owner, kyoyo_worker, kyoyo_operator, kyoyo_officer, '
                       'kyoyo_auditor USING (true) WITH CHECK (true)', new_table);
        EXECUTE format('CREATE POLICY own ON %s TO kyoyo_tenant USING (organisation_id = infra.current_organisation()) '
                       'WITH CHECK (organisation_id = infra.current_organisation())', new_table);
    END LOOP;
END $$;
