-- Advance reservations: units of a backend that are an organisation's for a time, and times in which nothing runs.

CREATE TABLE scheduler.reservable (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    backend         text NOT NULL,
    first_day       date NOT NULL,                                   -- of Asia/Tokyo
    last_day        date CHECK (last_day >= first_day),              -- NULL: from then on
    units           integer NOT NULL CHECK (units >= 0),             -- GPUs or QPUs that may be reserved at a time
    cancel_before_s integer NOT NULL CHECK (cancel_before_s >= 0),   -- cancelled without consequence until so long before
    set_by          uuid REFERENCES accounts.person,
    recorded_at     timestamptz NOT NULL
);
CREATE INDEX reservable_backend ON scheduler.reservable (backend, id DESC);
COMMENT ON TABLE scheduler.reservable IS 'Append-only: how much of a backend may be reserved on which days. Of the rows that cover a day the last one holds; without one nothing may be. Public.';

CREATE TABLE scheduler.reservation_quota (
    organisation_id uuid NOT NULL REFERENCES accounts.organisation,
    max_units       integer NOT NULL CHECK (max_units >= 0),         -- at a time on one backend, all its reservations together
    max_unit_hours  integer NOT NULL CHECK (max_unit_hours >= 0),    -- of one reservation
    max_days_ahead  integer NOT NULL CHECK (max_days_ahead >= 0),    -- it ends so many days from its booking at the latest
    effective_at    timestamptz NOT NULL,
    PRIMARY KEY (organisation_id, effective_at)
);
COMMENT ON TABLE scheduler.reservation_quota IS 'Append-only: what an organisation may reserve. The latest effective row holds; without one the settings'' defaults do.';

CREATE TABLE scheduler.reservation (
    id              uuid PRIMARY KEY,
    organisation_id uuid NOT NULL REFERENCES accounts.organisation,
    number          integer NOT NULL CHECK (number > 0),             -- 1, 2, … within its organisation: people say R1, R2
    person_id       uuid NOT NULL REFERENCES accounts.person,
    offering_id     text NOT NULL REFERENCES pricing.offering,
    backend         text NOT NULL,
    units           integer NOT NULL CHECK (units > 0),
    gpus            integer NOT NULL CHECK (gpus >= 0),              -- what these units are on the machine
    cpus            integer NOT NULL CHECK (cpus >= 0),
    memory_mb       integer NOT NULL CHECK (memory_mb >= 0),
    qpus            integer NOT NULL CHECK (qpus >= 0),
    since           timestamptz NOT NULL CHECK (since = date_trunc('hour', since, 'UTC')),
    until           timestamptz NOT NULL CHECK (until = date_trunc('hour', until, 'UTC')),
    cancel_by       timestamptz NOT NULL,
    idempotency_key text NOT NULL CHECK (length(idempotency_key) BETWEEN 1 AND 255),
    booked_at       timestamptz NOT NULL,
    CHECK (since < until AND until <= since + interval '366 days'),
    CHECK (units = gpus + qpus),
    UNIQUE (organisation_id, number),
    UNIQUE (organisation_id, person_id, idempotency_key),
    UNIQUE (id, organisation_id)
);
CREATE INDEX reservation_ahead ON scheduler.reservation (until);
COMMENT ON TABLE scheduler.reservation IS 'Append-only: units of a backend that are an organisation''s own during [since, until), unless it was cancelled.';

CREATE TABLE scheduler.reservation_cancelled (
    reservation_id  uuid PRIMARY KEY,
    organisation_id uuid NOT NULL REFERENCES accounts.organisation,
    cancelled_by    uuid NOT NULL REFERENCES accounts.person,
    cancelled_at    timestamptz NOT NULL,
    FOREIGN KEY (reservation_id, organisation_id) REFERENCES scheduler.reservation (id, organisation_id)
);
COMMENT ON TABLE scheduler.reservation_cancelled IS 'Append-only: a reservation that was given up. The hours that it still had before it are free again.';

CREATE TABLE scheduler.reservation_job (
    job_id          uuid PRIMARY KEY,
    organisation_id uuid NOT NULL REFERENCES accounts.organisation,
    reservation_id  uuid NOT NULL,
    shorten         boolean NOT NULL,                                -- its walltime may be cut to what the reservation has left
    FOREIGN KEY (job_id, organisation_id) REFERENCES scheduler.job (id, organisation_id),
    FOREIGN KEY (reservation_id, organisation_id) REFERENCES scheduler.reservation (id, organisation_id)
);
CREATE INDEX reservation_job_of ON scheduler.reservation_job (reservation_id);
COMMENT ON TABLE scheduler.reservation_job IS 'Append-only: jobs that run in a reservation, and nowhere else.';

CREATE TABLE scheduler.closure (
    id          uuid PRIMARY KEY,
    backend     text NOT NULL,
    since       timestamptz NOT NULL,
    until       timestamptz NOT NULL,
    reason      text NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    set_by      uuid REFERENCES accounts.person,
    recorded_at timestamptz NOT NULL,
    CHECK (since < until)
);
CREATE INDEX closure_ahead ON scheduler.closure (until);
COMMENT ON TABLE scheduler.closure IS 'Append-only: a backend will run nothing during [since, until), such as for maintenance, unless that was lifted. Public.';

CREATE TABLE scheduler.closure_lifted (
    closure_id uuid PRIMARY KEY REFERENCES scheduler.closure,
    lifted_by  uuid REFERENCES accounts.person,
    lifted_at  timestamptz NOT NULL
);
COMMENT ON TABLE scheduler.closure_lifted IS 'Append-only: a closure that will not be, or is over before its time. Public.';

CREATE TABLE scheduler.reserved_hour (
    backend text NOT NULL,
    hour    timestamptz NOT NULL,
    units   integer NOT NULL CHECK (units >= 0),
    PRIMARY KEY (backend, hour)
);
COMMENT ON TABLE scheduler.reserved_hour IS 'How many units of a backend are reserved in an hour, by everybody together: kept by the triggers of scheduler.reservation (projection). Public.';

-- What may be reserved in an hour: nothing where the backend is closed.
CREATE FUNCTION scheduler.reservable_units(of_backend text, at_hour timestamptz) RETURNS integer
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN CASE WHEN EXISTS (
            SELECT FROM scheduler.closure c WHERE c.backend = of_backend AND c.since < at_hour + interval '1 hour'
               AND at_hour < c.until AND NOT EXISTS (SELECT FROM scheduler.closure_lifted l WHERE l.closure_id = c.id))
        THEN 0 ELSE coalesce((
            SELECT r.units FROM scheduler.reservable r
             WHERE r.backend = of_backend AND infra.jst_date(at_hour) >= r.first_day
               AND (r.last_day IS NULL OR infra.jst_date(at_hour) <= r.last_day)
             ORDER BY r.id DESC LIMIT 1), 0) END;

-- Two bookings of the same hours meet on the same rows: the second waits for the first and then counts with it, whatever
-- the isolation of its transaction. So nobody, however they write, books more than there is.
CREATE FUNCTION scheduler.take_reserved_hours() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    full_hour timestamptz;
BEGIN
    INSERT INTO scheduler.reserved_hour AS h (backend, hour, units)
    SELECT NEW.backend, hours.hour, NEW.units
      FROM generate_series(NEW.since, NEW.until - interval '1 hour', interval '1 hour') AS hours (hour)
     ORDER BY hours.hour
    ON CONFLICT (backend, hour) DO UPDATE SET units = h.units + excluded.units;
    SELECT min(h.hour) INTO full_hour FROM scheduler.reserved_hour h
     WHERE h.backend = NEW.backend AND h.hour >= NEW.since AND h.hour < NEW.until
       AND h.units > scheduler.reservable_units(NEW.backend, h.hour);
    IF full_hour IS NOT NULL THEN
        RAISE EXCEPTION 'not so many units of % can be reserved at %', NEW.backend, full_hour USING ERRCODE = 'KY007';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER reservation_takes AFTER INSERT ON scheduler.reservation
    FOR EACH ROW EXECUTE FUNCTION scheduler.take_reserved_hours();

CREATE FUNCTION scheduler.give_back_reserved_hours() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE scheduler.reserved_hour h SET units = h.units - r.units
      FROM scheduler.reservation r
     WHERE r.id = NEW.reservation_id AND h.backend = r.backend
       AND h.hour >= greatest(r.since, NEW.cancelled_at) AND h.hour < r.until;
    RETURN NULL;
END $$;
CREATE TRIGGER reservation_gives_back AFTER INSERT ON scheduler.reservation_cancelled
    FOR EACH ROW EXECUTE FUNCTION scheduler.give_back_reserved_hours();

REVOKE ALL ON FUNCTION scheduler.reservable_units(text, timestamptz), scheduler.take_reserved_hours(),
    scheduler.give_back_reserved_hours() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION scheduler.reservable_units(text, timestamptz) TO kyoyo_worker, kyoyo_operator, kyoyo_tenant;

GRANT SELECT ON scheduler.reservable, scheduler.closure, scheduler.closure_lifted, scheduler.reserved_hour,
    scheduler.reservation_quota, scheduler.reservation, scheduler.reservation_cancelled, scheduler.reservation_job
    TO kyoyo_worker, kyoyo_auditor, kyoyo_operator, kyoyo_tenant;
GRANT INSERT ON scheduler.reservable, scheduler.closure, scheduler.closure_lifted, scheduler.reserved_hour,
    scheduler.reservation_quota, scheduler.reservation, scheduler.reservation_cancelled, scheduler.reservation_job
    TO kyoyo_worker;
GRANT INSERT ON scheduler.reservation, scheduler.reservation_cancelled, scheduler.reservation_job TO kyoyo_tenant;
GRANT INSERT ON scheduler.reservable, scheduler.closure, scheduler.closure_lifted, scheduler.reservation_quota,
    scheduler.reservation_cancelled TO kyoyo_operator;

DO $$
DECLARE
    new_table regclass;
BEGIN
    FOREACH new_table IN ARRAY ARRAY['scheduler.reservable', 'scheduler.closure', 'scheduler.closure_lifted',
                                     'scheduler.reservation_quota', 'scheduler.reservation',
                                     'scheduler.reservation_cancelled', 'scheduler.reservation_job']::regclass[] LOOP
        EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON %s '
                       'FOR EACH ROW EXECUTE FUNCTION infra.refuse_change()', new_table);
        EXECUTE format('CREATE TRIGGER append_only_whole BEFORE TRUNCATE ON %s '
                       'FOR EACH STATEMENT EXECUTE FUNCTION infra.refuse_change()', new_table);
    END LOOP;
    FOREACH new_table IN ARRAY ARRAY['scheduler.reservation_quota', 'scheduler.reservation',
                                     'scheduler.reservation_cancelled', 'scheduler.reservation_job']::regclass[] LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', new_table);
        EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', new_table);
        EXECUTE format('CREATE POLICY house ON %s TO kyoyo_owner, kyoyo_worker, kyoyo_operator, kyoyo_officer, '
                       'kyoyo_auditor USING (true) WITH CHECK (true)', new_table);
        EXECUTE format('CREATE POLICY own ON %s TO kyoyo_tenant USING (organisation_id = infra.current_organisation()) '
                       'WITH CHECK (organisation_id = infra.current_organisation())', new_table);
    END LOOP;
END $$;
