-- The price book: two persons for what moves prices and value; references with their proof; coefficients, promotions, policies.

CREATE TABLE pricing.proposal (
    id          uuid PRIMARY KEY,
    kind        text NOT NULL CHECK (kind ~ '^[a-z][a-z_]*[.][a-z][a-z_]*$'),
    content     jsonb NOT NULL,
    sha256      bytea NOT NULL CHECK (length(sha256) = 32), -- of the content's canonical text: pricing/approvals.py
    effect      jsonb NOT NULL,                             -- what it would have done when it was proposed
    reason      text NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    proposed_by uuid NOT NULL REFERENCES accounts.person,
    proposed_at timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL CHECK (proposed_at < expires_at)
);
CREATE INDEX proposal_latest ON pricing.proposal (proposed_at DESC, id);
COMMENT ON TABLE pricing.proposal IS 'Append-only: what one person of the staff wants done, word for word. Nothing is done before another one approves it.';

CREATE TABLE pricing.proposal_decision (
    proposal_id uuid PRIMARY KEY REFERENCES pricing.proposal,
    approved    boolean NOT NULL,
    reason      text NOT NULL CHECK (length(reason) <= 500),
    effect      jsonb,                                      -- what was done; NULL: rejected
    decided_by  uuid NOT NULL REFERENCES accounts.person,
    decided_at  timestamptz NOT NULL,
    CHECK (approved = (effect IS NOT NULL))
);
COMMENT ON TABLE pricing.proposal_decision IS 'Append-only: what a second person of the staff decided, once for all; what is approved is done in the same transaction.';

-- The second person is another one, both are operators, and nobody approves what has lapsed.
CREATE FUNCTION pricing.refuse_decision() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    asked pricing.proposal%ROWTYPE;
BEGIN
    SELECT * INTO asked FROM pricing.proposal WHERE id = NEW.proposal_id;
    IF NEW.decided_by = asked.proposed_by THEN
        RAISE EXCEPTION 'proposal %: the second person is the first', NEW.proposal_id USING ERRCODE = 'KY008';
    END IF;
    IF NEW.decided_at < asked.proposed_at OR (NEW.approved AND NEW.decided_at >= asked.expires_at) THEN
        RAISE EXCEPTION 'proposal % is not open at %', NEW.proposal_id, NEW.decided_at USING ERRCODE = 'KY008';
    END IF;
    IF EXISTS (SELECT FROM unnest(ARRAY[NEW.decided_by, asked.proposed_by]) AS person WHERE NOT EXISTS (
            SELECT FROM accounts.staff s WHERE s.person_id = person AND s.role = 'operator')) THEN
        RAISE EXCEPTION 'proposal %: not two operators', NEW.proposal_id USING ERRCODE = 'KY008';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER proposal_decision_second BEFORE INSERT ON pricing.proposal_decision
    FOR EACH ROW EXECUTE FUNCTION pricing.refuse_decision();
REVOKE ALL ON FUNCTION pricing.refuse_decision() FROM PUBLIC;

-- What only two persons may set: refused at the commit unless its proposal was approved.
CREATE FUNCTION pricing.refuse_unagreed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pricing.proposal_decision d WHERE d.proposal_id = NEW.proposal_id AND d.approved) THEN
        RAISE EXCEPTION 'nobody else approved this row of %.%', TG_TABLE_SCHEMA, TG_TABLE_NAME USING ERRCODE = 'KY008';
    END IF;
    RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION pricing.refuse_unagreed() FROM PUBLIC;

ALTER TABLE pricing.offering
    ADD COLUMN provider text NOT NULL DEFAULT '' CHECK (length(provider) <= 100), -- whose machine it is; '': the house's own
    ADD COLUMN site     text NOT NULL DEFAULT '' CHECK (length(site) <= 100),     -- where it stands
    ADD COLUMN software jsonb NOT NULL DEFAULT '[]';                              -- what is installed on it: names

ALTER TABLE pricing.market_reference
    ADD COLUMN currency        text CHECK (currency ~ '^[A-Z]{3}$'),        -- of a price that is published in another currency ...
    ADD COLUMN currency_amount numeric(20, 6) CHECK (currency_amount > 0),  -- ... its amount for `per` units ...
    ADD COLUMN exchange_rate   numeric(20, 8) CHECK (exchange_rate > 0),    -- ... and the yen for one unit of it, by which amount_micro_yen was computed once
    ADD COLUMN rate_source     text CHECK (length(rate_source) BETWEEN 1 AND 200),
    ADD COLUMN rate_on         date,
    ADD COLUMN terms           text NOT NULL DEFAULT '' CHECK (length(terms) <= 1000), -- on demand or committed, region, without tax ...
    ADD COLUMN evidence_name   text CHECK (length(evidence_name) BETWEEN 1 AND 200),   -- of the file with evidence_sha256
    ADD COLUMN evidence_bytes  bigint CHECK (evidence_bytes > 0),
    ADD COLUMN recorded_by     uuid REFERENCES accounts.person,
    ADD CONSTRAINT market_reference_currency
        CHECK (num_nonnulls(currency, currency_amount, exchange_rate, rate_source, rate_on) IN (0, 5)),
    ADD CONSTRAINT market_reference_evidence
        CHECK (num_nonnulls(evidence_name, evidence_bytes) IN (0, 2) AND (evidence_name IS NULL OR evidence_sha256 IS NOT NULL));

ALTER TABLE pricing.price_version
    ADD COLUMN valid_until      timestamptz CHECK (valid_from < valid_until), -- where it was said: the next one begins there
    ADD COLUMN rule             jsonb NOT NULL DEFAULT '{}',                  -- how the price was made: pricing/pricebook.py
    ADD COLUMN slice_below_gpus integer NOT NULL DEFAULT 0 CHECK (slice_below_gpus >= 0),   -- who takes fewer GPUs ...
    ADD COLUMN slice_premium_bp integer NOT NULL DEFAULT 0 CHECK (slice_premium_bp >= 0),   -- ... pays so much more, in 1/100 of a percent
    ADD COLUMN minimum_s        integer NOT NULL DEFAULT 0 CHECK (minimum_s >= 0),          -- less time than this is charged as this
    ADD COLUMN proposal_id      uuid REFERENCES pricing.proposal;             -- NULL: published before two persons were needed

CREATE CONSTRAINT TRIGGER price_version_agreed AFTER INSERT ON pricing.price_version
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION pricing.refuse_unagreed();

CREATE TABLE pricing.promotion (
    id               uuid PRIMARY KEY,
    title_ja         text NOT NULL CHECK (length(title_ja) BETWEEN 1 AND 200),
    title_en         text NOT NULL CHECK (length(title_en) BETWEEN 1 AND 200),
    offering_id      text REFERENCES pricing.offering,      -- NULL: of all offerings
    customer_class   accounts.customer_class,               -- NULL: for every class
    percent_bp       integer CHECK (percent_bp BETWEEN 1 AND 10000),
    month_micro_yen  bigint CHECK (month_micro_yen > 0),    -- or so much off an organisation's month
    starts_at        timestamptz NOT NULL,                  -- of jobs that are submitted from here ...
    ends_at          timestamptz NOT NULL CHECK (starts_at < ends_at), -- ... until here
    recorded_at      timestamptz NOT NULL,
    proposal_id      uuid NOT NULL REFERENCES pricing.proposal,
    CHECK (num_nonnulls(percent_bp, month_micro_yen) = 1)
);
COMMENT ON TABLE pricing.promotion IS 'Append-only: a discount for jobs submitted in a period, shown on invoices as a negative line of its own.';
CREATE CONSTRAINT TRIGGER promotion_agreed AFTER INSERT ON pricing.promotion
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION pricing.refuse_unagreed();

CREATE TABLE pricing.policy (
    name         text NOT NULL CHECK (name ~ '^[a-z][a-z_]{1,62}$'),
    effective_at timestamptz NOT NULL,
    value        jsonb NOT NULL,
    recorded_at  timestamptz NOT NULL,
    proposal_id  uuid NOT NULL REFERENCES pricing.proposal,
    PRIMARY KEY (name, effective_at)
);
COMMENT ON TABLE pricing.policy IS 'Append-only: settings of the price book that two persons set. The one with the latest effective_at not after an instant holds then; without one, the default in pricing/policies.py.';
CREATE CONSTRAINT TRIGGER policy_agreed AFTER INSERT ON pricing.policy
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION pricing.refuse_unagreed();

ALTER TABLE accounts.declaration
    ADD COLUMN evidence_name   text CHECK (length(evidence_name) BETWEEN 1 AND 200),  -- the paper that shows the class
    ADD COLUMN evidence_sha256 bytea CHECK (length(evidence_sha256) = 32),
    ADD COLUMN evidence_bytes  bigint CHECK (evidence_bytes > 0),
    ADD CONSTRAINT declaration_evidence CHECK (num_nonnulls(evidence_name, evidence_sha256, evidence_bytes) IN (0, 3));

GRANT SELECT ON pricing.proposal, pricing.proposal_decision TO kyoyo_worker, kyoyo_auditor, kyoyo_operator;
GRANT INSERT ON pricing.proposal, pricing.proposal_decision TO kyoyo_operator;
GRANT SELECT ON pricing.promotion, pricing.policy TO kyoyo_worker, kyoyo_auditor, kyoyo_operator;
GRANT INSERT ON pricing.promotion, pricing.policy TO kyoyo_operator;
GRANT SELECT ON pricing.promotion, pricing.policy TO kyoyo_officer, kyoyo_tenant;

DO $$
DECLARE
    new_table regclass;
BEGIN
    FOREACH new_table IN ARRAY ARRAY['pricing.proposal', 'pricing.proposal_decision', 'pricing.promotion', 'pricing.policy']::regclass[] LOOP
        EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON %s '
                       'FOR EACH ROW EXECUTE FUNCTION infra.refuse_change()', new_table);
        EXECUTE format('CREATE TRIGGER append_only_whole BEFORE TRUNCATE ON %s '
                       'FOR EACH STATEMENT EXECUTE FUNCTION infra.refuse_change()', new_table);
    END LOOP;
END $$;
