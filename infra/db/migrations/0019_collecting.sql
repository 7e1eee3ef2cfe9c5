-- Money that is asked for and comes: receivables, payments, what is to be done at Stripe and what happened there.

CREATE TYPE pricing.payment_method AS ENUM ('bank_transfer', 'card', 'elsewhere');

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
    note_id         uuid PRIMARY KEY,                         -- the credit note
    document_id     uuid NOT NULL,
    organisation_id uuid NOT NULL,
    number          text NOT NULL,
    amount_yen      bigint NOT NULL CHECK (amount_yen > 0),
    recorded_at     timestamptz NOT NULL,
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
    'done',
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
REVOKE ALL ON FUNCTION pricing.receive_event(text, text, text, timestamptz, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pricing.receive_event(text, text, text, timestamptz, timestamptz)
    TO kyoyo_portal, kyoyo_worker, kyoyo_operator;

GRANT SELECT ON pricing.receivable, pricing.receivable_credit, pricing.top_up, pricing.payment, pricing.payment_reversal,
    pricing.stripe_link, pricing.outbox, pricing.outbox_attempt, pricing.inbox, pricing.payment_case,
    pricing.payment_case_resolution, pricing.reconciliation TO kyoyo_worker, kyoyo_auditor, kyoyo_operator;
GRANT INSERT ON pricing.receivable, pricing.receivable_credit, pricing.top_up, pricing.payment, pricing.payment_reversal,
    pricing.stripe_link, pricing.outbox, pricing.outbox_attempt, pricing.inbox, pricing.payment_case,
    pricing.payment_case_resolution, pricing.reconciliation TO kyoyo_worker;
GRANT UPDATE (handled_at) ON pricing.inbox TO kyoyo_worker;
GRANT INSERT ON pricing.receivable, pricing.receivable_credit, pricing.payment, pricing.payment_reversal, pricing.outbox,
    pricing.payment_case, pricing.payment_case_resolution TO kyoyo_operator;
GRANT SELECT ON pricing.receivable, pricing.receivable_credit, pricing.top_up, pricing.payment, pricing.payment_reversal,
    pricing.stripe_link, pricing.payment_case, pricing.payment_case_resolution TO kyoyo_tenant;
GRANT INSERT ON pricing.top_up, pricing.outbox TO kyoyo_tenant;

DO $$
DECLARE
    new_table regclass;
BEGIN
    FOREACH new_table IN ARRAY ARRAY['pricing.receivable', 'pricing.receivable_credit', 'pricing.top_up',
            'pricing.payment', 'pricing.payment_reversal', 'pricing.stripe_link', 'pricing.outbox',
            'pricing.outbox_attempt', 'pricing.payment_case', 'pricing.payment_case_resolution',
            'pricing.reconciliation']::regclass[] LOOP
        EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON %s '
                       'FOR EACH ROW EXECUTE FUNCTION infra.refuse_change()', new_table);
        EXECUTE format('CREATE TRIGGER append_only_whole BEFORE TRUNCATE ON %s '
                       'FOR EACH STATEMENT EXECUTE FUNCTION infra.refuse_change()', new_table);
    END LOOP;
    FOREACH new_table IN ARRAY ARRAY['pricing.receivable', 'pricing.receivable_credit', 'pricing.top_up',
            'pricing.payment', 'pricing.payment_reversal', 'pricing.stripe_link', 'pricing.outbox',
            'pricing.payment_case', 'pricing.payment_case_resolution']::regclass[] LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', new_table);
        EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', new_table);
        EXECUTE format('CREATE POLICY house ON %s TO kyoyo_owner, kyoyo_worker, kyoyo_operator, kyoyo_officer, '
                       'kyoyo_auditor USING (true) WITH CHECK (true)', new_table);
        EXECUTE format('CREATE POLICY own ON %s TO kyoyo_tenant USING (organisation_id = infra.current_organisation()) '
                       'WITH CHECK (organisation_id = infra.current_organisation())', new_table);
    END LOOP;
END $$;
-- All that a tenant's own request asks of Stripe is a page on which to pay.
CREATE POLICY only_checkout ON pricing.outbox AS RESTRICTIVE FOR INSERT TO kyoyo_tenant
    WITH CHECK (kind = 'checkout.open' AND revision = 0);
