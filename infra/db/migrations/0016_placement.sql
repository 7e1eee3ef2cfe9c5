-- Jobs that may run on one of several offerings, and jobs whose data does not leave the country.

ALTER TABLE pricing.quote ADD COLUMN candidates jsonb;  -- of a job that may run on one of several: offering → price version and amounts

ALTER TABLE scheduler.job ADD COLUMN data_location text CHECK (data_location = 'jp');  -- NULL: it may run anywhere

CREATE TABLE scheduler.job_candidate (
    job_id            uuid NOT NULL,
    organisation_id   uuid NOT NULL REFERENCES accounts.organisation,
    offering_id       text NOT NULL REFERENCES pricing.offering,
    backend           text NOT NULL,
    gpus              integer NOT NULL CHECK (gpus >= 0),
    cpus              integer NOT NULL CHECK (cpus >= 0),
    memory_mb         integer NOT NULL CHECK (memory_mb >= 0),
    qpus              integer NOT NULL CHECK (qpus >= 0),
    max_qpu_us        bigint CHECK (max_qpu_us > 0),
    nu                double precision NOT NULL CHECK (nu >= 0),
    ceiling_micro_yen bigint NOT NULL CHECK (ceiling_micro_yen >= 0),
    PRIMARY KEY (job_id, offering_id),
    FOREIGN KEY (job_id, organisation_id) REFERENCES scheduler.job (id, organisation_id)
);
COMMENT ON TABLE scheduler.job_candidate IS 'Append-only: the offerings on one of which a job may run, and what it asks for on each. Kept with the first task of an array. None: it runs on its own offering.';

CREATE TABLE scheduler.data_rule (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organisation_id uuid NOT NULL REFERENCES accounts.organisation,
    project_id      uuid,
    location        text CHECK (location = 'jp'),
    set_by          uuid REFERENCES accounts.person,
    recorded_at     timestamptz NOT NULL,
    FOREIGN KEY (project_id, organisation_id) REFERENCES accounts.project (id, organisation_id)
);
CREATE INDEX data_rule_of ON scheduler.data_rule (organisation_id, id DESC);
COMMENT ON TABLE scheduler.data_rule IS 'Append-only: where all jobs of an organisation, or of one of its projects, must stay. The last row of each holds; a project''s adds to its organisation''s and lifts nothing.';

GRANT SELECT ON scheduler.job_candidate, scheduler.data_rule TO kyoyo_worker, kyoyo_auditor, kyoyo_operator, kyoyo_tenant;
GRANT INSERT ON scheduler.job_candidate, scheduler.data_rule TO kyoyo_worker, kyoyo_tenant;
GRANT INSERT ON scheduler.data_rule TO kyoyo_operator;

DO $$
DECLARE
    new_table regclass;
BEGIN
    FOREACH new_table IN ARRAY ARRAY['scheduler.job_candidate', 'scheduler.data_rule']::regclass[] LOOP
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

ALTER TABLE scheduler.attempt ADD COLUMN flexible boolean NOT NULL DEFAULT false;  -- while it waits it may be placed anew
CREATE INDEX attempt_flexible ON scheduler.attempt (seq) WHERE flexible AND state = 'QUEUED' AND dispatched_at IS NULL;

-- As before, and by the candidate that it is placed on.
CREATE OR REPLACE FUNCTION scheduler.copy_what_is_asked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT CASE WHEN k.job_id IS NULL THEN coalesce(p.kind, j.kind) ELSE 'quantum' END,
           coalesce(u.offering_id, p.offering_id, c.offering_id, j.offering_id),
           CASE WHEN k.job_id IS NULL THEN coalesce(p.gpus, c.gpus, j.gpus) ELSE 0 END,
           CASE WHEN k.job_id IS NULL THEN coalesce(p.cpus, c.cpus, j.cpus) ELSE 0 END,
           CASE WHEN k.job_id IS NULL THEN coalesce(p.memory_mb, c.memory_mb, j.memory_mb) ELSE 0 END,
           CASE WHEN k.job_id IS NULL THEN coalesce(p.qpus, c.qpus, j.qpus) ELSE 1 END,
           coalesce(k.shots, p.shots, j.shots),
           CASE WHEN k.job_id IS NOT NULL THEN k.max_qpu_us WHEN p.job_id IS NOT NULL THEN p.max_qpu_us
                WHEN c.job_id IS NOT NULL THEN c.max_qpu_us ELSE j.max_qpu_us END,
           coalesce(u.call_s, p.walltime_s, j.walltime_s),
           coalesce(k.nu, p.nu, c.nu, j.nu),
           CASE WHEN k.job_id IS NULL THEN coalesce(p.max_attempts, j.max_attempts) ELSE 1 END,
           CASE WHEN k.job_id IS NULL THEN coalesce(p.max_timeouts, j.max_timeouts) ELSE 0 END,
           p.ordinal, coalesce(p.skippable, false), k.caller_id,
           c.job_id IS NOT NULL, coalesce(c.backend, NEW.backend)
      INTO NEW.kind, NEW.offering_id, NEW.gpus, NEW.cpus, NEW.memory_mb, NEW.qpus, NEW.shots, NEW.max_qpu_us,
           NEW.walltime_s, NEW.nu, NEW.max_attempts, NEW.max_timeouts, NEW.phase_ordinal, NEW.skippable, NEW.caller_id,
           NEW.flexible, NEW.backend
      FROM scheduler.job j
      LEFT JOIN scheduler.job_phase p ON p.job_id = j.id AND p.name = NEW.phase
      LEFT JOIN scheduler.qpu_call k ON k.attempt_id = NEW.id
      LEFT JOIN scheduler.job_qpu u ON u.job_id = k.job_id
      LEFT JOIN scheduler.job_candidate c ON c.job_id = coalesce(j.array_id, j.id)
           AND c.offering_id = coalesce(NEW.offering_id, j.offering_id) AND p.job_id IS NULL AND k.job_id IS NULL
     WHERE j.id = NEW.job_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no job %', NEW.job_id USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NEW;
END $$;

-- An attempt is placed anew only while it waits and was never handed over, and only on a candidate of its job.
CREATE FUNCTION scheduler.place_anew() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT c.backend, c.gpus, c.cpus, c.memory_mb, c.qpus, c.max_qpu_us, c.nu
      INTO NEW.backend, NEW.gpus, NEW.cpus, NEW.memory_mb, NEW.qpus, NEW.max_qpu_us, NEW.nu
      FROM scheduler.job j JOIN scheduler.job_candidate c ON c.job_id = coalesce(j.array_id, j.id)
     WHERE j.id = NEW.job_id AND c.offering_id = NEW.offering_id;
    IF NOT FOUND OR NOT OLD.flexible OR OLD.state <> 'QUEUED' OR NEW.state <> 'QUEUED' OR OLD.dispatched_at IS NOT NULL THEN
        RAISE EXCEPTION 'attempt % cannot be placed on %', OLD.id, NEW.offering_id USING ERRCODE = 'KY009';
    END IF;
    RETURN NEW;
END $$;
REVOKE ALL ON FUNCTION scheduler.place_anew() FROM PUBLIC;
CREATE TRIGGER attempt_placed BEFORE UPDATE ON scheduler.attempt
    FOR EACH ROW WHEN (OLD.offering_id IS DISTINCT FROM NEW.offering_id) EXECUTE FUNCTION scheduler.place_anew();

-- Where it is placed is something that planning reads.
CREATE OR REPLACE TRIGGER attempt_change_told AFTER UPDATE ON scheduler.attempt
    FOR EACH ROW WHEN (
        (OLD.state, OLD.backend_ref, OLD.dispatched_at, OLD.started_at, OLD.ended_at, OLD.not_before, OLD.walltime_s,
         OLD.preempt_wanted_at, OLD.offering_id)
        IS DISTINCT FROM
        (NEW.state, NEW.backend_ref, NEW.dispatched_at, NEW.started_at, NEW.ended_at, NEW.not_before, NEW.walltime_s,
         NEW.preempt_wanted_at, NEW.offering_id)
        OR (NEW.not_before IS NOT NULL
            AND (OLD.wait_reason IN ('PARKED', 'NOT_ELIGIBLE') OR NEW.wait_reason IN ('PARKED', 'NOT_ELIGIBLE'))
            AND (OLD.wait_reason, OLD.wait_facts) IS DISTINCT FROM (NEW.wait_reason, NEW.wait_facts)))
    EXECUTE FUNCTION scheduler.tell_attempt();

GRANT UPDATE (offering_id) ON scheduler.attempt TO kyoyo_worker;
