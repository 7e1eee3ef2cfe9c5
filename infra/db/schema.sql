-- Kyoyo: the schema, as it is now. The numbered files in migrations/ lead here; a test proves that they do.
--
-- Reading guide
--   * One PostgreSQL schema per Python package; only that package's store.py writes its SQL.
--   * Core PostgreSQL 18 only, no contrib extension.
--   * Facts are appended (append-only tables are guarded by a trigger); what may change is a projection and says so.
--   * Storage is UTC (timestamptz); accounting days are Asia/Tokyo days (infra.jst_date).
--   * Money is bigint micro-yen (1 yen = 1,000,000), never float. Suffix _micro_yen; documents are in whole yen.
--   * effective_at = when it counts; recorded_at = when we learnt it.
--   * Every table with organisation_id is under forced row-level security (end of this file). Foreign keys between such
--     tables carry organisation_id too: a row can only point at a row of the same organisation, whoever writes it.

CREATE SCHEMA infra;
CREATE SCHEMA accounts;
CREATE SCHEMA scheduler;
CREATE SCHEMA pricing;
CREATE SCHEMA metering;
CREATE SCHEMA portal;

-- ---------------------------------------------------------------------------------------------------------------
-- infra: what every package stands on
-- ---------------------------------------------------------------------------------------------------------------

CREATE FUNCTION infra.jst_date(moment timestamptz) RETURNS date
    LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN (moment AT TIME ZONE 'Asia/Tokyo')::date;

-- The organisation for which the present transaction works; NULL (sees nothing) unless the portal has set it.
CREATE FUNCTION infra.current_organisation() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('kyoyo.organisation_id', true), '')::uuid;

-- Facts are appended: attached to every append-only table.
CREATE FUNCTION infra.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'append-only: % on %.% is refused', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'KY001';
END $$;

-- Who leads each loop. token grows by one with every change of leader (projection).
CREATE TABLE infra.leader (
    loop        text PRIMARY KEY,
    token       bigint NOT NULL CHECK (token > 0),
    holder      text NOT NULL,
    acquired_at timestamptz NOT NULL,
    renewed_at  timestamptz NOT NULL
);
COMMENT ON TABLE infra.leader IS 'Fencing: the newest leader of each loop. A write with an older token is refused by infra.fence().';

-- Called first in every transaction of a loop. The row lock lets the write finish before a successor takes over.
CREATE FUNCTION infra.fence(of_loop text, with_token bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM infra.leader WHERE loop = of_loop AND token = with_token FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'stale leader of loop %: token % is not the newest', of_loop, with_token
            USING ERRCODE = 'KY002';
    END IF;
END $$;

-- ---------------------------------------------------------------------------------------------------------------
-- accounts: who may do what
-- ---------------------------------------------------------------------------------------------------------------

CREATE TYPE accounts.customer_class AS ENUM (
    'startup',      -- startup or the like (スタートアップ等), the programme's first addressee
    'sme',          -- mid-sized or small firm
    'university',   -- university, national or local institute
    'large',        -- any other company
    'group'         -- the provider itself or its wholly-owned group (自社等, P6)
);

CREATE TYPE accounts.role AS ENUM (
    'owner',         -- may do everything for the organisation
    'administrator', -- manages members, projects and tokens; submits
    'member',        -- submits jobs and sees the organisation's jobs
    'billing'        -- sees money, submits nothing
);

CREATE TYPE accounts.staff_role AS ENUM (
    'operator', -- runs the machine: prices, quotas, organisations
    'officer',  -- program officer: reads KPIs and reports
    'auditor'   -- reads everything, changes nothing
);

CREATE TABLE accounts.person (
    id           uuid PRIMARY KEY,
    display_name text NOT NULL CHECK (length(display_name) BETWEEN 1 AND 200),
    email        text NOT NULL CHECK (length(email) BETWEEN 3 AND 320),
    counts       boolean NOT NULL DEFAULT true,  -- false: staff or test, never in a user count
    created_at   timestamptz NOT NULL
);
CREATE UNIQUE INDEX person_email ON accounts.person (lower(email));
COMMENT ON TABLE accounts.person IS 'A natural person, once, in however many organisations (the unit of the user count, P1).';

CREATE TABLE accounts.organisation (
    id               uuid PRIMARY KEY,
    slug             text NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9][a-z0-9-]{1,62}$'),
    name             text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    corporate_number text CHECK (corporate_number ~ '^[0-9]{13}$'),
    counts           boolean NOT NULL DEFAULT true,
    suspended_at     timestamptz,
    created_at       timestamptz NOT NULL
);
COMMENT ON TABLE accounts.organisation IS 'A customer. corporate_number is the 法人番号 (P21).';

CREATE TABLE accounts.declaration (
    id              uuid PRIMARY KEY,
    organisation_id uuid NOT NULL REFERENCES accounts.organisation,
    customer_class  accounts.customer_class NOT NULL,
    valid_from      timestamptz NOT NULL,
    valid_until     timestamptz NOT NULL,
    recorded_at     timestamptz NOT NULL,
    recorded_by     uuid REFERENCES accounts.person,
    evidence_name   text CHECK (length(evidence_name) BETWEEN 1 AND 200),  -- the paper that shows the class
    evidence_sha256 bytea CHECK (length(evidence_sha256) = 32),
    evidence_bytes  bigint CHECK (evidence_bytes > 0),
    CHECK (valid_from < valid_until),
    CONSTRAINT declaration_evidence CHECK (num_nonnulls(evidence_name, evidence_sha256, evidence_bytes) IN (0, 3))
);
CREATE INDEX declaration_current ON accounts.declaration (organisation_id, recorded_at DESC);
COMMENT ON TABLE accounts.declaration IS 'Eligibility facts, append-only: class of the organisation and until when its declaration holds. The one valid at an instant and recorded last decides.';

CREATE TABLE accounts.membership (
    id              uuid PRIMARY KEY,
    organisation_id uuid NOT NULL REFERENCES accounts.organisation,
    person_id       uuid NOT NULL REFERENCES accounts.person,
    role            accounts.role NOT NULL,
    since           timestamptz NOT NULL,
    until           timestamptz,   -- set once when the person leaves
    CHECK (until IS NULL OR since < until)
);
CREATE UNIQUE INDEX membership_current ON accounts.membership (organisation_id, person_id) WHERE until IS NULL;
COMMENT ON TABLE accounts.membership IS 'Who belongs to an organisation, in which role, from when to when.';

CREATE TABLE accounts.staff (
    person_id  uuid NOT NULL REFERENCES accounts.person,
    role       accounts.staff_role NOT NULL,
    since      timestamptz NOT NULL,
    PRIMARY KEY (person_id, role)
);
COMMENT ON TABLE accounts.staff IS 'Persons who work for the house or the agency, by role.';

CREATE TABLE accounts.project (
    id              uuid PRIMARY KEY,
    organisation_id uuid NOT NULL REFERENCES accounts.organisation,
    slug            text NOT NULL CHECK (slug ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    name            text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    created_at      timestamptz NOT NULL,
    UNIQUE (organisation_id, slug),
    UNIQUE (id, organisation_id)
);
COMMENT ON TABLE accounts.project IS 'A budget and sharing unit inside an organisation. Each organisation has one named "default".';

CREATE TABLE accounts.api_token (
    id              uuid PRIMARY KEY,
    person_id       uuid NOT NULL REFERENCES accounts.person,
    organisation_id uuid REFERENCES accounts.organisation,   -- NULL: a token for a staff role
    label           text NOT NULL CHECK (length(label) BETWEEN 1 AND 100),
    token_sha256    bytea NOT NULL UNIQUE CHECK (length(token_sha256) = 32),
    scopes          text[] NOT NULL,
    created_at      timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL,
    revoked_at      timestamptz,
    CHECK (created_at < expires_at)
);
COMMENT ON TABLE accounts.api_token IS 'Opaque API tokens, only their SHA-256. A token acts for one person in one organisation, or in that person''s staff roles.';

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

CREATE TABLE accounts.audit_entry (
    seq             bigint PRIMARY KEY CHECK (seq > 0),
    recorded_at     timestamptz NOT NULL,
    actor_id        uuid,              -- person; NULL: the system itself
    organisation_id uuid,              -- whose matter it is; NULL: the house's
    action          text NOT NULL,     -- e.g. 'organisation.create'
    subject         text NOT NULL,     -- e.g. 'organisation:0191…'
    facts           jsonb NOT NULL,    -- before, after, reason
    previous_sha256 bytea NOT NULL CHECK (length(previous_sha256) = 32),
    sha256          bytea NOT NULL UNIQUE CHECK (length(sha256) = 32)
);
COMMENT ON TABLE accounts.audit_entry IS 'Who did what to what: append-only, hash-chained. Written only by accounts.append_audit().';

-- SHA-256 over the previous hash and a canonical text of the entry; the same formula in accounts/audit.py verifies it.
CREATE FUNCTION accounts.append_audit(
    at timestamptz, actor uuid, organisation uuid, what text, whom text, details jsonb
) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    head accounts.audit_entry%ROWTYPE;
    next_seq bigint;
    previous bytea;
    canonical text;
BEGIN
    IF current_setting('role') = 'kyoyo_tenant' AND organisation IS DISTINCT FROM infra.current_organisation() THEN
        RAISE EXCEPTION 'not your organisation' USING ERRCODE = 'insufficient_privilege';
    END IF;
    -- One writer at a time: the chain has one head. Held until the caller's transaction ends.
    PERFORM pg_advisory_xact_lock(7711001);
    SELECT * INTO head FROM accounts.audit_entry ORDER BY seq DESC LIMIT 1;
    next_seq := coalesce(head.seq, 0) + 1;
    previous := coalesce(head.sha256, sha256('kyoyo audit chain'::bytea));
    canonical := concat_ws(chr(31), next_seq, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'),
        coalesce(actor::text, ''), coalesce(organisation::text, ''), what, whom, details::text);
    INSERT INTO accounts.audit_entry VALUES (next_seq, at, actor, organisation, what, whom, details, previous,
        sha256(previous || convert_to(canonical, 'UTF8')));
    RETURN next_seq;
END $$;

-- An organisation makes somebody a member by address. The person may exist already, unseen by the tenant who asks.
CREATE FUNCTION accounts.find_or_add_person(new_id uuid, new_name text, address text, at timestamptz)
RETURNS uuid LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO accounts.person (id, display_name, email, created_at) VALUES (new_id, new_name, address, at)
        ON CONFLICT (lower(email)) DO NOTHING;
    RETURN (SELECT id FROM accounts.person WHERE lower(email) = lower(address));
END $$;

-- Sign-in: the one thing that the portal may ask before it knows for whom it works.
CREATE FUNCTION accounts.authenticate(with_sha256 bytea, at timestamptz)
RETURNS TABLE (token_id uuid, person_id uuid, display_name text, organisation_id uuid, role accounts.role,
               staff_roles accounts.staff_role[], scopes text[])
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT t.id, p.id, p.display_name, t.organisation_id, m.role,
           CASE WHEN t.organisation_id IS NULL
                THEN coalesce((SELECT array_agg(s.role ORDER BY s.role) FROM accounts.staff s
                               WHERE s.person_id = p.id AND s.since <= at), '{}')
                ELSE '{}' END,
           t.scopes
    FROM accounts.api_token t
    JOIN accounts.person p ON p.id = t.person_id
    LEFT JOIN accounts.membership m ON m.organisation_id = t.organisation_id AND m.person_id = p.id
         AND m.since <= at AND m.until IS NULL
    WHERE t.token_sha256 = with_sha256 AND t.revoked_at IS NULL AND at < t.expires_at
      AND (t.organisation_id IS NULL OR m.role IS NOT NULL)
$$;

-- ---------------------------------------------------------------------------------------------------------------
-- pricing: from usage to money
-- ---------------------------------------------------------------------------------------------------------------

CREATE TYPE pricing.offering_kind AS ENUM (
    'gpu',     -- batch and training jobs on GPUs, with CPUs and memory in proportion
    'quantum'  -- circuits on a QPU or its simulator
);

CREATE TYPE pricing.service_class AS ENUM (
    'reserved',    -- inside an advance reservation
    'interactive', -- short, and before the other work of its organisation
    'standard',    -- waits its turn, is not preempted
    'spot'         -- cheaper, may be preempted
);

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

-- What only two persons may set: refused at the commit unless its proposal was approved.
CREATE FUNCTION pricing.refuse_unagreed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pricing.proposal_decision d WHERE d.proposal_id = NEW.proposal_id AND d.approved) THEN
        RAISE EXCEPTION 'nobody else approved this row of %.%', TG_TABLE_SCHEMA, TG_TABLE_NAME USING ERRCODE = 'KY008';
    END IF;
    RETURN NULL;
END $$;

CREATE TABLE pricing.offering (
    id                text PRIMARY KEY CHECK (id ~ '^[a-z0-9][a-z0-9-]{1,62}$'),
    backend           text NOT NULL,              -- name of the adapter's instance in the settings
    kind              pricing.offering_kind NOT NULL,
    resource_type     text NOT NULL,              -- key of the exchange table, e.g. 'gpu:demo', 'qpu:aer-7'
    title_ja          text NOT NULL,
    title_en          text NOT NULL,
    max_gpus          integer NOT NULL CHECK (max_gpus >= 0),
    cpus_per_gpu      integer NOT NULL CHECK (cpus_per_gpu >= 0),
    memory_mb_per_gpu integer NOT NULL CHECK (memory_mb_per_gpu >= 0),
    max_walltime_s    integer NOT NULL CHECK (max_walltime_s > 0),
    max_shots         integer NOT NULL CHECK (max_shots >= 0),
    qpu_base_us       bigint NOT NULL CHECK (qpu_base_us >= 0),      -- service-time model of a QPU: base per job ...
    qpu_per_kshot_us  bigint NOT NULL CHECK (qpu_per_kshot_us >= 0), -- ... plus this per 1,000 shots of each circuit
    hardware          jsonb NOT NULL,             -- facts of P8: memory, interconnect, storage, software
    created_at        timestamptz NOT NULL,
    retired_at        timestamptz,
    max_session_s     integer NOT NULL DEFAULT 0 CHECK (max_session_s >= 0),      -- 0: no sessions are sold
    max_session_idle_s integer NOT NULL DEFAULT 0 CHECK (max_session_idle_s >= 0), -- the longest idle time that one may ask for
    sim_units         integer NOT NULL DEFAULT 0 CHECK (sim_units >= 0),          -- CPUs or GPUs that a circuit holds on a simulator; 0: not metered
    provider          text NOT NULL DEFAULT '' CHECK (length(provider) <= 100),   -- whose machine it is; '': the house's own
    site              text NOT NULL DEFAULT '' CHECK (length(site) <= 100),       -- where it stands
    software          jsonb NOT NULL DEFAULT '[]'                                 -- what is installed on it: names
);
COMMENT ON TABLE pricing.offering IS 'What can be bought: a backend''s resource with its limits. Public to every signed-in person.';

CREATE TABLE pricing.market_reference (
    id              uuid PRIMARY KEY,
    resource_type   text NOT NULL,
    component       text NOT NULL,
    source          text NOT NULL,             -- who publishes the price, for what machine, on which terms
    observed_on     date NOT NULL,
    amount_micro_yen bigint NOT NULL CHECK (amount_micro_yen > 0),  -- without tax, for `per` units
    per             numeric(20, 6) NOT NULL CHECK (per > 0),
    evidence_sha256 bytea CHECK (length(evidence_sha256) = 32),
    recorded_at     timestamptz NOT NULL,
    currency        text CHECK (currency ~ '^[A-Z]{3}$'),        -- of a price that is published in another currency ...
    currency_amount numeric(20, 6) CHECK (currency_amount > 0),  -- ... its amount for `per` units ...
    exchange_rate   numeric(20, 8) CHECK (exchange_rate > 0),    -- ... and the yen for one unit of it, by which amount_micro_yen was computed once
    rate_source     text CHECK (length(rate_source) BETWEEN 1 AND 200),
    rate_on         date,
    terms           text NOT NULL DEFAULT '' CHECK (length(terms) <= 1000), -- on demand or committed, region, without tax ...
    evidence_name   text CHECK (length(evidence_name) BETWEEN 1 AND 200),   -- of the file with evidence_sha256
    evidence_bytes  bigint CHECK (evidence_bytes > 0),
    recorded_by     uuid REFERENCES accounts.person,
    CONSTRAINT market_reference_currency
        CHECK (num_nonnulls(currency, currency_amount, exchange_rate, rate_source, rate_on) IN (0, 5)),
    CONSTRAINT market_reference_evidence
        CHECK (num_nonnulls(evidence_name, evidence_bytes) IN (0, 2) AND (evidence_name IS NULL OR evidence_sha256 IS NOT NULL))
);
COMMENT ON TABLE pricing.market_reference IS 'Append-only: the market price of a comparable machine (P2), with source and date.';

CREATE TABLE pricing.price_version (
    id              uuid PRIMARY KEY,
    offering_id     text NOT NULL REFERENCES pricing.offering,
    customer_class  accounts.customer_class NOT NULL,
    service_class   pricing.service_class NOT NULL,
    valid_from      timestamptz NOT NULL,
    tax_rate_bp     integer NOT NULL CHECK (tax_rate_bp BETWEEN 0 AND 10000), -- consumption tax in 1/100 of a percent
    published_by    uuid REFERENCES accounts.person,
    recorded_at     timestamptz NOT NULL,
    valid_until     timestamptz CHECK (valid_from < valid_until),  -- where it was said: the next one begins there
    rule            jsonb NOT NULL DEFAULT '{}',                   -- how the price was made: pricing/pricebook.py
    slice_below_gpus integer NOT NULL DEFAULT 0 CHECK (slice_below_gpus >= 0),  -- who takes fewer GPUs ...
    slice_premium_bp integer NOT NULL DEFAULT 0 CHECK (slice_premium_bp >= 0),  -- ... pays so much more, in 1/100 of a percent
    minimum_s       integer NOT NULL DEFAULT 0 CHECK (minimum_s >= 0),          -- less time than this is charged as this
    proposal_id     uuid REFERENCES pricing.proposal,              -- NULL: published before two persons were needed
    UNIQUE (offering_id, customer_class, service_class, valid_from)
);
COMMENT ON TABLE pricing.price_version IS 'Append-only. The version with the latest valid_from not after an instant is in force then; a job keeps the one of its submission.';


CREATE CONSTRAINT TRIGGER price_version_agreed AFTER INSERT ON pricing.price_version
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION pricing.refuse_unagreed();

CREATE TABLE pricing.price_component (
    price_version_id    uuid NOT NULL REFERENCES pricing.price_version,
    component           text NOT NULL CHECK (component IN ('gpu_s', 'qpu_s', 'shot', 'session_s', 'sim_s')),
    per                 numeric(20, 6) NOT NULL CHECK (per > 0),   -- the price is for this many units, e.g. 3600 gpu_s
    price_micro_yen     bigint NOT NULL CHECK (price_micro_yen >= 0),
    list_micro_yen      bigint NOT NULL CHECK (list_micro_yen >= price_micro_yen),
    market_micro_yen    bigint NOT NULL,
    market_reference_id uuid NOT NULL REFERENCES pricing.market_reference,
    currency            text CHECK (currency ~ '^[A-Z]{3}$'),        -- of a price that was agreed in another currency ...
    currency_amount     numeric(20, 6) CHECK (currency_amount >= 0), -- ... its amount for the same `per` ...
    exchange_rate       numeric(20, 8) CHECK (exchange_rate > 0),    -- ... and the yen for one unit of it, by which price_micro_yen was computed once
    rate_source         text CHECK (length(rate_source) BETWEEN 1 AND 200),
    rate_on             date,
    CHECK (num_nonnulls(currency, currency_amount, exchange_rate, rate_source, rate_on) IN (0, 5)),
    PRIMARY KEY (price_version_id, component),
    CONSTRAINT below_market CHECK (price_micro_yen < market_micro_yen)  -- P2
);
COMMENT ON TABLE pricing.price_component IS 'Append-only: price, list price and market price (all without tax, for the same `per`) of one component.';

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

CREATE TYPE pricing.lot_kind AS ENUM (
    'grant',   -- free value from the subsidy: a discount, covers amounts without tax
    'prepaid', -- paid in: covers amounts with tax
    'credit'   -- credit line: covers amounts with tax, is owed when used
);

CREATE TYPE pricing.grant_purpose AS ENUM (
    'subsidy',  -- from the programme's money: a discount that the agency is told of
    'promotion' -- ours: a campaign, an apology
);

CREATE TABLE pricing.wallet (
    organisation_id uuid PRIMARY KEY REFERENCES accounts.organisation,
    opened_at       timestamptz NOT NULL
);
COMMENT ON TABLE pricing.wallet IS 'One row per organisation: what every hold locks first (pricing.lock_wallet).';

CREATE TABLE pricing.lot (
    id              uuid PRIMARY KEY,
    organisation_id uuid NOT NULL REFERENCES pricing.wallet,
    kind            pricing.lot_kind NOT NULL,
    expires_at      timestamptz,      -- of grants always, of prepaid value as it was sold, of credit never
    reason          text NOT NULL,
    created_by      uuid REFERENCES accounts.person,
    created_at      timestamptz NOT NULL,
    purpose         pricing.grant_purpose, -- of grants
    CONSTRAINT lot_expiry
        CHECK (CASE kind WHEN 'grant' THEN expires_at IS NOT NULL WHEN 'credit' THEN expires_at IS NULL ELSE true END),
    CONSTRAINT lot_purpose CHECK ((kind = 'grant') = (purpose IS NOT NULL)),
    UNIQUE (id, organisation_id)
);
CREATE UNIQUE INDEX lot_single ON pricing.lot (organisation_id) WHERE kind = 'credit';
COMMENT ON TABLE pricing.lot IS 'Where value came from. Consumption order: grants by earliest expiry, then prepaid value by earliest expiry, then credit.';

CREATE TYPE pricing.budget_period AS ENUM (
    'month',       -- of Asia/Tokyo
    'fiscal_year', -- April to March
    'forever'      -- all that was ever spent
);

CREATE TABLE pricing.budget (
    id              uuid PRIMARY KEY,
    organisation_id uuid NOT NULL REFERENCES pricing.wallet,
    project_id      uuid,             -- NULL: all projects
    person_id       uuid REFERENCES accounts.person, -- NULL: all members
    period          pricing.budget_period NOT NULL,
    limit_yen       bigint CHECK (limit_yen >= 0),   -- NULL: lifted
    reason          text NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    decided_by      uuid NOT NULL REFERENCES accounts.person,
    decided_at      timestamptz NOT NULL,
    CONSTRAINT budget_project FOREIGN KEY (project_id, organisation_id) REFERENCES accounts.project (id, organisation_id)
);
CREATE INDEX budget_of ON pricing.budget (organisation_id, decided_at);
COMMENT ON TABLE pricing.budget IS 'Append-only: what an organisation lets a project or a member spend. In force: the latest per project, member and period.';

CREATE TABLE pricing.notice (
    id              uuid PRIMARY KEY,  -- uuid5 of what it is about: told once
    organisation_id uuid NOT NULL REFERENCES pricing.wallet,
    kind            text NOT NULL,
    facts           jsonb NOT NULL,
    noticed_at      timestamptz NOT NULL
);
CREATE INDEX notice_of ON pricing.notice (organisation_id, noticed_at);
COMMENT ON TABLE pricing.notice IS 'Append-only: that value runs out or lapses, as a customer was told.';

CREATE TABLE pricing.deliverable (
    id            uuid PRIMARY KEY,
    resource_type text NOT NULL CHECK (length(resource_type) BETWEEN 1 AND 100),
    component     text NOT NULL,
    per_hour      numeric(20, 6) NOT NULL CHECK (per_hour >= 0), -- units of the component that can be sold in an hour
    reason        text NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    decided_by    uuid NOT NULL REFERENCES accounts.person,
    decided_at    timestamptz NOT NULL
);
CREATE INDEX deliverable_of ON pricing.deliverable (resource_type, component, decided_at);
COMMENT ON TABLE pricing.deliverable IS 'Append-only: what the machines can give in an hour. In force: the latest per resource type and component.';

CREATE TABLE pricing.quote (
    id                 uuid PRIMARY KEY,
    organisation_id    uuid NOT NULL REFERENCES accounts.organisation,
    job_id             uuid NOT NULL UNIQUE,
    offering_id        text NOT NULL REFERENCES pricing.offering,
    price_version_id   uuid NOT NULL REFERENCES pricing.price_version,
    ceiling_micro_yen  bigint NOT NULL CHECK (ceiling_micro_yen >= 0),   -- without tax: never charged more than this
    expected_micro_yen bigint NOT NULL CHECK (expected_micro_yen BETWEEN 0 AND ceiling_micro_yen),
    tax_rate_bp        integer NOT NULL,
    lines              jsonb NOT NULL,                                   -- component → quantity and amount
    quoted_at          timestamptz NOT NULL,
    low_micro_yen      bigint CHECK (low_micro_yen BETWEEN 0 AND expected_micro_yen), -- NULL: as expected
    basis              jsonb,                                            -- what the amounts rest on: source, QPU time, cap
    candidates         jsonb,                                            -- of a job that may run on one of several: offering → price version and amounts
    UNIQUE (job_id, organisation_id, ceiling_micro_yen)
);
COMMENT ON TABLE pricing.quote IS 'Append-only: what was promised at submission, with the price version it froze.';

CREATE TABLE pricing.hold (
    job_id            uuid PRIMARY KEY,
    organisation_id   uuid NOT NULL REFERENCES pricing.wallet,
    ceiling_micro_yen bigint NOT NULL CHECK (ceiling_micro_yen >= 0),
    opened_at         timestamptz NOT NULL,
    closed_at         timestamptz,     -- set when the rest went back (projection of the release)
    UNIQUE (job_id, organisation_id),
    -- Of the same organisation, and for exactly what the quote promised.
    FOREIGN KEY (job_id, organisation_id, ceiling_micro_yen)
        REFERENCES pricing.quote (job_id, organisation_id, ceiling_micro_yen)
);
COMMENT ON TABLE pricing.hold IS 'A job''s claim on its wallet: open from admission until the release after its last attempt.';

CREATE TABLE pricing.refund (
    id               uuid PRIMARY KEY,
    organisation_id  uuid NOT NULL,
    job_id           uuid NOT NULL,
    cause            text NOT NULL,
    amount_micro_yen bigint NOT NULL CHECK (amount_micro_yen > 0), -- without tax; the tax on it goes back with it
    reason           text NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    decided_by       uuid NOT NULL REFERENCES accounts.person,
    approved_by      uuid REFERENCES accounts.person CHECK (approved_by <> decided_by), -- NULL: within the limit of one
    decided_at       timestamptz NOT NULL,
    FOREIGN KEY (job_id, organisation_id) REFERENCES pricing.hold (job_id, organisation_id)
);
CREATE INDEX refund_of ON pricing.refund (job_id);
COMMENT ON TABLE pricing.refund IS 'Append-only: decisions to give back a part of what a job was charged. The rated lines and postings follow from them.';

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

CREATE TYPE pricing.ending AS ENUM (
    'succeeded', -- ran to its end
    'failed',    -- the user''s program failed, or ran out of walltime or memory: charged for what ran
    'cancelled', -- the user cancelled: charged until the backend confirmed the end
    'preempted', -- we took the resources back: not charged
    'lost',      -- node failure, vanished job, our fault: not charged
    'never_ran'  -- ended before the backend started it: nothing to charge
);

CREATE TABLE pricing.billable_attempt (
    attempt_id      uuid PRIMARY KEY,
    job_id          uuid NOT NULL,
    organisation_id uuid NOT NULL REFERENCES pricing.wallet,
    project_id      uuid NOT NULL,
    person_id       uuid NOT NULL,
    offering_id     text NOT NULL REFERENCES pricing.offering,
    opened_at       timestamptz NOT NULL,
    ending          pricing.ending,     -- set once, with closed_at, when the attempt is terminal
    closed_at       timestamptz,        -- when it ended, by the backend's clock
    told_at         timestamptz,        -- when we learnt that, by ours: what waits for its accounting waits from then on
    last            boolean,            -- true: no attempt of the job follows
    accounting_final_at timestamptz,    -- set once, when metering says that the backend's record is complete
    settled_at      timestamptz,        -- set when its final accounting has been settled
    phase           text NOT NULL DEFAULT 'main',
    cause           text,               -- set with ending: why, for the refund matrix
    charged_bp      integer CHECK (charged_bp BETWEEN 0 AND 10000), -- what that charges, in 1/100 of a percent
    CHECK ((ending IS NULL) = (closed_at IS NULL) AND (ending IS NULL) = (last IS NULL)
           AND (ending IS NULL) = (told_at IS NULL)),
    CONSTRAINT billable_attempt_cause
        CHECK ((cause IS NULL) = (charged_bp IS NULL) AND (cause IS NULL OR ending IS NOT NULL)),
    UNIQUE (attempt_id, organisation_id),
    FOREIGN KEY (job_id, organisation_id) REFERENCES pricing.hold (job_id, organisation_id)
);
CREATE INDEX billable_attempt_job ON pricing.billable_attempt (job_id);
CREATE INDEX billable_attempt_unsettled ON pricing.billable_attempt (job_id) WHERE settled_at IS NULL;
COMMENT ON TABLE pricing.billable_attempt IS 'Pricing''s view of an attempt: for whom it runs and whether it has ended and been settled (projection).';

CREATE TABLE pricing.billable_usage (
    usage_record_id uuid PRIMARY KEY,
    supersedes      uuid,               -- the record that this one corrects: that one counts no more, whichever came first
    attempt_id      uuid NOT NULL REFERENCES pricing.billable_attempt,
    organisation_id uuid NOT NULL REFERENCES pricing.wallet,
    component       text NOT NULL,
    quantity        numeric(20, 6) NOT NULL CHECK (quantity >= 0),
    started_at      timestamptz NOT NULL,
    ended_at        timestamptz NOT NULL,
    recorded_at     timestamptz NOT NULL,
    CHECK (started_at <= ended_at)
);
CREATE INDEX billable_usage_attempt ON pricing.billable_usage (attempt_id);
COMMENT ON TABLE pricing.billable_usage IS 'Append-only: usage as metering handed it over. It is rated when its attempt has ended and its accounting is final, for only then is the charge known.';

CREATE TABLE pricing.rated_line (
    id                  uuid PRIMARY KEY,      -- uuid5(usage record, piece); a piece is one line of a record, reversals included
    usage_record_id     uuid NOT NULL,
    piece               integer NOT NULL CHECK (piece >= 0),
    organisation_id     uuid NOT NULL REFERENCES accounts.organisation,
    project_id          uuid NOT NULL,
    person_id           uuid NOT NULL,
    job_id              uuid NOT NULL REFERENCES pricing.hold,
    attempt_id          uuid NOT NULL REFERENCES pricing.billable_attempt,
    offering_id         text NOT NULL REFERENCES pricing.offering,
    price_version_id    uuid NOT NULL REFERENCES pricing.price_version,
    component           text NOT NULL,
    accounting_date     date NOT NULL,         -- day in Asia/Tokyo to which the piece belongs
    quantity            numeric(20, 6) NOT NULL, -- negative on a line that reverses an earlier revision
    list_micro_yen      bigint NOT NULL,
    market_micro_yen    bigint NOT NULL,
    price_micro_yen     bigint NOT NULL,       -- quantity × price version, before waiver and ceiling
    charged_micro_yen   bigint NOT NULL,       -- what the customer is charged, without tax
    waiver              text,                  -- why charged < price: 'preempted', 'lost', 'beyond_ceiling', 'late_correction' …
    effective_at        timestamptz NOT NULL,
    recorded_at         timestamptz NOT NULL,
    billed_month        date NOT NULL,         -- first day of the month in whose document it is, fixed when it is written
    house_micro_yen     bigint NOT NULL DEFAULT 0, -- of what is not charged, what the house pays: beyond the ceiling, too late
    refunded_micro_yen  bigint NOT NULL DEFAULT 0, -- of it, what was charged and given back by a decision
    UNIQUE (usage_record_id, piece),
    CHECK (abs(charged_micro_yen) <= abs(price_micro_yen)),
    CHECK (waiver IS NOT NULL OR charged_micro_yen = price_micro_yen),
    CONSTRAINT rated_line_parts
        CHECK (abs(charged_micro_yen) + abs(house_micro_yen) + abs(refunded_micro_yen) <= abs(price_micro_yen))
);
CREATE INDEX rated_line_period ON pricing.rated_line (organisation_id, accounting_date);
CREATE INDEX rated_line_attempt ON pricing.rated_line (attempt_id);
CREATE INDEX rated_line_job ON pricing.rated_line (job_id, billed_month);
CREATE INDEX rated_line_billed ON pricing.rated_line (organisation_id, billed_month);
COMMENT ON TABLE pricing.rated_line IS 'Append-only: usage × price version, cut at Japanese midnight. Market, list, price and charge side by side.';

CREATE TABLE pricing.parked_usage (
    usage_record_id uuid PRIMARY KEY,
    organisation_id uuid NOT NULL,
    attempt_id      uuid NOT NULL,
    reason          text NOT NULL,        -- stable code of the refusal
    parked_at       timestamptz NOT NULL,
    resolved_at     timestamptz
);
COMMENT ON TABLE pricing.parked_usage IS 'Usage that could not be rated (no price for its component): kept and alarmed, never priced 0.';

CREATE TYPE pricing.bucket AS ENUM (
    'available',        -- customer: may be spent (per lot); never below 0
    'held',             -- customer: claimed by open holds (per lot); never below 0
    'owed',             -- customer: used on credit, not yet paid (negative = the customer owes)
    'issued',           -- house: value given out as grants and credit lines (negative)
    'earned',           -- house: revenue without tax
    'tax',              -- house: consumption tax to pass on
    'cash',             -- house: money received (negative = we have it)
    'expired',          -- house: grants that lapsed
    'overrun',          -- house: what ran beyond a ceiling, at our cost (negative)
    'rounding',         -- house: residue between micro-yen and whole yen
    'provider_payable'  -- house: owed to providers
);

CREATE TABLE pricing.ledger_transaction (
    id              uuid PRIMARY KEY,         -- uuid5 of the business key: a retry is the same row
    template        text NOT NULL,            -- which template made it: 'hold', 'settle', 'release', 'issue_grant' …
    organisation_id uuid REFERENCES pricing.wallet,
    job_id          uuid,
    attempt_id      uuid,
    effective_at    timestamptz NOT NULL,
    recorded_at     timestamptz NOT NULL,
    memo            jsonb NOT NULL DEFAULT '{}',
    xact            xid8 NOT NULL DEFAULT pg_current_xact_id()
);
CREATE INDEX ledger_transaction_statement ON pricing.ledger_transaction (organisation_id, effective_at);
CREATE INDEX ledger_transaction_job ON pricing.ledger_transaction (job_id);
COMMENT ON TABLE pricing.ledger_transaction IS 'Append-only: one business event; its entries sum to zero.';

CREATE TABLE pricing.ledger_entry (
    transaction_id   uuid NOT NULL REFERENCES pricing.ledger_transaction,
    line             integer NOT NULL CHECK (line >= 0),
    organisation_id  uuid REFERENCES pricing.wallet,   -- NULL: the house
    bucket           pricing.bucket NOT NULL,
    lot_id           uuid,
    amount_micro_yen bigint NOT NULL CHECK (amount_micro_yen <> 0),
    PRIMARY KEY (transaction_id, line),
    CHECK ((organisation_id IS NOT NULL) = (bucket IN ('available', 'held', 'owed'))),
    CHECK ((lot_id IS NOT NULL) = (bucket IN ('available', 'held'))),
    FOREIGN KEY (lot_id, organisation_id) REFERENCES pricing.lot (id, organisation_id)
);
CREATE INDEX ledger_entry_account ON pricing.ledger_entry (organisation_id, bucket, lot_id);
COMMENT ON TABLE pricing.ledger_entry IS 'Append-only: one posting. Positive = credit (we owe it), negative = debit (we own it or are owed it).';

CREATE TABLE pricing.ledger_balance (
    organisation_id  uuid NOT NULL REFERENCES pricing.wallet,
    bucket           pricing.bucket NOT NULL,
    lot_id           uuid REFERENCES pricing.lot,
    amount_micro_yen bigint NOT NULL,
    UNIQUE NULLS NOT DISTINCT (organisation_id, bucket, lot_id),
    CONSTRAINT balance_floor CHECK (bucket = 'owed' OR amount_micro_yen >= 0)
);
COMMENT ON TABLE pricing.ledger_balance IS 'Projection of ledger_entry for customer buckets, kept by trigger. Its CHECK refuses an overdraft. The house has none: it has no floor and would be a hot row.';

-- Takes the wallet's row lock. SECURITY DEFINER: a tenant may lock its own wallet without the right to change it.
CREATE FUNCTION pricing.lock_wallet(of_organisation uuid) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF infra.current_organisation() IS DISTINCT FROM of_organisation
       AND NOT pg_has_role(session_user, 'kyoyo_worker', 'USAGE')
       AND current_setting('role') NOT IN ('kyoyo_operator') THEN
        RAISE EXCEPTION 'not your wallet' USING ERRCODE = 'insufficient_privilege';
    END IF;
    PERFORM 1 FROM pricing.wallet WHERE organisation_id = of_organisation FOR UPDATE;
    RETURN FOUND;
END $$;

CREATE FUNCTION pricing.project_balances() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- UPDATE first: INSERT … ON CONFLICT would test the CHECK on the proposed (negative) row.
    WITH moved AS (
        SELECT organisation_id, bucket, lot_id, sum(amount_micro_yen)::bigint AS amount
        FROM appended WHERE organisation_id IS NOT NULL GROUP BY 1, 2, 3
    ), changed AS (
        UPDATE pricing.ledger_balance b SET amount_micro_yen = b.amount_micro_yen + m.amount FROM moved m
         WHERE b.organisation_id = m.organisation_id AND b.bucket = m.bucket AND b.lot_id IS NOT DISTINCT FROM m.lot_id
        RETURNING b.organisation_id, b.bucket, b.lot_id
    )
    INSERT INTO pricing.ledger_balance
    SELECT m.organisation_id, m.bucket, m.lot_id, m.amount FROM moved m
     WHERE NOT EXISTS (SELECT FROM changed c WHERE c.organisation_id = m.organisation_id AND c.bucket = m.bucket
                          AND c.lot_id IS NOT DISTINCT FROM m.lot_id);
    RETURN NULL;
END $$;
CREATE TRIGGER ledger_entry_project AFTER INSERT ON pricing.ledger_entry
    REFERENCING NEW TABLE AS appended FOR EACH STATEMENT EXECUTE FUNCTION pricing.project_balances();

-- A transaction is written whole, by one statement: what a statement appends balances, and joins nothing that was
-- written by a database transaction before, not even as a balanced pair.
CREATE FUNCTION pricing.refuse_unsound_entries() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    wrong record;
BEGIN
    SELECT a.transaction_id AS id INTO wrong
      FROM appended a JOIN pricing.ledger_transaction t ON t.id = a.transaction_id
     WHERE t.xact <> pg_current_xact_id() LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'ledger transaction % is closed', wrong.id USING ERRCODE = 'KY004';
    END IF;
    SELECT transaction_id AS id, sum(amount_micro_yen) AS total INTO wrong
      FROM appended GROUP BY 1 HAVING sum(amount_micro_yen) <> 0 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'ledger transaction % does not balance: % micro-yen', wrong.id, wrong.total USING ERRCODE = 'KY003';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER ledger_entry_sound AFTER INSERT ON pricing.ledger_entry
    REFERENCING NEW TABLE AS appended FOR EACH STATEMENT EXECUTE FUNCTION pricing.refuse_unsound_entries();

-- At the commit, of each transaction: that it has entries at all, and that they balance.
CREATE FUNCTION pricing.refuse_unbalanced() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    total numeric;
    entries bigint;
BEGIN
    SELECT coalesce(sum(amount_micro_yen), 0), count(*) INTO total, entries
      FROM pricing.ledger_entry WHERE transaction_id = NEW.id;
    IF total <> 0 OR entries < 2 THEN
        RAISE EXCEPTION 'ledger transaction % does not balance: % micro-yen in % entries', NEW.id, total, entries
            USING ERRCODE = 'KY003';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER ledger_transaction_balanced AFTER INSERT ON pricing.ledger_transaction
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION pricing.refuse_unbalanced();

CREATE TYPE pricing.document_kind AS ENUM (
    'invoice',     -- 適格請求書
    'credit_note', -- 適格返還請求書
    'receipt',     -- 領収書
    'usage',       -- 利用明細書: of a month whose use comes to 0 yen, so that nothing is invoiced
    'statement'    -- 残高明細書: a wallet's month
);

CREATE TABLE pricing.document_counter (
    kind         pricing.document_kind NOT NULL,
    fiscal_year  integer NOT NULL,
    last_ordinal integer NOT NULL CHECK (last_ordinal >= 0),
    PRIMARY KEY (kind, fiscal_year)
);
COMMENT ON TABLE pricing.document_counter IS 'The last number given out, by kind and fiscal year (of the issue date, April to March). Counted up under its row lock in the transaction that issues: what is rolled back leaves no gap.';

CREATE TABLE pricing.document (
    id                  uuid PRIMARY KEY,
    organisation_id     uuid NOT NULL REFERENCES pricing.wallet,
    kind                pricing.document_kind NOT NULL,
    fiscal_year         integer NOT NULL,
    ordinal             integer NOT NULL CHECK (ordinal > 0),
    number              text NOT NULL UNIQUE,
    month               date NOT NULL CHECK (extract(day FROM month) = 1),
    original_id         uuid,             -- credit note: what it corrects; receipt: what was paid, if that was a document
    issued_at           timestamptz NOT NULL,
    issue_date          date NOT NULL,    -- of Asia/Tokyo
    due_date            date CHECK (due_date >= issue_date),
    counterparty        text NOT NULL CHECK (length(counterparty) BETWEEN 1 AND 500),
    subtotal_yen        bigint NOT NULL,
    tax_yen             bigint NOT NULL,
    total_yen           bigint NOT NULL,
    prepaid_applied_yen bigint NOT NULL,  -- of the total: what the wallet has paid already
    carried_in_yen      bigint NOT NULL,  -- left by earlier months: too small to be asked for, or still to be given back
    carried_out_yen     bigint NOT NULL,  -- left to a later month
    amount_due_yen      bigint NOT NULL CHECK (amount_due_yen >= 0),
    content             jsonb NOT NULL,   -- everything that the paper shows
    content_sha256      bytea NOT NULL CHECK (length(content_sha256) = 32), -- of its canonical text: pricing/papers
    previous            integer GENERATED ALWAYS AS (nullif(ordinal - 1, 0)) STORED,
    credited_yen        bigint NOT NULL DEFAULT 0 CHECK (credited_yen >= 0), -- to be given back, and taken off documents that are open
    CHECK (total_yen = subtotal_yen + tax_yen),
    CHECK (kind IN ('receipt', 'statement')
           OR amount_due_yen = total_yen - prepaid_applied_yen + carried_in_yen - carried_out_yen + credited_yen),
    CHECK ((due_date IS NOT NULL) = (amount_due_yen > 0)),
    CHECK (CASE kind WHEN 'credit_note' THEN total_yen < 0 AND original_id IS NOT NULL ELSE total_yen >= 0 END),
    UNIQUE (id, organisation_id),
    UNIQUE (kind, fiscal_year, ordinal),
    -- No number without the one before it.
    FOREIGN KEY (kind, fiscal_year, previous) REFERENCES pricing.document (kind, fiscal_year, ordinal),
    FOREIGN KEY (original_id, organisation_id) REFERENCES pricing.document (id, organisation_id)
);
CREATE INDEX document_own ON pricing.document (organisation_id, issue_date);
CREATE INDEX document_issued ON pricing.document (issue_date);
CREATE INDEX document_total ON pricing.document (total_yen);
CREATE INDEX document_original ON pricing.document (original_id) WHERE original_id IS NOT NULL;
COMMENT ON TABLE pricing.document IS 'Append-only: what was issued to a customer, word for word, under a number without gaps.';

CREATE TABLE pricing.closed_account (
    organisation_id   uuid NOT NULL REFERENCES pricing.wallet,
    month             date NOT NULL CHECK (extract(day FROM month) = 1),
    document_id       uuid UNIQUE,        -- NULL: the month has no line
    charged_micro_yen bigint NOT NULL,    -- of its rated lines, without tax
    granted_micro_yen bigint NOT NULL,    -- of that, what grants cover
    tax_micro_yen     bigint NOT NULL,    -- on the rest, as the ledger has it
    prepaid_micro_yen bigint NOT NULL,    -- what prepaid value paid of the rest, with tax
    credit_micro_yen  bigint NOT NULL,    -- what was taken on credit, with tax
    carried_in_yen    bigint NOT NULL,
    carried_out_yen   bigint NOT NULL,
    closed_at         timestamptz NOT NULL,
    PRIMARY KEY (organisation_id, month),
    CHECK (charged_micro_yen - granted_micro_yen + tax_micro_yen = prepaid_micro_yen + credit_micro_yen),
    CHECK (document_id IS NOT NULL OR (charged_micro_yen = 0 AND carried_out_yen = carried_in_yen)),
    FOREIGN KEY (document_id, organisation_id) REFERENCES pricing.document (id, organisation_id)
);
COMMENT ON TABLE pricing.closed_account IS 'Append-only: an organisation''s month is closed. Its rated lines are those with this billed_month, now and for ever; its document shows them all.';

CREATE TYPE pricing.close_step AS ENUM (
    'grace',   -- the month is over; late usage still comes in
    'closing', -- decided: the documents are being issued
    'closed'   -- every organisation has been closed
);

CREATE TABLE pricing.month_close (
    month       date NOT NULL CHECK (extract(day FROM month) = 1),
    step        pricing.close_step NOT NULL,
    decided_by  uuid REFERENCES accounts.person,  -- NULL: the clock
    facts       jsonb NOT NULL,                   -- what the step rests on: pricing/closing.py
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (month, step)
);
COMMENT ON TABLE pricing.month_close IS 'Append-only: how far a month has come. A month without a row is a draft.';

-- Whoever writes a line holds the wallet's lock, and so does whoever closes the organisation's month: no line comes
-- into a month behind its document. SECURITY DEFINER: it counts every closing, whoever writes.
CREATE FUNCTION pricing.assign_billed_month() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    closed date;
BEGIN
    SELECT greatest((SELECT max(month) FROM pricing.closed_account WHERE organisation_id = NEW.organisation_id),
                    (SELECT max(month) FROM pricing.month_close WHERE step = 'closed')) INTO closed;
    NEW.billed_month := greatest(date_trunc('month', NEW.accounting_date::timestamp)::date,
                                 (closed + interval '1 month')::date);
    RETURN NEW;
END $$;
CREATE TRIGGER rated_line_billed BEFORE INSERT ON pricing.rated_line
    FOR EACH ROW EXECUTE FUNCTION pricing.assign_billed_month();

-- Money that is asked for and comes: receivables, payments, what is to be done at Stripe and what happened there.
CREATE TYPE pricing.payment_method AS ENUM (
    'bank_transfer', -- 銀行振込
    'card',          -- through Checkout
    'elsewhere'      -- marked as paid by an operator, with where
);

CREATE TABLE pricing.receivable (
    document_id     uuid PRIMARY KEY,
    organisation_id uuid NOT NULL REFERENCES pricing.wallet,
    number          text NOT NULL UNIQUE,
    amount_yen      bigint NOT NULL CHECK (amount_yen > 0),   -- with tax
    due_date        date NOT NULL,                            -- of Asia/Tokyo
    content         jsonb NOT NULL,                           -- lines and tax by rate: pricing.payments.Collectable
    requested_at    timestamptz NOT NULL,
    UNIQUE (document_id, organisation_id),
    FOREIGN KEY (document_id, organisation_id) REFERENCES pricing.document (id, organisation_id)
);
CREATE INDEX receivable_own ON pricing.receivable (organisation_id, due_date);
COMMENT ON TABLE pricing.receivable IS 'Append-only: a document that an organisation is to pay. What is still open of it follows from payments and credits.';

CREATE TABLE pricing.receivable_credit (
    note_id         uuid NOT NULL,                            -- the credit note, or the invoice that gives more back than it asks
    document_id     uuid NOT NULL,
    organisation_id uuid NOT NULL,
    number          text NOT NULL,
    amount_yen      bigint NOT NULL CHECK (amount_yen > 0),
    recorded_at     timestamptz NOT NULL,
    PRIMARY KEY (note_id, document_id),
    FOREIGN KEY (document_id, organisation_id) REFERENCES pricing.receivable (document_id, organisation_id),
    FOREIGN KEY (note_id, organisation_id) REFERENCES pricing.document (id, organisation_id)
);
CREATE INDEX receivable_credit_of ON pricing.receivable_credit (document_id);
COMMENT ON TABLE pricing.receivable_credit IS 'Append-only: by how much a credit note lowers what is asked for.';

CREATE TABLE pricing.top_up (
    id              uuid PRIMARY KEY,
    organisation_id uuid NOT NULL REFERENCES pricing.wallet,
    amount_yen      bigint NOT NULL CHECK (amount_yen > 0),
    person_id       uuid NOT NULL REFERENCES accounts.person,
    requested_at    timestamptz NOT NULL,
    UNIQUE (id, organisation_id)
);
CREATE INDEX top_up_own ON pricing.top_up (organisation_id, requested_at DESC);
COMMENT ON TABLE pricing.top_up IS 'Append-only: somebody wants to pay in by card. Whether it was paid follows from payments.';

CREATE TABLE pricing.payment (
    id                 uuid PRIMARY KEY,
    organisation_id    uuid NOT NULL REFERENCES pricing.wallet,
    document_id        uuid,                                  -- NULL: not for a document
    top_up_id          uuid,
    method             pricing.payment_method NOT NULL,
    amount_yen         bigint NOT NULL CHECK (amount_yen > 0),
    repaid_micro_yen   bigint NOT NULL CHECK (repaid_micro_yen >= 0),   -- booked as repay_credit
    prepaid_micro_yen  bigint NOT NULL CHECK (prepaid_micro_yen >= 0),  -- booked as receive_payment
    stripe_id          text UNIQUE,                           -- its payment intent
    reference          text NOT NULL,                         -- what the bank, the sender or Stripe call it
    paid_at            timestamptz NOT NULL,                  -- says who received it
    recorded_by        uuid REFERENCES accounts.person,       -- NULL: the house itself
    recorded_at        timestamptz NOT NULL,
    CHECK (repaid_micro_yen + prepaid_micro_yen = amount_yen * 1000000),
    CHECK ((method = 'elsewhere') = (stripe_id IS NULL)),
    UNIQUE (id, organisation_id),
    FOREIGN KEY (document_id, organisation_id) REFERENCES pricing.receivable (document_id, organisation_id),
    FOREIGN KEY (top_up_id, organisation_id) REFERENCES pricing.top_up (id, organisation_id)
);
CREATE INDEX payment_of_document ON pricing.payment (document_id);
CREATE INDEX payment_own ON pricing.payment (organisation_id, recorded_at DESC);
COMMENT ON TABLE pricing.payment IS 'Append-only: money that came, booked in the ledger in the same transaction.';

CREATE TABLE pricing.payment_reversal (
    id               uuid PRIMARY KEY,
    organisation_id  uuid NOT NULL,
    payment_id       uuid NOT NULL,
    kind             text NOT NULL CHECK (kind IN ('refund', 'dispute', 'dispute_won')),
    amount_yen       bigint NOT NULL CHECK (amount_yen > 0),
    booked_micro_yen bigint NOT NULL CHECK (booked_micro_yen >= 0), -- of prepaid value: less than the amount where it was spent
    stripe_id        text,                                    -- of the dispute
    reason           text NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    recorded_by      uuid REFERENCES accounts.person,
    recorded_at      timestamptz NOT NULL,
    UNIQUE (stripe_id, kind),
    FOREIGN KEY (payment_id, organisation_id) REFERENCES pricing.payment (id, organisation_id)
);
CREATE INDEX payment_reversal_of ON pricing.payment_reversal (payment_id);
COMMENT ON TABLE pricing.payment_reversal IS 'Append-only: money of a payment that went back, or that a cardholder''s bank took back and gave again.';

CREATE TABLE pricing.stripe_link (
    kind            text NOT NULL,                            -- 'customer', 'invoice', 'checkout', 'refund', …
    our_id          uuid NOT NULL,
    stripe_id       text NOT NULL UNIQUE,
    organisation_id uuid NOT NULL REFERENCES pricing.wallet,
    url             text,                                     -- where the customer pays
    linked_at       timestamptz NOT NULL,
    PRIMARY KEY (kind, our_id)
);
COMMENT ON TABLE pricing.stripe_link IS 'Append-only: which object at Stripe is which of ours.';

CREATE TABLE pricing.outbox (
    id              uuid PRIMARY KEY,
    organisation_id uuid NOT NULL REFERENCES pricing.wallet,
    kind            text NOT NULL,
    subject_id      uuid NOT NULL,
    revision        integer NOT NULL CHECK (revision >= 0),
    content         jsonb NOT NULL,
    created_at      timestamptz NOT NULL,
    UNIQUE (kind, subject_id, revision)
);
COMMENT ON TABLE pricing.outbox IS 'Append-only: what is to be done at Stripe, written in the transaction of its cause.';

CREATE TYPE pricing.attempt_outcome AS ENUM (
    'done',   -- Stripe has it
    'moot',   -- nothing was to be done any more
    'later',  -- Stripe was away
    'refused' -- for good: an operator looks
);

CREATE TABLE pricing.outbox_attempt (
    outbox_id    uuid NOT NULL REFERENCES pricing.outbox,
    ordinal      integer NOT NULL CHECK (ordinal > 0),
    outcome      pricing.attempt_outcome NOT NULL,
    detail       text NOT NULL,
    next_at      timestamptz,
    attempted_at timestamptz NOT NULL,
    PRIMARY KEY (outbox_id, ordinal),
    CHECK ((outcome = 'later') = (next_at IS NOT NULL))
);
CREATE UNIQUE INDEX outbox_attempt_last ON pricing.outbox_attempt (outbox_id) WHERE outcome <> 'later';
COMMENT ON TABLE pricing.outbox_attempt IS 'Append-only: what came of each attempt. After one that is not later nothing more is tried.';

CREATE TABLE pricing.inbox (
    event_id    text PRIMARY KEY CHECK (length(event_id) BETWEEN 1 AND 200),
    type        text NOT NULL,
    object_id   text NOT NULL,
    happened_at timestamptz NOT NULL,                         -- says Stripe
    received_at timestamptz NOT NULL,
    handled_at  timestamptz                                   -- set once
);
CREATE INDEX inbox_waiting ON pricing.inbox (received_at) WHERE handled_at IS NULL;
COMMENT ON TABLE pricing.inbox IS 'Events of Stripe, each once: hints that an object is to be looked at.';

CREATE TABLE pricing.payment_case (
    id              uuid PRIMARY KEY,
    organisation_id uuid REFERENCES pricing.wallet,           -- NULL: whose it is, is unknown
    kind            text NOT NULL CHECK (kind IN ('underpaid', 'overpaid', 'unmatched', 'dispute', 'differs', 'failed')),
    stripe_id       text NOT NULL,                            -- what it is about
    amount_yen      bigint NOT NULL,
    facts           jsonb NOT NULL,
    opened_at       timestamptz NOT NULL,
    UNIQUE (kind, stripe_id)
);
CREATE INDEX payment_case_own ON pricing.payment_case (organisation_id);
COMMENT ON TABLE pricing.payment_case IS 'Append-only: a payment that a person must look at.';

CREATE TABLE pricing.payment_case_resolution (
    case_id         uuid PRIMARY KEY REFERENCES pricing.payment_case,
    organisation_id uuid REFERENCES pricing.wallet,
    resolution      text NOT NULL CHECK (resolution IN ('settled', 'left', 'refunded', 'taken', 'explained')),
    reason          text NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    resolved_by     uuid REFERENCES accounts.person,          -- NULL: it settled by itself
    resolved_at     timestamptz NOT NULL
);
COMMENT ON TABLE pricing.payment_case_resolution IS 'Append-only: how a case ended.';

CREATE TABLE pricing.reconciliation (
    day         date PRIMARY KEY,                             -- of Asia/Tokyo, on which it was done
    since       timestamptz NOT NULL,
    compared    integer NOT NULL CHECK (compared >= 0),
    differences jsonb NOT NULL,
    ran_at      timestamptz NOT NULL
);
COMMENT ON TABLE pricing.reconciliation IS 'Append-only: Stripe against our books, each night, with everything that was not the same.';

-- A webhook has no person: the portal may put an event into the inbox, and nothing else. Its signature was checked.
CREATE FUNCTION pricing.receive_event(
    event text, of_type text, object text, happened timestamptz, received timestamptz
) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO pricing.inbox VALUES (event, of_type, object, happened, received, NULL) ON CONFLICT DO NOTHING;
    IF FOUND THEN
        PERFORM pg_notify('kyoyo_wake', 'stripe-events');
    END IF;
    RETURN FOUND;
END $$;

-- ---------------------------------------------------------------------------------------------------------------
-- scheduler: who runs what, where, when
-- ---------------------------------------------------------------------------------------------------------------

CREATE TYPE scheduler.job_kind AS ENUM (
    'batch',    -- a script on CPUs or GPUs
    'training', -- a script that trains a model: the same, told apart in reports
    'quantum',  -- an OpenQASM 3 program with a number of shots
    'hybrid'    -- phases of the kinds above, one after the other
);

CREATE TYPE scheduler.attempt_state AS ENUM (
    'QUEUED',      -- submitted and paid for by a hold; waits in our queue
    'DISPATCHING', -- QUEUED → : we are about to submit, or have submitted, and have not seen it start
    'RUNNING',     -- DISPATCHING → : the backend has started it
    'CANCELLING',  -- DISPATCHING | RUNNING → : cancel wanted; billed until the backend confirms the end
    'SUCCEEDED',   -- RUNNING | CANCELLING → : ended with exit code 0 (a cancel may come too late)
    'FAILED',      -- → : refused by the backend, exit code not 0, out of walltime or memory
    'CANCELLED',   -- QUEUED | CANCELLING → : ended by the user''s wish
    'PREEMPTED',   -- → : the backend took the resources back
    'LOST'         -- → : node failure, or the backend no longer knows it
);

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

CREATE TABLE scheduler.job (
    id              uuid PRIMARY KEY,
    organisation_id uuid NOT NULL REFERENCES accounts.organisation,
    project_id      uuid NOT NULL,
    person_id       uuid NOT NULL REFERENCES accounts.person,
    name            text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    kind            scheduler.job_kind NOT NULL,
    offering_id     text NOT NULL REFERENCES pricing.offering,
    backend         text NOT NULL,
    service_class   pricing.service_class NOT NULL,
    gpus            integer NOT NULL CHECK (gpus >= 0),
    cpus            integer NOT NULL CHECK (cpus >= 0),
    memory_mb       integer NOT NULL CHECK (memory_mb >= 0),
    qpus            integer NOT NULL CHECK (qpus >= 0),
    shots           integer NOT NULL CHECK (shots >= 0),
    walltime_s      integer NOT NULL CHECK (walltime_s > 0),
    max_attempts    integer NOT NULL CHECK (max_attempts BETWEEN 1 AND 10),
    nu              double precision NOT NULL CHECK (nu >= 0), -- normalised units if it runs its full walltime (fair share only, never money)
    options         jsonb NOT NULL,       -- arguments, environment, output name
    idempotency_key text NOT NULL CHECK (length(idempotency_key) BETWEEN 1 AND 255),
    request_sha256  bytea NOT NULL CHECK (length(request_sha256) = 32),
    submitted_at    timestamptz NOT NULL,
    number          bigint CHECK (number > 0),  -- 1, 2, … within its organisation: for people, and for scripts that expect Slurm's
    nodes           integer NOT NULL DEFAULT 1 CHECK (nodes > 0),
    max_timeouts    integer NOT NULL DEFAULT 0 CHECK (max_timeouts >= 0), -- so many time-outs are continued; the quote covers them
    begin_at        timestamptz,                -- not started before
    array_id        uuid,
    array_index     integer,
    max_qpu_us      bigint CHECK (max_qpu_us > 0),          -- of a circuit: so much QPU time at most, as its quote says
    session_idle_s  integer CHECK (session_idle_s > 0),     -- of a session: ended when it was idle for so long; NULL: no session
    session_dedicated boolean,                              -- false: a batch
    session_job_id  uuid,                                   -- of a circuit: the session that it runs in
    data_location   text CHECK (data_location = 'jp'),      -- where it must run; NULL: anywhere
    UNIQUE (organisation_id, person_id, idempotency_key),
    UNIQUE (organisation_id, number),
    UNIQUE (array_id, array_index),
    CHECK ((array_id IS NULL) = (array_index IS NULL)),
    CHECK (max_timeouts < max_attempts),
    FOREIGN KEY (array_id, organisation_id) REFERENCES scheduler.job_array (id, organisation_id),
    CHECK ((session_idle_s IS NULL) = (session_dedicated IS NULL)),
    CHECK (session_idle_s IS NULL OR session_job_id IS NULL),
    FOREIGN KEY (session_job_id, organisation_id) REFERENCES scheduler.job (id, organisation_id),
    UNIQUE (id, organisation_id),
    FOREIGN KEY (project_id, organisation_id) REFERENCES accounts.project (id, organisation_id),
    -- No job is committed without its hold, no attempt without somebody who pays for it.
    FOREIGN KEY (id, organisation_id) REFERENCES pricing.hold (job_id, organisation_id) DEFERRABLE INITIALLY DEFERRED
);
CREATE INDEX job_of_session ON scheduler.job (session_job_id) WHERE session_job_id IS NOT NULL;
CREATE INDEX job_list ON scheduler.job (organisation_id, submitted_at DESC, id DESC);
COMMENT ON TABLE scheduler.job IS 'Append-only: what the customer asked. One hold per job; attempts draw on it.';

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

CREATE TABLE scheduler.job_payload (
    job_id          uuid PRIMARY KEY,
    organisation_id uuid NOT NULL REFERENCES accounts.organisation,
    body            bytea NOT NULL CHECK (length(body) <= 1048576),
    sha256          bytea NOT NULL CHECK (length(sha256) = 32),
    FOREIGN KEY (job_id, organisation_id) REFERENCES scheduler.job (id, organisation_id)
);
COMMENT ON TABLE scheduler.job_payload IS 'Append-only: the script or circuit as it was sent.';

CREATE TABLE scheduler.cancellation (
    job_id          uuid PRIMARY KEY,
    organisation_id uuid NOT NULL REFERENCES accounts.organisation,
    requested_by    uuid NOT NULL REFERENCES accounts.person,
    requested_at    timestamptz NOT NULL,
    FOREIGN KEY (job_id, organisation_id) REFERENCES scheduler.job (id, organisation_id)
);
COMMENT ON TABLE scheduler.cancellation IS 'Append-only: the wish to cancel a job; the worker carries it out.';

CREATE TABLE scheduler.attempt (
    id              uuid PRIMARY KEY,
    job_id          uuid NOT NULL,
    organisation_id uuid NOT NULL REFERENCES accounts.organisation,
    phase           text NOT NULL DEFAULT 'main',   -- phase of a hybrid job; 'main' for all others
    ordinal         integer NOT NULL CHECK (ordinal <> 0),  -- below 0: it carries out a call, and stands beside the line
    backend         text NOT NULL,
    state           scheduler.attempt_state NOT NULL,
    backend_ref     text,                -- the backend''s own id, never trusted alone (ids are reused)
    queued_at       timestamptz NOT NULL,
    dispatched_at   timestamptz,
    started_at      timestamptz,
    ended_at        timestamptz,
    exit_code       integer,
    reason          text,                -- machine reason of the end, e.g. 'timed_out', 'node_failed', 'refused:too-large'
    not_before      timestamptz,         -- QUEUED: not planned before this instant (back-off after a failed hand-over)
    doubt           text CHECK (doubt IN ('unknown', 'missing')),  -- the backend''s last answers told nothing, and how
    doubt_since     timestamptz,
    unknown_count   integer NOT NULL DEFAULT 0 CHECK (unknown_count >= 0), -- such answers in a row
    wait_reason     text,                -- last plan''s reason while QUEUED
    wait_facts      jsonb NOT NULL DEFAULT '{}',
    version         integer NOT NULL DEFAULT 0,   -- number of events applied
    kind            scheduler.job_kind NOT NULL,        -- what it asks for: never 'hybrid', but the kind of its phase
    offering_id     text NOT NULL REFERENCES pricing.offering,
    gpus            integer NOT NULL CHECK (gpus >= 0),
    cpus            integer NOT NULL CHECK (cpus >= 0),
    memory_mb       integer NOT NULL CHECK (memory_mb >= 0),
    qpus            integer NOT NULL CHECK (qpus >= 0),
    shots           integer NOT NULL CHECK (shots >= 0),
    max_qpu_us      bigint CHECK (max_qpu_us > 0),
    walltime_s      integer NOT NULL CHECK (walltime_s > 0),
    nu              double precision NOT NULL CHECK (nu >= 0),
    max_attempts    integer NOT NULL CHECK (max_attempts BETWEEN 1 AND 10),
    max_timeouts    integer NOT NULL,
    phase_ordinal   integer CHECK (phase_ordinal > 0),  -- of a hybrid job's phase
    skippable       boolean NOT NULL,                   -- the job goes on if this phase fails
    caller_id       uuid,                               -- of a call: the attempt that made it
    seq             bigint GENERATED ALWAYS AS IDENTITY, -- its number, in the order in which attempts came
    preempt_wanted_at timestamptz,                      -- since then it is asked to make room ...
    preempt_for     pricing.service_class,              -- ... for somebody of this class
    flexible        boolean NOT NULL DEFAULT false,     -- its job has candidates: while it waits it may be placed anew
    UNIQUE (job_id, phase, ordinal),
    CHECK ((doubt IS NULL) = (doubt_since IS NULL) AND (doubt IS NULL) = (unknown_count = 0)),
    CHECK (max_timeouts >= 0 AND max_timeouts < max_attempts),
    CHECK ((caller_id IS NULL) = (ordinal > 0)),
    CHECK ((preempt_wanted_at IS NULL) = (preempt_for IS NULL)),
    CHECK (preempt_wanted_at IS NULL OR state NOT IN ('QUEUED', 'DISPATCHING')),
    FOREIGN KEY (job_id, organisation_id) REFERENCES scheduler.job (id, organisation_id),
    FOREIGN KEY (id, organisation_id) REFERENCES pricing.billable_attempt (attempt_id, organisation_id)
        DEFERRABLE INITIALLY DEFERRED,
    UNIQUE (id, organisation_id)
);
CREATE UNIQUE INDEX attempt_one_live ON scheduler.attempt (job_id, phase)
    WHERE state IN ('QUEUED', 'DISPATCHING', 'RUNNING', 'CANCELLING');
CREATE INDEX attempt_live ON scheduler.attempt (state, queued_at) WHERE state IN ('QUEUED', 'DISPATCHING', 'RUNNING', 'CANCELLING');
CREATE INDEX attempt_job ON scheduler.attempt (job_id);
-- Attempts of a job are numbered through, over all its phases.
CREATE UNIQUE INDEX attempt_number ON scheduler.attempt (job_id, ordinal);
CREATE INDEX attempt_queued ON scheduler.attempt (organisation_id) WHERE state = 'QUEUED';  -- the quota at submission
CREATE INDEX attempt_ended ON scheduler.attempt (ended_at) WHERE dispatched_at IS NOT NULL;
CREATE INDEX attempt_preempted ON scheduler.attempt (preempt_wanted_at) WHERE preempt_wanted_at IS NOT NULL;
CREATE INDEX attempt_flexible ON scheduler.attempt (seq) WHERE flexible AND state = 'QUEUED' AND dispatched_at IS NULL;
COMMENT ON TABLE scheduler.attempt IS 'One try of a job on one backend: what it asks for, copied once, and a projection of its events. Written only through scheduler.core.lifecycle.advance().';

-- When each waiting attempt is expected to start.
CREATE TABLE scheduler.forecast (
    attempt_id      uuid PRIMARY KEY,
    organisation_id uuid NOT NULL,
    as_of           timestamptz NOT NULL,
    position        integer NOT NULL CHECK (position > 0),   -- rank of starting on its backend, 1 is next
    p50_at          timestamptz,                             -- as likely before as after; NULL: not within the horizon
    p90_at          timestamptz CHECK (p50_at <= p90_at),    -- by then in nine of ten cases; NULL: not within the horizon
    ahead           jsonb NOT NULL,                          -- how many start before it, by cause: counts, nobody's names
    FOREIGN KEY (attempt_id, organisation_id) REFERENCES scheduler.attempt (id, organisation_id)
);
COMMENT ON TABLE scheduler.forecast IS 'When a waiting attempt is expected to start, as last foreseen (projection); decides nothing. Of one that has started: what was last said of it.';

CREATE TABLE scheduler.attempt_event (
    attempt_id      uuid NOT NULL,
    seq             integer NOT NULL CHECK (seq > 0),
    organisation_id uuid NOT NULL REFERENCES accounts.organisation,
    kind            text NOT NULL,           -- class name of the event, e.g. 'Dispatched'
    state           scheduler.attempt_state NOT NULL,  -- state after it
    facts           jsonb NOT NULL,
    effective_at    timestamptz NOT NULL,
    recorded_at     timestamptz NOT NULL,
    PRIMARY KEY (attempt_id, seq),
    UNIQUE (attempt_id, kind, effective_at),
    FOREIGN KEY (attempt_id, organisation_id) REFERENCES scheduler.attempt (id, organisation_id)
);
COMMENT ON TABLE scheduler.attempt_event IS 'Append-only: everything that happened to an attempt, in order: the job''s story.';

CREATE TABLE scheduler.decision (
    attempt_id      uuid NOT NULL,
    organisation_id uuid NOT NULL REFERENCES accounts.organisation,
    at              timestamptz NOT NULL,
    kind            text NOT NULL CHECK (kind IN ('start', 'preempt')),
    facts           jsonb NOT NULL,          -- the rule by which it went and its figures; nothing of other tenants
    PRIMARY KEY (attempt_id, at, kind),
    FOREIGN KEY (attempt_id, organisation_id) REFERENCES scheduler.attempt (id, organisation_id)
);
COMMENT ON TABLE scheduler.decision IS 'Append-only: why an attempt was handed over when it was, or had to make room: the rule and its figures, without anything of other tenants.';

CREATE TABLE scheduler.attempt_result (
    attempt_id      uuid PRIMARY KEY,
    organisation_id uuid NOT NULL REFERENCES accounts.organisation,
    body            bytea NOT NULL CHECK (length(body) <= 1048576),  -- empty: looked for, and the job left none
    recorded_at     timestamptz NOT NULL,
    FOREIGN KEY (attempt_id, organisation_id) REFERENCES scheduler.attempt (id, organisation_id)
);
COMMENT ON TABLE scheduler.attempt_result IS 'Append-only: the result file (JSON) that the job left, copied so that it outlives the backend.';

CREATE TABLE scheduler.fairshare_charge (
    attempt_id      uuid PRIMARY KEY,
    organisation_id uuid NOT NULL REFERENCES accounts.organisation,
    nu              double precision NOT NULL CHECK (nu >= 0),
    charged_at      timestamptz NOT NULL,
    project_id      uuid NOT NULL,       -- whose use it was, copied from its job: every cycle adds it up by branch,
    person_id       uuid NOT NULL,
    backend         text NOT NULL,       -- and every limit of a month by backend
    FOREIGN KEY (attempt_id, organisation_id) REFERENCES scheduler.attempt (id, organisation_id)
);
CREATE INDEX fairshare_charge_recent ON scheduler.fairshare_charge (charged_at);
COMMENT ON TABLE scheduler.fairshare_charge IS 'Append-only: normalised units that an ended attempt really used. Decays in the policy; never money.';

CREATE TABLE scheduler.exchange_rate (
    resource_type text NOT NULL,
    nu_per_hour   double precision NOT NULL CHECK (nu_per_hour >= 0),  -- 1 NU = one hour of the reference GPU
    effective_at  timestamptz NOT NULL,
    version       bigint GENERATED ALWAYS AS IDENTITY,
    recorded_at   timestamptz,                                         -- NULL: nobody kept it
    set_by        uuid REFERENCES accounts.person,                     -- NULL: on the server itself
    reason        text NOT NULL CHECK (length(reason) <= 500),
    PRIMARY KEY (resource_type, effective_at),
    CONSTRAINT exchange_rate_version UNIQUE (version)
);
COMMENT ON TABLE scheduler.exchange_rate IS 'Append-only: normalised units per hour of one unit of a resource type. Public.';

-- The share tree: organisation → project → user.
CREATE TABLE scheduler.share (
    organisation_id    uuid NOT NULL REFERENCES accounts.organisation,
    weight             integer CHECK (weight > 0),
    max_queued_jobs    integer CHECK (max_queued_jobs >= 0),
    max_running_jobs   integer CHECK (max_running_jobs >= 0),
    effective_at       timestamptz NOT NULL,
    project_id         uuid,                                   -- NULL: the organisation itself
    person_id          uuid REFERENCES accounts.person,        -- NULL: the project itself
    backend            text,                                   -- NULL: weight, and limits in total
    max_gpus           integer CHECK (max_gpus >= 0),
    max_month_micro_nu bigint CHECK (max_month_micro_nu >= 0), -- in a month of Japan's calendar
    version            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    recorded_at        timestamptz,                            -- NULL: when it took effect
    set_by             uuid REFERENCES accounts.person,        -- NULL: on the server itself
    reason             text NOT NULL CHECK (length(reason) <= 500),
    max_borrow_percent integer CHECK (max_borrow_percent >= 0),             -- beyond its nominal share, of that share
    max_lend_percent   integer CHECK (max_lend_percent BETWEEN 0 AND 100),  -- of its nominal share while it is idle
    reserved_units     integer CHECK (reserved_units >= 0),  -- GPUs or QPUs for class reserved, kept from firm work
    CONSTRAINT share_once UNIQUE NULLS NOT DISTINCT (organisation_id, project_id, person_id, backend, effective_at),
    CONSTRAINT share_project FOREIGN KEY (project_id, organisation_id) REFERENCES accounts.project (id, organisation_id),
    CONSTRAINT share_user_of_project CHECK (person_id IS NULL OR project_id IS NOT NULL),
    CONSTRAINT share_weight_in_total CHECK ((backend IS NULL) = (weight IS NOT NULL)),
    CONSTRAINT share_organisation_is_limited
        CHECK (num_nonnulls(project_id, backend) > 0 OR num_nulls(max_queued_jobs, max_running_jobs) = 0),
    CONSTRAINT share_only_organisations_lend
        CHECK (num_nonnulls(project_id, backend) = 0 OR num_nonnulls(max_borrow_percent, max_lend_percent) = 0),
    CONSTRAINT share_reserved_of_organisation
        CHECK (reserved_units IS NULL OR (project_id IS NULL AND backend IS NOT NULL))
);
COMMENT ON TABLE scheduler.share IS 'Append-only: weight of a branch of the share tree among its siblings, and its limits (NULL: none). The latest effective row of a branch and backend holds; without one the settings'' defaults do.';

CREATE TABLE scheduler.job_input (
    job_id          uuid NOT NULL,
    organisation_id uuid NOT NULL REFERENCES accounts.organisation,
    name            text NOT NULL CHECK (octet_length(name) BETWEEN 1 AND 900),  -- below the job's folder of inputs
    object_id       uuid NOT NULL,       -- the version that was there at submission: a later one does not change the job
    key             text NOT NULL,
    size_bytes      bigint NOT NULL CHECK (size_bytes >= 0),
    checksum        text NOT NULL,
    PRIMARY KEY (job_id, name),
    FOREIGN KEY (job_id, organisation_id) REFERENCES scheduler.job (id, organisation_id)
);
CREATE INDEX job_input_object ON scheduler.job_input (object_id);
COMMENT ON TABLE scheduler.job_input IS 'Append-only: the files that a job reads, each in the version that it had at submission. Those of an array are kept with its first task.';

CREATE TABLE scheduler.attempt_files (
    attempt_id      uuid PRIMARY KEY,
    organisation_id uuid NOT NULL REFERENCES accounts.organisation,
    staged_at       timestamptz,         -- its inputs are on the backend's file system; not handed over before
    collected_at    timestamptz,         -- its outputs were looked for, and what was found is in attempt_output
    tries           integer NOT NULL DEFAULT 0 CHECK (tries >= 0),
    retry_at        timestamptz,         -- after a failure that may pass
    problem         text,                -- the last such failure, a machine word
    FOREIGN KEY (attempt_id, organisation_id) REFERENCES scheduler.attempt (id, organisation_id)
);
COMMENT ON TABLE scheduler.attempt_files IS 'How far the files of an attempt have come (projection).';

CREATE TABLE scheduler.attempt_output (
    attempt_id      uuid NOT NULL,
    organisation_id uuid NOT NULL REFERENCES accounts.organisation,
    name            text NOT NULL CHECK (octet_length(name) BETWEEN 1 AND 4096),
    size_bytes      bigint NOT NULL CHECK (size_bytes >= 0),
    key             text,                -- where it is kept in the organisation's store
    checksum        text,
    problem         text,                -- why it was not kept: 'not-a-file', 'too-large', 'too-many', 'quota', 'name', 'changed' …
    recorded_at     timestamptz NOT NULL,
    PRIMARY KEY (attempt_id, name),
    CHECK ((key IS NULL) = (checksum IS NULL) AND (key IS NULL) = (problem IS NOT NULL)),
    FOREIGN KEY (attempt_id, organisation_id) REFERENCES scheduler.attempt (id, organisation_id)
);
COMMENT ON TABLE scheduler.attempt_output IS 'Append-only: the files that an attempt left, kept or not, and why not.';

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
    wait_s          integer NOT NULL DEFAULT 300 CHECK (wait_s > 0),  -- not taken by the device for so long, a call ends
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

-- By its call or its phase where it is one's, else by its job. No writer can say anything else, and nobody changes it.
CREATE FUNCTION scheduler.copy_what_is_asked() RETURNS trigger LANGUAGE plpgsql AS $$
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
CREATE TRIGGER attempt_asks BEFORE INSERT ON scheduler.attempt
    FOR EACH ROW EXECUTE FUNCTION scheduler.copy_what_is_asked();

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
CREATE TRIGGER attempt_placed BEFORE UPDATE ON scheduler.attempt
    FOR EACH ROW WHEN (OLD.offering_id IS DISTINCT FROM NEW.offering_id) EXECUTE FUNCTION scheduler.place_anew();

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

-- A terminal attempt stays terminal, whatever a late narrator says.
CREATE FUNCTION scheduler.refuse_resurrection() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state IN ('SUCCEEDED', 'FAILED', 'CANCELLED', 'PREEMPTED', 'LOST') AND NEW.state <> OLD.state THEN
        RAISE EXCEPTION 'attempt % is % for good', OLD.id, OLD.state USING ERRCODE = 'KY005';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER attempt_terminal BEFORE UPDATE ON scheduler.attempt
    FOR EACH ROW EXECUTE FUNCTION scheduler.refuse_resurrection();

-- What the scheduler's leader has to look at again.
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
        (OLD.state, OLD.backend_ref, OLD.dispatched_at, OLD.started_at, OLD.ended_at, OLD.not_before, OLD.walltime_s,
         OLD.preempt_wanted_at, OLD.offering_id)
        IS DISTINCT FROM
        (NEW.state, NEW.backend_ref, NEW.dispatched_at, NEW.started_at, NEW.ended_at, NEW.not_before, NEW.walltime_s,
         NEW.preempt_wanted_at, NEW.offering_id)
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

-- ---------------------------------------------------------------------------------------------------------------
-- metering: from what ran to usage and figures
-- ---------------------------------------------------------------------------------------------------------------

CREATE TABLE metering.collection (
    backend       text PRIMARY KEY,
    collected_to  timestamptz NOT NULL,
    recorded_at   timestamptz NOT NULL
);
COMMENT ON TABLE metering.collection IS 'Watermark per backend (projection): accounting was read up to here; the next window overlaps it.';

CREATE TABLE metering.accounting_row (
    id             uuid PRIMARY KEY,          -- uuid5(backend, natural key, revision, content)
    backend        text NOT NULL,
    natural_key    text NOT NULL,             -- the source's own identity of the record
    revision       integer NOT NULL CHECK (revision > 0),
    content_sha256 bytea NOT NULL CHECK (length(content_sha256) = 32), -- of revision and content: a value may come back
    attempt_id     uuid,                      -- NULL: ran outside the portal
    unbilled       text CHECK (unbilled IN ('outside-portal', 'unknown-attempt')), -- why no usage was derived; NULL: it was
    started_at     timestamptz NOT NULL,
    ended_at       timestamptz,
    final          boolean NOT NULL,          -- the backend''s record is complete
    ending         text NOT NULL,
    components     jsonb NOT NULL,            -- component → decimal string
    facts          jsonb NOT NULL,            -- cpu_s, peak_memory_mb, allocated units …
    recorded_at    timestamptz NOT NULL,
    UNIQUE (backend, natural_key, content_sha256),
    UNIQUE (backend, natural_key, revision),
    CHECK (ended_at IS NULL OR started_at <= ended_at),
    CHECK (attempt_id IS NOT NULL OR unbilled IS NOT NULL)
);
CREATE INDEX accounting_row_attempt ON metering.accounting_row (attempt_id);
COMMENT ON TABLE metering.accounting_row IS 'Append-only: what the backends said, word for word. The same row again is not stored; another value under the same key is a new revision.';

CREATE TABLE metering.parked_row (
    backend     text NOT NULL,
    row_sha256  bytea NOT NULL CHECK (length(row_sha256) = 32),
    natural_key text NOT NULL,
    reason      text NOT NULL,                 -- stable code: 'end-before-start', 'unknown-component', 'failed' …
    content     text NOT NULL,                 -- the row as JSON in ASCII: what a backend says need not fit into jsonb
    tries       integer NOT NULL CHECK (tries > 0),
    parked_at   timestamptz NOT NULL,
    next_try_at timestamptz,                   -- NULL: not tried again by itself
    resolved_at timestamptz,                   -- set when it could be taken after all
    PRIMARY KEY (backend, row_sha256)
);
CREATE INDEX parked_row_due ON metering.parked_row (backend, next_try_at) WHERE resolved_at IS NULL;
COMMENT ON TABLE metering.parked_row IS 'Accounting rows that could not be taken: kept, alarmed and tried again; never dropped (projection).';

CREATE TABLE metering.usage_record (
    id              uuid PRIMARY KEY,          -- uuid5(accounting row, component)
    accounting_row_id uuid NOT NULL REFERENCES metering.accounting_row,
    attempt_id      uuid NOT NULL REFERENCES pricing.billable_attempt,
    job_id          uuid NOT NULL,
    organisation_id uuid NOT NULL REFERENCES accounts.organisation,
    project_id      uuid NOT NULL,
    person_id       uuid NOT NULL REFERENCES accounts.person,
    offering_id     text NOT NULL REFERENCES pricing.offering,
    backend         text NOT NULL,
    component       text NOT NULL CHECK (component IN ('gpu_s', 'cpu_s', 'qpu_s', 'shot', 'session_s', 'sim_s')),
    quantity        numeric(20, 6) NOT NULL CHECK (quantity >= 0),
    started_at      timestamptz NOT NULL,
    ended_at        timestamptz NOT NULL,
    revision        integer NOT NULL CHECK (revision > 0),
    supersedes      uuid REFERENCES metering.usage_record,  -- the record of the revision before, whose lines are reversed
    recorded_at     timestamptz NOT NULL,
    UNIQUE (accounting_row_id, component),
    CHECK (started_at <= ended_at)
);
CREATE INDEX usage_record_period ON metering.usage_record (ended_at);
CREATE INDEX usage_record_attempt ON metering.usage_record (attempt_id);
COMMENT ON TABLE metering.usage_record IS 'Append-only: usage of one attempt by component. The newest revision of an accounting row counts.';

CREATE TABLE metering.capacity_fact (
    backend      text NOT NULL,
    component    text NOT NULL CHECK (component IN ('gpu_s', 'qpu_s', 'cpu_s')), -- what one unit yields per second in service
    units        integer NOT NULL CHECK (units >= 0),
    effective_at timestamptz NOT NULL,
    recorded_at  timestamptz NOT NULL,
    PRIMARY KEY (backend, component, effective_at)
);
COMMENT ON TABLE metering.capacity_fact IS 'Append-only: units in service from this instant on; the denominator of utilisation.';

-- ---------------------------------------------------------------------------------------------------------------
-- portal: files of organisations
-- ---------------------------------------------------------------------------------------------------------------

CREATE TABLE portal.object (
    id              uuid PRIMARY KEY,       -- that of the upload that brought it; its content is found by it, never by its key
    organisation_id uuid NOT NULL REFERENCES accounts.organisation,
    key             text NOT NULL CHECK (octet_length(key) BETWEEN 1 AND 900),
    size_bytes      bigint NOT NULL CHECK (size_bytes >= 0),
    part_bytes      bigint NOT NULL CHECK (part_bytes > 0),
    part_sha256     bytea NOT NULL CHECK (length(part_sha256) BETWEEN 32 AND 320000 AND length(part_sha256) % 32 = 0), -- of each part, in order
    checksum        text NOT NULL CHECK (checksum ~ '^[0-9a-f]{64}(-[0-9]{1,5})?$'), -- derived from part_sha256; what a job's input is frozen by
    created_by      uuid NOT NULL REFERENCES accounts.person,
    created_at      timestamptz NOT NULL,
    replaced_at     timestamptz,            -- set once: a newer version has its key; kept while a job still needs it
    removed_at      timestamptz,            -- set once: somebody removed it
    purged_at       timestamptz,            -- set once: its content is gone, and counts no more
    UNIQUE (id, organisation_id),
    CHECK (purged_at IS NULL OR replaced_at IS NOT NULL OR removed_at IS NOT NULL)
);
CREATE UNIQUE INDEX object_current ON portal.object (organisation_id, key COLLATE "C") WHERE replaced_at IS NULL AND removed_at IS NULL;
CREATE INDEX object_kept ON portal.object (organisation_id) INCLUDE (size_bytes) WHERE purged_at IS NULL;  -- the quota
CREATE INDEX object_leaving ON portal.object (coalesce(removed_at, replaced_at)) WHERE purged_at IS NULL AND (replaced_at IS NOT NULL OR removed_at IS NOT NULL);
COMMENT ON TABLE portal.object IS 'Files of organisations, one row a version. A content never changes; a row is only ever replaced, removed and purged.';

CREATE TABLE portal.upload (
    id              uuid PRIMARY KEY,
    organisation_id uuid NOT NULL REFERENCES accounts.organisation,
    key             text NOT NULL CHECK (octet_length(key) BETWEEN 1 AND 900),
    size_bytes      bigint NOT NULL CHECK (size_bytes >= 0),
    part_bytes      bigint NOT NULL CHECK (part_bytes > 0),
    part_sha256     bytea NOT NULL CHECK (length(part_sha256) BETWEEN 32 AND 320000 AND length(part_sha256) % 32 = 0),
    token           text,                   -- the storage's own word for it; NULL: not begun there yet
    opened_by       uuid NOT NULL REFERENCES accounts.person,
    opened_at       timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL,
    ended_at        timestamptz,            -- set once: complete or given up; counts against the quota until then
    ending          text CHECK (ending IN ('complete', 'given-up', 'expired')),
    purged_at       timestamptz,            -- set once: what a given-up one had brought is gone
    CHECK ((ended_at IS NULL) = (ending IS NULL))
);
CREATE INDEX upload_open ON portal.upload (organisation_id) INCLUDE (size_bytes) WHERE ended_at IS NULL;
CREATE INDEX upload_leaving ON portal.upload (coalesce(ended_at, expires_at)) WHERE purged_at IS NULL AND (ending IS NULL OR ending <> 'complete');
COMMENT ON TABLE portal.upload IS 'Files on their way into the store. Which parts have arrived is the storage''s knowledge.';

-- ---------------------------------------------------------------------------------------------------------------
-- Append-only tables
-- ---------------------------------------------------------------------------------------------------------------

DO $$
DECLARE
    append_only regclass;
BEGIN
    FOREACH append_only IN ARRAY ARRAY[
        'accounts.declaration', 'accounts.audit_entry',
        'pricing.market_reference', 'pricing.price_version', 'pricing.price_component', 'pricing.lot', 'pricing.quote',
        'pricing.billable_usage', 'pricing.rated_line', 'pricing.ledger_transaction', 'pricing.ledger_entry',
        'pricing.budget', 'pricing.notice', 'pricing.deliverable', 'pricing.refund',
        'pricing.document', 'pricing.closed_account', 'pricing.month_close',
        'pricing.receivable', 'pricing.receivable_credit', 'pricing.top_up', 'pricing.payment', 'pricing.payment_reversal',
        'pricing.stripe_link', 'pricing.outbox', 'pricing.outbox_attempt', 'pricing.payment_case',
        'pricing.payment_case_resolution', 'pricing.reconciliation',
        'pricing.proposal', 'pricing.proposal_decision', 'pricing.promotion', 'pricing.policy',
        'scheduler.job', 'scheduler.job_candidate', 'scheduler.data_rule', 'scheduler.job_array', 'scheduler.dependency', 'scheduler.job_payload', 'scheduler.cancellation', 'scheduler.attempt_event', 'scheduler.decision',
        'scheduler.attempt_result', 'scheduler.job_input', 'scheduler.attempt_output', 'scheduler.fairshare_charge', 'scheduler.exchange_rate', 'scheduler.share',
        'scheduler.device_calibration', 'scheduler.device_state',
        'scheduler.job_phase', 'scheduler.phase_start', 'scheduler.phase_input', 'pricing.quote_phase',
        'scheduler.job_qpu', 'scheduler.qpu_call', 'scheduler.qpu_answer', 'scheduler.qpu_closed',
        'scheduler.reservable', 'scheduler.closure', 'scheduler.closure_lifted', 'scheduler.reservation_quota',
        'scheduler.reservation', 'scheduler.reservation_cancelled', 'scheduler.reservation_job',
        'scheduler.elastic_rule', 'scheduler.disruption', 'scheduler.disruption_ended', 'scheduler.elastic_action',
        'scheduler.elastic_outcome',
        'metering.accounting_row', 'metering.usage_record', 'metering.capacity_fact'
    ]::regclass[] LOOP
        EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON %s '
                       'FOR EACH ROW EXECUTE FUNCTION infra.refuse_change()', append_only);
        EXECUTE format('CREATE TRIGGER append_only_whole BEFORE TRUNCATE ON %s '
                       'FOR EACH STATEMENT EXECUTE FUNCTION infra.refuse_change()', append_only);
    END LOOP;
END $$;

-- ---------------------------------------------------------------------------------------------------------------
-- Roles and row-level security. Roles are made by infra/db/roles.sql (they belong to the cluster, not to the database):
--   kyoyo_tenant    portal, for one organisation per transaction (kyoyo.organisation_id)
--   kyoyo_operator  portal, for an operator
--   kyoyo_officer   portal, for a program officer: reads figures
--   kyoyo_worker    the loops: sees all; used by no web request
--   kyoyo_auditor   reads all, changes nothing
--   kyoyo_portal    what the portal logs in as: may become tenant, operator or officer, and sees nothing by itself
-- The owner (kyoyo_owner, the migrator) serves no request.
-- ---------------------------------------------------------------------------------------------------------------

GRANT USAGE ON SCHEMA infra, accounts, scheduler, pricing, metering
    TO kyoyo_tenant, kyoyo_operator, kyoyo_officer, kyoyo_worker, kyoyo_auditor, kyoyo_portal;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA infra, accounts, scheduler, pricing, metering FROM PUBLIC;
GRANT EXECUTE ON FUNCTION infra.current_organisation(), infra.jst_date(timestamptz), scheduler.waiting_by_backend()
    TO kyoyo_tenant, kyoyo_operator, kyoyo_officer, kyoyo_worker, kyoyo_auditor;
GRANT EXECUTE ON FUNCTION accounts.authenticate(bytea, timestamptz) TO kyoyo_portal;
GRANT EXECUTE ON FUNCTION accounts.append_audit(timestamptz, uuid, uuid, text, text, jsonb)
    TO kyoyo_tenant, kyoyo_operator, kyoyo_officer, kyoyo_worker;
GRANT EXECUTE ON FUNCTION accounts.find_or_add_person(uuid, text, text, timestamptz) TO kyoyo_tenant, kyoyo_operator;
GRANT EXECUTE ON FUNCTION pricing.lock_wallet(uuid) TO kyoyo_tenant, kyoyo_operator, kyoyo_worker;
GRANT EXECUTE ON FUNCTION infra.fence(text, bigint) TO kyoyo_worker;

GRANT SELECT ON ALL TABLES IN SCHEMA infra, accounts, scheduler, pricing, metering TO kyoyo_worker, kyoyo_auditor;
GRANT SELECT ON ALL TABLES IN SCHEMA accounts, scheduler, pricing, metering TO kyoyo_operator;
-- Nobody but the worker sees what is encrypted.
REVOKE SELECT ON accounts.secret FROM kyoyo_operator, kyoyo_auditor;
GRANT SELECT (id, organisation_id, person_id, name, key_id, created_at, removed_at) ON accounts.secret
    TO kyoyo_operator, kyoyo_auditor, kyoyo_tenant;
GRANT SELECT ON accounts.organisation, accounts.person, accounts.membership, accounts.declaration,
    pricing.offering, pricing.price_version, pricing.price_component, pricing.market_reference, pricing.rated_line,
    metering.usage_record, metering.capacity_fact, metering.collection TO kyoyo_officer;

-- The worker appends facts and keeps projections.
GRANT INSERT, UPDATE ON infra.leader TO kyoyo_worker;
GRANT INSERT ON ALL TABLES IN SCHEMA scheduler, pricing, metering TO kyoyo_worker;
GRANT UPDATE ON pricing.wallet, pricing.hold, pricing.billable_attempt, pricing.parked_usage,
    metering.collection, metering.parked_row TO kyoyo_worker;
GRANT UPDATE (state, backend_ref, dispatched_at, started_at, ended_at, exit_code, reason, not_before, doubt, doubt_since,
              unknown_count, wait_reason, wait_facts, version, preempt_wanted_at, preempt_for, offering_id) ON scheduler.attempt TO kyoyo_worker;
GRANT UPDATE (ciphertext, key_id) ON accounts.secret TO kyoyo_worker;

-- An operator manages organisations, prices, grants and shares.
GRANT INSERT ON accounts.person, accounts.organisation, accounts.declaration, accounts.membership, accounts.staff,
    accounts.project, accounts.api_token, accounts.site_user,
    pricing.offering, pricing.market_reference, pricing.price_version, pricing.price_component,
    pricing.wallet, pricing.lot, pricing.ledger_transaction, pricing.ledger_entry,
    scheduler.exchange_rate, scheduler.share, scheduler.cancellation TO kyoyo_operator;
GRANT UPDATE ON accounts.organisation, accounts.membership, accounts.api_token, pricing.offering TO kyoyo_operator;
GRANT UPDATE (removed_at) ON accounts.site_user, accounts.secret TO kyoyo_operator;

-- Two persons: an operator proposes, another one decides. No loop does.
GRANT INSERT ON pricing.proposal, pricing.proposal_decision, pricing.promotion, pricing.policy TO kyoyo_operator;
REVOKE INSERT ON pricing.proposal, pricing.proposal_decision, pricing.promotion, pricing.policy FROM kyoyo_worker;
GRANT SELECT ON pricing.promotion, pricing.policy TO kyoyo_officer, kyoyo_tenant;

-- Limits on spending, notices, and what the machines can deliver.
REVOKE INSERT ON pricing.budget, pricing.deliverable FROM kyoyo_worker;
GRANT SELECT ON pricing.budget, pricing.notice TO kyoyo_tenant;
GRANT INSERT ON pricing.budget TO kyoyo_tenant, kyoyo_operator;
GRANT INSERT ON pricing.deliverable TO kyoyo_operator;

-- Refunds: an operator decides, and its transaction books what follows.
REVOKE INSERT ON pricing.refund FROM kyoyo_worker;
GRANT SELECT ON pricing.refund TO kyoyo_tenant;
GRANT INSERT ON pricing.refund, pricing.rated_line TO kyoyo_operator;

-- A tenant reads its own and submits, cancels, and manages its tokens, members and projects.
GRANT SELECT ON accounts.person, accounts.organisation, accounts.declaration, accounts.membership, accounts.project,
    accounts.audit_entry, accounts.site_user, pricing.offering, pricing.market_reference, pricing.price_version, pricing.price_component,
    pricing.wallet, pricing.lot, pricing.quote, pricing.hold, pricing.billable_attempt, pricing.rated_line,
    pricing.ledger_transaction, pricing.ledger_entry, pricing.ledger_balance,
    scheduler.job, scheduler.job_array, scheduler.dependency, scheduler.job_payload, scheduler.cancellation,
    scheduler.attempt, scheduler.attempt_event, scheduler.decision, scheduler.attempt_result, scheduler.exchange_rate, scheduler.share, scheduler.fairshare_charge,
    metering.usage_record TO kyoyo_tenant;
GRANT SELECT (id, person_id, organisation_id, label, scopes, created_at, expires_at, revoked_at)
    ON accounts.api_token TO kyoyo_tenant;
GRANT INSERT ON scheduler.job, scheduler.job_array, scheduler.dependency, scheduler.job_payload, scheduler.cancellation,
    scheduler.attempt, scheduler.attempt_event,
    pricing.quote, pricing.hold, pricing.billable_attempt, pricing.ledger_transaction, pricing.ledger_entry,
    accounts.api_token, accounts.membership, accounts.project, accounts.secret TO kyoyo_tenant;
GRANT UPDATE (removed_at) ON accounts.site_user, accounts.secret TO kyoyo_tenant;
GRANT UPDATE (revoked_at) ON accounts.api_token TO kyoyo_tenant;
GRANT UPDATE (until) ON accounts.membership TO kyoyo_tenant;

-- Files: operators see how much there is, by metrics, and no names.
GRANT USAGE ON SCHEMA portal TO kyoyo_tenant, kyoyo_operator, kyoyo_officer, kyoyo_worker, kyoyo_auditor, kyoyo_portal;
GRANT SELECT ON portal.object, portal.upload TO kyoyo_worker, kyoyo_auditor, kyoyo_tenant;
GRANT INSERT ON portal.object, portal.upload TO kyoyo_worker, kyoyo_tenant;
GRANT UPDATE ON portal.object, portal.upload TO kyoyo_worker;
GRANT UPDATE (replaced_at, removed_at) ON portal.object TO kyoyo_tenant;
GRANT UPDATE (token, ended_at, ending) ON portal.upload TO kyoyo_tenant;
GRANT SELECT ON scheduler.job_input, scheduler.attempt_files, scheduler.attempt_output TO kyoyo_worker, kyoyo_auditor, kyoyo_operator, kyoyo_tenant;
GRANT INSERT ON scheduler.job_input, scheduler.attempt_files, scheduler.attempt_output TO kyoyo_worker;
GRANT UPDATE ON scheduler.attempt_files TO kyoyo_worker;
GRANT INSERT ON scheduler.job_input TO kyoyo_tenant;

-- Devices are public to whoever is signed in.
GRANT SELECT ON scheduler.device, scheduler.device_calibration, scheduler.device_state
    TO kyoyo_worker, kyoyo_auditor, kyoyo_operator, kyoyo_officer, kyoyo_tenant;
GRANT INSERT ON scheduler.device, scheduler.device_calibration, scheduler.device_state TO kyoyo_worker;
GRANT UPDATE ON scheduler.device TO kyoyo_worker;

GRANT SELECT ON scheduler.exchange_rate TO kyoyo_officer;

-- The one thing that anybody deletes: word of changes, as it is taken.
GRANT DELETE ON scheduler.changed TO kyoyo_worker;

GRANT SELECT ON scheduler.forecast TO kyoyo_tenant;
GRANT UPDATE ON scheduler.forecast TO kyoyo_worker;

-- Phases of hybrid jobs.
GRANT SELECT ON scheduler.job_phase, scheduler.phase_start, scheduler.phase_input, pricing.quote_phase
    TO kyoyo_worker, kyoyo_auditor, kyoyo_operator, kyoyo_tenant;
GRANT INSERT ON scheduler.job_phase, scheduler.phase_start, scheduler.phase_input, pricing.quote_phase
    TO kyoyo_worker;
GRANT INSERT ON scheduler.job_phase, pricing.quote_phase TO kyoyo_tenant;

GRANT SELECT ON scheduler.job_qpu, scheduler.qpu_call, scheduler.qpu_answer, scheduler.qpu_closed
    TO kyoyo_worker, kyoyo_auditor, kyoyo_operator, kyoyo_tenant;
GRANT INSERT ON scheduler.job_qpu, scheduler.qpu_call, scheduler.qpu_answer, scheduler.qpu_closed TO kyoyo_worker;
GRANT INSERT ON scheduler.job_qpu TO kyoyo_tenant;

-- Reservations; their calendar is public to whoever is signed in.
GRANT EXECUTE ON FUNCTION scheduler.reservable_units(text, timestamptz) TO kyoyo_worker, kyoyo_operator, kyoyo_tenant;
GRANT SELECT ON scheduler.reservable, scheduler.closure, scheduler.closure_lifted, scheduler.reserved_hour,
    scheduler.reservation_quota, scheduler.reservation, scheduler.reservation_cancelled, scheduler.reservation_job
    TO kyoyo_tenant;
GRANT INSERT ON scheduler.reservation, scheduler.reservation_cancelled, scheduler.reservation_job TO kyoyo_tenant;
GRANT INSERT ON scheduler.reservable, scheduler.closure, scheduler.closure_lifted, scheduler.reservation_quota,
    scheduler.reservation_cancelled TO kyoyo_operator;

GRANT INSERT ON scheduler.elastic_rule, scheduler.disruption, scheduler.disruption_ended TO kyoyo_operator;

-- Placement.
GRANT SELECT ON scheduler.job_candidate, scheduler.data_rule TO kyoyo_tenant;
GRANT INSERT ON scheduler.job_candidate, scheduler.data_rule TO kyoyo_tenant;
GRANT INSERT ON scheduler.data_rule TO kyoyo_operator;

-- Documents and the month's close: the worker issues what an operator has decided.
GRANT UPDATE ON pricing.document_counter TO kyoyo_worker;
GRANT INSERT ON pricing.document_counter, pricing.document, pricing.month_close TO kyoyo_operator;
GRANT UPDATE ON pricing.document_counter TO kyoyo_operator;
GRANT SELECT ON pricing.document, pricing.closed_account TO kyoyo_tenant;

-- Payments: the worker keeps the books with Stripe, an operator tells what came elsewhere, a tenant asks for a page to pay on.
GRANT EXECUTE ON FUNCTION pricing.receive_event(text, text, text, timestamptz, timestamptz)
    TO kyoyo_portal, kyoyo_worker, kyoyo_operator;
GRANT UPDATE (handled_at) ON pricing.inbox TO kyoyo_worker;
GRANT INSERT ON pricing.receivable, pricing.receivable_credit, pricing.payment, pricing.payment_reversal, pricing.outbox,
    pricing.payment_case, pricing.payment_case_resolution TO kyoyo_operator;
GRANT SELECT ON pricing.receivable, pricing.receivable_credit, pricing.top_up, pricing.payment, pricing.payment_reversal,
    pricing.stripe_link, pricing.payment_case, pricing.payment_case_resolution TO kyoyo_tenant;
GRANT INSERT ON pricing.top_up, pricing.outbox TO kyoyo_tenant;

-- Every tenant table: forced row-level security, own rows for the tenant, all rows for the house's roles.
-- What each role may do at all is in the grants above; the policies say with which rows.
DO $$
DECLARE
    tenant_table regclass;
BEGIN
    FOR tenant_table IN
        SELECT c.oid::regclass FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname IN ('accounts', 'scheduler', 'pricing', 'metering', 'portal') AND c.relkind = 'r'
           AND (EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'organisation_id')
                OR c.oid = 'accounts.organisation'::regclass OR c.oid = 'accounts.person'::regclass)
    LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format('CREATE POLICY house ON %s TO kyoyo_owner, kyoyo_worker, kyoyo_operator, kyoyo_officer, '
                       'kyoyo_auditor USING (true) WITH CHECK (true)', tenant_table);
        IF tenant_table NOT IN ('accounts.organisation'::regclass, 'accounts.person'::regclass) THEN
            EXECUTE format('CREATE POLICY own ON %s TO kyoyo_tenant USING (organisation_id = infra.current_organisation()) '
                           'WITH CHECK (organisation_id = infra.current_organisation())', tenant_table);
        END IF;
    END LOOP;
END $$;
CREATE POLICY own ON accounts.organisation TO kyoyo_tenant USING (id = infra.current_organisation());
-- A tenant sees the persons who are or were members; accounts.find_or_add_person() adds one.
CREATE POLICY own ON accounts.person FOR SELECT TO kyoyo_tenant USING (EXISTS (
    SELECT FROM accounts.membership m WHERE m.person_id = person.id AND m.organisation_id = infra.current_organisation()));
-- The only money movement that a tenant's own request makes is the hold of a submission.
CREATE POLICY only_holds ON pricing.ledger_transaction AS RESTRICTIVE FOR INSERT TO kyoyo_tenant WITH CHECK (template = 'hold');
CREATE POLICY only_holds ON pricing.ledger_entry AS RESTRICTIVE FOR INSERT TO kyoyo_tenant
    WITH CHECK ((bucket = 'available' AND amount_micro_yen < 0) OR (bucket = 'held' AND amount_micro_yen > 0));
-- A tenant's request only ever queues an attempt; every later state is the worker's word.
CREATE POLICY only_queued ON scheduler.attempt AS RESTRICTIVE FOR INSERT TO kyoyo_tenant WITH CHECK (state = 'QUEUED');
CREATE POLICY only_open ON pricing.billable_attempt AS RESTRICTIVE FOR INSERT TO kyoyo_tenant WITH CHECK (ending IS NULL AND accounting_final_at IS NULL AND settled_at IS NULL);
CREATE POLICY only_open ON pricing.hold AS RESTRICTIVE FOR INSERT TO kyoyo_tenant WITH CHECK (closed_at IS NULL);
-- All that a tenant's own request asks of Stripe is a page on which to pay.
CREATE POLICY only_checkout ON pricing.outbox AS RESTRICTIVE FOR INSERT TO kyoyo_tenant
    WITH CHECK (kind = 'checkout.open' AND revision = 0);
