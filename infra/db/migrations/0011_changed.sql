-- What the scheduler's leader has to look at again: written by triggers with each change, taken by the leader.

-- The number of an attempt: those that are there get theirs by their age.
ALTER TABLE scheduler.attempt ADD COLUMN seq bigint;
UPDATE scheduler.attempt a SET seq = n.seq
  FROM (SELECT id, row_number() OVER (ORDER BY queued_at, id) AS seq FROM scheduler.attempt) n WHERE n.id = a.id;
SET CONSTRAINTS ALL IMMEDIATE;
ALTER TABLE scheduler.attempt ALTER COLUMN seq SET NOT NULL, ALTER COLUMN seq ADD GENERATED ALWAYS AS IDENTITY;
SELECT setval(pg_get_serial_sequence('scheduler.attempt', 'seq'), (SELECT count(*) + 1 FROM scheduler.attempt), false);

CREATE TYPE scheduler.change_topic AS ENUM (
    'attempt',     -- id: the attempt
    'job',         -- id: the job, or the first task of the array: each live attempt of it
    'reservation', -- id: the reservation: each live attempt in it
    'standing',    -- id: the organisation: whether it may start anything, and until when
    'tree',        -- weights, limits or exchange rates
    'bookings',    -- reservations or closures
    'devices'      -- condition, queue or windows of a device
);

CREATE TABLE scheduler.changed (
    topic scheduler.change_topic NOT NULL,
    id    uuid                              -- of what the topic is about; NULL: of all of it
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500,
        autovacuum_analyze_threshold = 1000000000);
COMMENT ON TABLE scheduler.changed IS 'What planning has to look at again, written by triggers together with each change, deleted by the leader as it takes it. A hint where to look, never what is there: no row may be missing, any may be doubled or needless. Without key or index, so that no writer waits for another.';

-- Whoever changes something leaves the word, and can neither read nor write it otherwise.
CREATE FUNCTION scheduler.tell_attempt() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO scheduler.changed (topic, id) VALUES ('attempt', NEW.id);
    RETURN NULL;
END $$;

CREATE FUNCTION scheduler.tell_of_attempt() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO scheduler.changed (topic, id) VALUES ('attempt', NEW.attempt_id);
    RETURN NULL;
END $$;

CREATE FUNCTION scheduler.tell_of_job() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO scheduler.changed (topic, id) SELECT DISTINCT 'job'::scheduler.change_topic, job_id FROM added;
    RETURN NULL;
END $$;

CREATE FUNCTION scheduler.tell_of_reservation() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO scheduler.changed (topic, id) VALUES ('reservation', NEW.reservation_id), ('bookings', NULL);
    RETURN NULL;
END $$;

CREATE FUNCTION scheduler.tell_of_organisation() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_TABLE_NAME = 'organisation' THEN
        INSERT INTO scheduler.changed (topic, id) VALUES ('standing', NEW.id);
    ELSE
        INSERT INTO scheduler.changed (topic, id) VALUES ('standing', NEW.organisation_id);
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION scheduler.tell_topic() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO scheduler.changed (topic) VALUES (TG_ARGV[0]::scheduler.change_topic);
    RETURN NULL;
END $$;

-- Of an attempt, what planning reads. The reason that a plan leaves is no news to who left it, but for what is set aside.
CREATE TRIGGER attempt_told AFTER INSERT ON scheduler.attempt
    FOR EACH ROW EXECUTE FUNCTION scheduler.tell_attempt();
CREATE TRIGGER attempt_change_told AFTER UPDATE ON scheduler.attempt
    FOR EACH ROW WHEN (
        (OLD.state, OLD.backend_ref, OLD.dispatched_at, OLD.started_at, OLD.ended_at, OLD.not_before, OLD.walltime_s)
        IS DISTINCT FROM
        (NEW.state, NEW.backend_ref, NEW.dispatched_at, NEW.started_at, NEW.ended_at, NEW.not_before, NEW.walltime_s)
        OR (NEW.not_before IS NOT NULL
            AND (OLD.wait_reason IN ('PARKED', 'NOT_ELIGIBLE') OR NEW.wait_reason IN ('PARKED', 'NOT_ELIGIBLE'))
            AND (OLD.wait_reason, OLD.wait_facts) IS DISTINCT FROM (NEW.wait_reason, NEW.wait_facts)))
    EXECUTE FUNCTION scheduler.tell_attempt();

CREATE TRIGGER files_told AFTER INSERT ON scheduler.attempt_files
    FOR EACH ROW WHEN (num_nonnulls(NEW.staged_at, NEW.problem) > 0) EXECUTE FUNCTION scheduler.tell_of_attempt();
CREATE TRIGGER files_change_told AFTER UPDATE ON scheduler.attempt_files
    FOR EACH ROW WHEN ((OLD.staged_at, OLD.problem) IS DISTINCT FROM (NEW.staged_at, NEW.problem))
    EXECUTE FUNCTION scheduler.tell_of_attempt();
CREATE TRIGGER charge_told AFTER INSERT ON scheduler.fairshare_charge
    FOR EACH ROW EXECUTE FUNCTION scheduler.tell_of_attempt();

CREATE TRIGGER cancellation_told AFTER INSERT ON scheduler.cancellation
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION scheduler.tell_of_job();
CREATE TRIGGER dependency_told AFTER INSERT ON scheduler.dependency
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION scheduler.tell_of_job();
CREATE TRIGGER input_told AFTER INSERT ON scheduler.job_input
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION scheduler.tell_of_job();
CREATE TRIGGER phase_start_told AFTER INSERT ON scheduler.phase_start
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION scheduler.tell_of_job();
CREATE TRIGGER phase_input_told AFTER INSERT ON scheduler.phase_input
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION scheduler.tell_of_job();
CREATE TRIGGER qpu_told AFTER INSERT ON scheduler.job_qpu
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION scheduler.tell_of_job();
CREATE TRIGGER reservation_job_told AFTER INSERT ON scheduler.reservation_job
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION scheduler.tell_of_job();

CREATE TRIGGER reservation_cancelled_told AFTER INSERT ON scheduler.reservation_cancelled
    FOR EACH ROW EXECUTE FUNCTION scheduler.tell_of_reservation();
CREATE TRIGGER reservation_told AFTER INSERT ON scheduler.reservation
    FOR EACH STATEMENT EXECUTE FUNCTION scheduler.tell_topic('bookings');
CREATE TRIGGER closure_told AFTER INSERT ON scheduler.closure
    FOR EACH STATEMENT EXECUTE FUNCTION scheduler.tell_topic('bookings');
CREATE TRIGGER closure_lifted_told AFTER INSERT ON scheduler.closure_lifted
    FOR EACH STATEMENT EXECUTE FUNCTION scheduler.tell_topic('bookings');

CREATE TRIGGER share_told AFTER INSERT ON scheduler.share
    FOR EACH STATEMENT EXECUTE FUNCTION scheduler.tell_topic('tree');
CREATE TRIGGER exchange_rate_told AFTER INSERT ON scheduler.exchange_rate
    FOR EACH STATEMENT EXECUTE FUNCTION scheduler.tell_topic('tree');

CREATE TRIGGER device_told AFTER INSERT ON scheduler.device
    FOR EACH ROW EXECUTE FUNCTION scheduler.tell_topic('devices');
CREATE TRIGGER device_change_told AFTER UPDATE ON scheduler.device
    FOR EACH ROW WHEN ((OLD.condition, OLD.detail, OLD.queue, OLD.windows)
                       IS DISTINCT FROM (NEW.condition, NEW.detail, NEW.queue, NEW.windows))
    EXECUTE FUNCTION scheduler.tell_topic('devices');

CREATE TRIGGER organisation_told AFTER INSERT ON accounts.organisation
    FOR EACH ROW EXECUTE FUNCTION scheduler.tell_of_organisation();
CREATE TRIGGER organisation_change_told AFTER UPDATE ON accounts.organisation
    FOR EACH ROW WHEN (OLD.suspended_at IS DISTINCT FROM NEW.suspended_at)
    EXECUTE FUNCTION scheduler.tell_of_organisation();
CREATE TRIGGER declaration_told AFTER INSERT ON accounts.declaration
    FOR EACH ROW EXECUTE FUNCTION scheduler.tell_of_organisation();

REVOKE ALL ON FUNCTION scheduler.tell_attempt(), scheduler.tell_of_attempt(), scheduler.tell_of_job(),
    scheduler.tell_of_reservation(), scheduler.tell_of_organisation(), scheduler.tell_topic() FROM PUBLIC;
GRANT SELECT ON scheduler.changed TO kyoyo_worker, kyoyo_auditor, kyoyo_operator;
GRANT INSERT, DELETE ON scheduler.changed TO kyoyo_worker;
