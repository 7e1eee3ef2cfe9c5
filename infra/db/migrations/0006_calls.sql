-- Session mode of hybrid jobs: a running job calls a QPU many times, under its own hold.

-- A call's attempt stands beside the attempts of its job, not in their line: it is numbered below zero.
ALTER TABLE scheduler.attempt DROP CONSTRAINT attempt_ordinal_check, ADD CHECK (ordinal <> 0);

CREATE TABLE scheduler.job_qpu (
    job_id          uuid PRIMARY KEY,
    organisation_id uuid NOT NULL REFERENCES accounts.organisation,
    offering_id     text NOT NULL REFERENCES pricing.offering,
    backend         text NOT NULL,
    calls           integer NOT NULL CHECK (calls > 0),
    shots           integer NOT NULL CHECK (shots > 0),         -- of all calls together
    idle_s          integer NOT NULL CHECK (idle_s > 0),        -- without a call for so long, none is taken any more
    call_s          integer NOT NULL CHECK (call_s > 0),        -- walltime of one call
    base_us         bigint NOT NULL CHECK (base_us >= 0),       -- QPU time of a call as quoted: so much,
    per_kshot_us    bigint NOT NULL CHECK (per_kshot_us >= 0),  -- and so much for 1,000 shots
    max_shots       integer NOT NULL CHECK (max_shots > 0),     -- of one call
    nu_per_hour     double precision NOT NULL CHECK (nu_per_hour >= 0),
    FOREIGN KEY (job_id, organisation_id) REFERENCES scheduler.job (id, organisation_id)
);
COMMENT ON TABLE scheduler.job_qpu IS 'Append-only: the QPU that a job may call while it runs, as it was asked for and quoted.';

CREATE TABLE scheduler.qpu_call (
    job_id          uuid NOT NULL REFERENCES scheduler.job_qpu,
    number          integer NOT NULL CHECK (number > 0),        -- 1, 2, … of the job, over all its attempts
    organisation_id uuid NOT NULL REFERENCES accounts.organisation,
    caller_id       uuid NOT NULL,                              -- the attempt that called,
    file_number     integer NOT NULL CHECK (file_number > 0),   -- and the n of its call-n.json
    attempt_id      uuid UNIQUE,                                -- the attempt that carries it out; NULL: it was refused,
    code            text,                                       -- for this,
    facts           jsonb NOT NULL DEFAULT '{}',                -- with these facts
    body            bytea CHECK (length(body) <= 1048576),
    shots           integer NOT NULL CHECK (shots >= 0),
    max_qpu_us      bigint CHECK (max_qpu_us > 0),
    nu              double precision NOT NULL CHECK (nu >= 0),
    recorded_at     timestamptz NOT NULL,
    PRIMARY KEY (job_id, number),
    UNIQUE (caller_id, file_number),
    CHECK ((attempt_id IS NULL) = (code IS NOT NULL) AND (attempt_id IS NULL) = (body IS NULL)),
    FOREIGN KEY (job_id, organisation_id) REFERENCES scheduler.job (id, organisation_id),
    FOREIGN KEY (caller_id, organisation_id) REFERENCES scheduler.attempt (id, organisation_id),
    FOREIGN KEY (attempt_id, organisation_id) REFERENCES scheduler.attempt (id, organisation_id)
        DEFERRABLE INITIALLY DEFERRED
);
CREATE INDEX attempt_live_call ON scheduler.attempt (job_id)
    WHERE ordinal < 0 AND state IN ('QUEUED', 'DISPATCHING', 'RUNNING', 'CANCELLING');
COMMENT ON TABLE scheduler.qpu_call IS 'Append-only: every call that a running job has made, each once, and what has become of it at first: an attempt, or a refusal.';

CREATE TABLE scheduler.qpu_answer (
    job_id          uuid NOT NULL,
    number          integer NOT NULL,
    organisation_id uuid NOT NULL REFERENCES accounts.organisation,
    recorded_at     timestamptz NOT NULL,
    PRIMARY KEY (job_id, number),
    FOREIGN KEY (job_id, number) REFERENCES scheduler.qpu_call (job_id, number)
);
COMMENT ON TABLE scheduler.qpu_answer IS 'Append-only: the answer to a call lies in the folder of the job that made it.';

CREATE TABLE scheduler.qpu_closed (
    caller_id       uuid PRIMARY KEY,
    organisation_id uuid NOT NULL REFERENCES accounts.organisation,
    reason          text NOT NULL CHECK (reason IN ('session-idle')),
    recorded_at     timestamptz NOT NULL,
    FOREIGN KEY (caller_id, organisation_id) REFERENCES scheduler.attempt (id, organisation_id)
);
COMMENT ON TABLE scheduler.qpu_closed IS 'Append-only: an attempt that may call its QPU no more, though it runs.';

CREATE OR REPLACE VIEW scheduler.attempt_asked WITH (security_invoker = true) AS
SELECT a.id AS attempt_id, a.job_id, a.phase, p.ordinal AS phase_ordinal, p.base,
       CASE WHEN k.job_id IS NULL THEN coalesce(p.kind, j.kind) ELSE 'quantum' END AS kind,
       coalesce(u.offering_id, p.offering_id, j.offering_id) AS offering_id,
       CASE WHEN k.job_id IS NULL THEN coalesce(p.gpus, j.gpus) ELSE 0 END AS gpus,
       CASE WHEN k.job_id IS NULL THEN coalesce(p.cpus, j.cpus) ELSE 0 END AS cpus,
       CASE WHEN k.job_id IS NULL THEN coalesce(p.memory_mb, j.memory_mb) ELSE 0 END AS memory_mb,
       CASE WHEN k.job_id IS NULL THEN coalesce(p.qpus, j.qpus) ELSE 1 END AS qpus,
       coalesce(k.shots, p.shots, j.shots) AS shots,
       CASE WHEN k.job_id IS NOT NULL THEN k.max_qpu_us WHEN p.job_id IS NULL THEN j.max_qpu_us ELSE p.max_qpu_us END
           AS max_qpu_us,
       CASE WHEN k.job_id IS NULL THEN coalesce(p.nodes, j.nodes) ELSE 1 END AS nodes,
       coalesce(u.call_s, p.walltime_s, j.walltime_s) AS walltime_s,
       coalesce(k.nu, p.nu, j.nu) AS nu,
       CASE WHEN k.job_id IS NULL THEN coalesce(p.max_attempts, j.max_attempts) ELSE 1 END AS max_attempts,
       CASE WHEN k.job_id IS NULL THEN coalesce(p.max_timeouts, j.max_timeouts) ELSE 0 END AS max_timeouts,
       CASE WHEN k.job_id IS NULL THEN coalesce(p.options, j.options) ELSE '{}'::jsonb END AS options,
       coalesce(p.skippable, false) AS skippable,
       k.job_id IS NOT NULL AS is_call, k.caller_id
FROM scheduler.attempt a
JOIN scheduler.job j ON j.id = a.job_id
LEFT JOIN scheduler.job_phase p ON p.job_id = a.job_id AND p.name = a.phase
LEFT JOIN scheduler.qpu_call k ON k.attempt_id = a.id
LEFT JOIN scheduler.job_qpu u ON u.job_id = k.job_id;
COMMENT ON VIEW scheduler.attempt_asked IS 'What an attempt was asked for: by its call or its phase where it is one''s, else by its job.';

GRANT SELECT ON scheduler.job_qpu, scheduler.qpu_call, scheduler.qpu_answer, scheduler.qpu_closed
    TO kyoyo_worker, kyoyo_auditor, kyoyo_operator, kyoyo_tenant;
GRANT INSERT ON scheduler.job_qpu, scheduler.qpu_call, scheduler.qpu_answer, scheduler.qpu_closed TO kyoyo_worker;
GRANT INSERT ON scheduler.job_qpu TO kyoyo_tenant;

DO $$
DECLARE
    new_table regclass;
BEGIN
    FOREACH new_table IN ARRAY ARRAY['scheduler.job_qpu', 'scheduler.qpu_call', 'scheduler.qpu_answer',
                                     'scheduler.qpu_closed']::regclass[] LOOP
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
