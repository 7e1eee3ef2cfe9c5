-- Quantum devices as products: a register with history, sessions, caps on QPU time, and prices in another currency.

CREATE TYPE scheduler.device_condition AS ENUM (
    'online',      -- takes work
    'calibrating', -- is being calibrated, and takes none
    'maintenance', -- is being worked on, and takes none
    'offline'      -- takes none: away, unreachable, no longer configured, or in a state that we do not know
);

CREATE TABLE scheduler.device (
    backend        text PRIMARY KEY,
    name           text NOT NULL,            -- as its vendor calls it
    vendor         text NOT NULL,
    technology     text NOT NULL,
    qubits         integer NOT NULL CHECK (qubits > 0),
    basis_gates    jsonb NOT NULL,
    coupling       jsonb,                    -- pairs of qubits; NULL: all
    simulator      boolean NOT NULL,
    domestic       boolean NOT NULL,         -- stands in Japan
    sessions       boolean NOT NULL,
    max_shots      integer NOT NULL CHECK (max_shots > 0),
    max_circuits   integer NOT NULL CHECK (max_circuits > 0),
    clops          integer CHECK (clops > 0),
    quantum_volume bigint CHECK (quantum_volume > 0),
    condition      scheduler.device_condition NOT NULL,
    detail         text NOT NULL,            -- a short machine word
    queue          integer CHECK (queue >= 0),   -- jobs that wait at the vendor, everybody's; NULL: not told
    windows        jsonb NOT NULL,           -- when it will take no work: [{since, until, kind}]
    calibration_id text,
    condition_since timestamptz NOT NULL,
    heard_at       timestamptz NOT NULL      -- when it last told of itself
);
COMMENT ON TABLE scheduler.device IS 'A quantum device as it last told of itself (projection of what it tells, device_state and device_calibration). Public to every signed-in person.';

CREATE TABLE scheduler.device_calibration (
    device          text NOT NULL,           -- the backend
    id              text NOT NULL CHECK (length(id) BETWEEN 1 AND 200),
    at              timestamptz,             -- when it was made, by the vendor; NULL: not told
    two_qubit_error double precision,        -- medians
    readout_error   double precision,
    data            jsonb NOT NULL,          -- {qubits: [...], gates: [...]}
    recorded_at     timestamptz NOT NULL,
    PRIMARY KEY (device, id)
);
CREATE INDEX device_calibration_history ON scheduler.device_calibration (device, recorded_at DESC, id);
COMMENT ON TABLE scheduler.device_calibration IS 'Append-only: each calibration that a device told of, once. Results name theirs.';

CREATE TABLE scheduler.device_state (
    device      text NOT NULL,
    recorded_at timestamptz NOT NULL,
    condition   scheduler.device_condition NOT NULL,
    detail      text NOT NULL,
    queue       integer CHECK (queue >= 0),
    windows     jsonb NOT NULL,
    PRIMARY KEY (device, recorded_at)
);
COMMENT ON TABLE scheduler.device_state IS 'Append-only: condition, the vendor''s queue and announced windows of a device, whenever one of them changed.';

-- How many jobs of everybody wait in our queue for each backend: the one figure about others that each may know.
CREATE FUNCTION scheduler.waiting_by_backend() RETURNS TABLE (backend text, jobs bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT a.backend, count(*) FROM scheduler.attempt a WHERE a.state = 'QUEUED' GROUP BY a.backend
$$;

REVOKE ALL ON FUNCTION scheduler.waiting_by_backend() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION scheduler.waiting_by_backend()
    TO kyoyo_tenant, kyoyo_operator, kyoyo_officer, kyoyo_worker, kyoyo_auditor;
GRANT SELECT ON scheduler.device, scheduler.device_calibration, scheduler.device_state
    TO kyoyo_worker, kyoyo_auditor, kyoyo_operator, kyoyo_officer, kyoyo_tenant;
GRANT INSERT ON scheduler.device, scheduler.device_calibration, scheduler.device_state TO kyoyo_worker;
GRANT UPDATE ON scheduler.device TO kyoyo_worker;

DO $$
DECLARE
    append_only regclass;
BEGIN
    FOREACH append_only IN ARRAY ARRAY['scheduler.device_calibration', 'scheduler.device_state']::regclass[] LOOP
        EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON %s '
                       'FOR EACH ROW EXECUTE FUNCTION infra.refuse_change()', append_only);
        EXECUTE format('CREATE TRIGGER append_only_whole BEFORE TRUNCATE ON %s '
                       'FOR EACH STATEMENT EXECUTE FUNCTION infra.refuse_change()', append_only);
    END LOOP;
END $$;

ALTER TABLE scheduler.job
    ADD COLUMN max_qpu_us bigint CHECK (max_qpu_us > 0),
    ADD COLUMN session_idle_s integer CHECK (session_idle_s > 0),
    ADD COLUMN session_dedicated boolean,
    ADD COLUMN session_job_id uuid,
    ADD CHECK ((session_idle_s IS NULL) = (session_dedicated IS NULL)),
    ADD CHECK (session_idle_s IS NULL OR session_job_id IS NULL),
    ADD FOREIGN KEY (session_job_id, organisation_id) REFERENCES scheduler.job (id, organisation_id);
CREATE INDEX job_of_session ON scheduler.job (session_job_id) WHERE session_job_id IS NOT NULL;

ALTER TABLE pricing.offering
    ADD COLUMN max_session_s integer NOT NULL DEFAULT 0 CHECK (max_session_s >= 0),
    ADD COLUMN max_session_idle_s integer NOT NULL DEFAULT 0 CHECK (max_session_idle_s >= 0),
    ADD COLUMN sim_units integer NOT NULL DEFAULT 0 CHECK (sim_units >= 0);

ALTER TABLE pricing.quote
    ADD COLUMN low_micro_yen bigint CHECK (low_micro_yen BETWEEN 0 AND expected_micro_yen),
    ADD COLUMN basis jsonb;

ALTER TABLE pricing.price_component
    DROP CONSTRAINT price_component_component_check,
    ADD CHECK (component IN ('gpu_s', 'qpu_s', 'shot', 'session_s', 'sim_s')),
    ADD COLUMN currency text CHECK (currency ~ '^[A-Z]{3}$'),
    ADD COLUMN currency_amount numeric(20, 6) CHECK (currency_amount >= 0),
    ADD COLUMN exchange_rate numeric(20, 8) CHECK (exchange_rate > 0),
    ADD COLUMN rate_source text CHECK (length(rate_source) BETWEEN 1 AND 200),
    ADD COLUMN rate_on date,
    ADD CHECK (num_nonnulls(currency, currency_amount, exchange_rate, rate_source, rate_on) IN (0, 5));

ALTER TABLE metering.usage_record
    DROP CONSTRAINT usage_record_component_check,
    ADD CHECK (component IN ('gpu_s', 'cpu_s', 'qpu_s', 'shot', 'session_s', 'sim_s'));
