-- Elastic capacity: rules by which machines leave service and come back, declared disruptions, and what was done and why.

CREATE TABLE scheduler.elastic_rule (
    id                 bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    backend            text NOT NULL,
    use                text CHECK (use IN ('power', 'lend')),             -- what becomes of idle machines; NULL: nothing
    lend_to            text NOT NULL CHECK (length(lend_to) <= 100),
    idle_s             integer NOT NULL CHECK (idle_s >= 0),              -- so long idle before they leave
    floor_units        integer NOT NULL CHECK (floor_units >= 0),         -- so many always serve
    spare_units        integer NOT NULL CHECK (spare_units >= 0),         -- so many idle ones stay
    wake_s             integer NOT NULL CHECK (wake_s >= 0),              -- until one that comes back serves
    min_up_s           integer NOT NULL CHECK (min_up_s >= 0),
    min_down_s         integer NOT NULL CHECK (min_down_s >= 0),
    max_takes_per_hour integer NOT NULL CHECK (max_takes_per_hour >= 0),
    surge_nodes        text[] NOT NULL,                                   -- serve only while a disruption is declared
    effective_at       timestamptz NOT NULL,
    reason             text NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    set_by             uuid REFERENCES accounts.person,
    recorded_at        timestamptz NOT NULL,
    CHECK (coalesce(use = 'lend', false) = (lend_to <> '')),
    UNIQUE (backend, effective_at)
);
COMMENT ON TABLE scheduler.elastic_rule IS 'Append-only: when machines of a backend leave service. The latest effective row holds; without one none does.';

CREATE TABLE scheduler.disruption (
    id          uuid PRIMARY KEY,
    backend     text,                                                     -- NULL: everywhere
    since       timestamptz NOT NULL,
    until       timestamptz,                                              -- NULL: until it is ended
    reason      text NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    declared_by uuid REFERENCES accounts.person,
    recorded_at timestamptz NOT NULL,
    CHECK (since < until)
);
COMMENT ON TABLE scheduler.disruption IS 'Append-only: supply is disrupted during [since, until), unless it was ended before: every machine serves, also those that are kept for it.';

CREATE TABLE scheduler.disruption_ended (
    disruption_id uuid PRIMARY KEY REFERENCES scheduler.disruption,
    ended_by      uuid REFERENCES accounts.person,
    ended_at      timestamptz NOT NULL,
    reason        text NOT NULL CHECK (length(reason) BETWEEN 1 AND 500)
);
COMMENT ON TABLE scheduler.disruption_ended IS 'Append-only: a disruption that is over, or was withdrawn.';

CREATE TABLE scheduler.elastic_action (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    backend       text NOT NULL,
    node          text NOT NULL,
    kind          text NOT NULL CHECK (kind IN ('withdraw', 'power_down', 'restore')),
    purpose       text NOT NULL CHECK (purpose IN ('power', 'lend', 'surge')),
    because       text NOT NULL,
    facts         jsonb NOT NULL,
    rule_id       bigint REFERENCES scheduler.elastic_rule,
    disruption_id uuid REFERENCES scheduler.disruption,
    decided_at    timestamptz NOT NULL
);
CREATE INDEX elastic_action_node ON scheduler.elastic_action (backend, node, id DESC);
CREATE INDEX elastic_action_takes ON scheduler.elastic_action (backend, decided_at) WHERE kind = 'withdraw';
COMMENT ON TABLE scheduler.elastic_action IS 'Append-only: what was decided about a machine, and why; written before the machine is told.';

CREATE TABLE scheduler.elastic_outcome (
    action_id bigint PRIMARY KEY REFERENCES scheduler.elastic_action,
    problem   text NOT NULL,                                              -- empty: it was done
    at        timestamptz NOT NULL
);
COMMENT ON TABLE scheduler.elastic_outcome IS 'Append-only: what the backend answered. An action without one was interrupted: the next look at the machine shows what became of it.';

GRANT SELECT ON scheduler.elastic_rule, scheduler.disruption, scheduler.disruption_ended, scheduler.elastic_action,
    scheduler.elastic_outcome TO kyoyo_worker, kyoyo_auditor, kyoyo_operator;
GRANT INSERT ON scheduler.elastic_rule, scheduler.disruption, scheduler.disruption_ended, scheduler.elastic_action,
    scheduler.elastic_outcome TO kyoyo_worker;
GRANT INSERT ON scheduler.elastic_rule, scheduler.disruption, scheduler.disruption_ended TO kyoyo_operator;

DO $$
DECLARE
    new_table regclass;
BEGIN
    FOREACH new_table IN ARRAY ARRAY['scheduler.elastic_rule', 'scheduler.disruption', 'scheduler.disruption_ended',
                                     'scheduler.elastic_action', 'scheduler.elastic_outcome']::regclass[] LOOP
        EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON %s '
                       'FOR EACH ROW EXECUTE FUNCTION infra.refuse_change()', new_table);
        EXECUTE format('CREATE TRIGGER append_only_whole BEFORE TRUNCATE ON %s '
                       'FOR EACH STATEMENT EXECUTE FUNCTION infra.refuse_change()', new_table);
    END LOOP;
END $$;
