-- What an attempt asks for stands with the attempt. The loops read it in every round, and joined five tables for it.

ALTER TABLE scheduler.attempt
    ADD COLUMN kind          scheduler.job_kind,                   -- never 'hybrid': the kind of its phase
    ADD COLUMN offering_id   text REFERENCES pricing.offering,
    ADD COLUMN gpus          integer CHECK (gpus >= 0),
    ADD COLUMN cpus          integer CHECK (cpus >= 0),
    ADD COLUMN memory_mb     integer CHECK (memory_mb >= 0),
    ADD COLUMN qpus          integer CHECK (qpus >= 0),
    ADD COLUMN shots         integer CHECK (shots >= 0),
    ADD COLUMN max_qpu_us    bigint CHECK (max_qpu_us > 0),
    ADD COLUMN walltime_s    integer CHECK (walltime_s > 0),
    ADD COLUMN nu            double precision CHECK (nu >= 0),
    ADD COLUMN max_attempts  integer CHECK (max_attempts BETWEEN 1 AND 10),
    ADD COLUMN max_timeouts  integer CHECK (max_timeouts >= 0 AND max_timeouts < max_attempts),
    ADD COLUMN phase_ordinal integer CHECK (phase_ordinal > 0),    -- of a hybrid job's phase
    ADD COLUMN skippable     boolean,                              -- the job goes on if this phase fails
    ADD COLUMN caller_id     uuid;                                 -- of a call: the attempt that made it

UPDATE scheduler.attempt a
   SET kind = q.kind, offering_id = q.offering_id, gpus = q.gpus, cpus = q.cpus, memory_mb = q.memory_mb, qpus = q.qpus,
       shots = q.shots, max_qpu_us = q.max_qpu_us, walltime_s = q.walltime_s, nu = q.nu, max_attempts = q.max_attempts,
       max_timeouts = q.max_timeouts, phase_ordinal = q.phase_ordinal, skippable = q.skippable, caller_id = q.caller_id
  FROM scheduler.attempt_asked q WHERE q.attempt_id = a.id;
SET CONSTRAINTS ALL IMMEDIATE;

DROP VIEW scheduler.attempt_asked;

ALTER TABLE scheduler.attempt
    ALTER COLUMN kind SET NOT NULL, ALTER COLUMN offering_id SET NOT NULL, ALTER COLUMN gpus SET NOT NULL,
    ALTER COLUMN cpus SET NOT NULL, ALTER COLUMN memory_mb SET NOT NULL, ALTER COLUMN qpus SET NOT NULL,
    ALTER COLUMN shots SET NOT NULL, ALTER COLUMN walltime_s SET NOT NULL, ALTER COLUMN nu SET NOT NULL,
    ALTER COLUMN max_attempts SET NOT NULL, ALTER COLUMN max_timeouts SET NOT NULL, ALTER COLUMN skippable SET NOT NULL,
    ADD CHECK ((caller_id IS NULL) = (ordinal > 0));
COMMENT ON TABLE scheduler.attempt IS 'One try of a job on one backend: what it asks for, copied once, and a projection of its events. Written only through scheduler.core.lifecycle.advance().';

-- By its call or its phase where it is one's, else by its job. No writer can say anything else, and nobody changes it.
CREATE FUNCTION scheduler.copy_what_is_asked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT CASE WHEN k.job_id IS NULL THEN coalesce(p.kind, j.kind) ELSE 'quantum' END,
           coalesce(u.offering_id, p.offering_id, j.offering_id),
           CASE WHEN k.job_id IS NULL THEN coalesce(p.gpus, j.gpus) ELSE 0 END,
           CASE WHEN k.job_id IS NULL THEN coalesce(p.cpus, j.cpus) ELSE 0 END,
           CASE WHEN k.job_id IS NULL THEN coalesce(p.memory_mb, j.memory_mb) ELSE 0 END,
           CASE WHEN k.job_id IS NULL THEN coalesce(p.qpus, j.qpus) ELSE 1 END,
           coalesce(k.shots, p.shots, j.shots),
           CASE WHEN k.job_id IS NOT NULL THEN k.max_qpu_us WHEN p.job_id IS NULL THEN j.max_qpu_us ELSE p.max_qpu_us END,
           coalesce(u.call_s, p.walltime_s, j.walltime_s),
           coalesce(k.nu, p.nu, j.nu),
           CASE WHEN k.job_id IS NULL THEN coalesce(p.max_attempts, j.max_attempts) ELSE 1 END,
           CASE WHEN k.job_id IS NULL THEN coalesce(p.max_timeouts, j.max_timeouts) ELSE 0 END,
           p.ordinal, coalesce(p.skippable, false), k.caller_id
      INTO NEW.kind, NEW.offering_id, NEW.gpus, NEW.cpus, NEW.memory_mb, NEW.qpus, NEW.shots, NEW.max_qpu_us,
           NEW.walltime_s, NEW.nu, NEW.max_attempts, NEW.max_timeouts, NEW.phase_ordinal, NEW.skippable, NEW.caller_id
      FROM scheduler.job j
      LEFT JOIN scheduler.job_phase p ON p.job_id = j.id AND p.name = NEW.phase
      LEFT JOIN scheduler.qpu_call k ON k.attempt_id = NEW.id
      LEFT JOIN scheduler.job_qpu u ON u.job_id = k.job_id
     WHERE j.id = NEW.job_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no job %', NEW.job_id USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NEW;
END $$;
REVOKE ALL ON FUNCTION scheduler.copy_what_is_asked() FROM PUBLIC;
CREATE TRIGGER attempt_asks BEFORE INSERT ON scheduler.attempt
    FOR EACH ROW EXECUTE FUNCTION scheduler.copy_what_is_asked();

REVOKE UPDATE ON scheduler.attempt FROM kyoyo_worker;
GRANT UPDATE (state, backend_ref, dispatched_at, started_at, ended_at, exit_code, reason, not_before, doubt, doubt_since,
              unknown_count, wait_reason, wait_facts, version) ON scheduler.attempt TO kyoyo_worker;
