-- Month close, and invoices, credit notes, receipts and statements as facts.

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
    CHECK (total_yen = subtotal_yen + tax_yen),
    CHECK (kind IN ('receipt', 'statement')
           OR amount_due_yen = total_yen - prepaid_applied_yen + carried_in_yen - carried_out_yen),
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

-- The month in whose document a line is, fixed when it is written.
ALTER TABLE pricing.rated_line ADD COLUMN billed_month date;
ALTER TABLE pricing.rated_line DISABLE TRIGGER append_only;
UPDATE pricing.rated_line SET billed_month = date_trunc('month', accounting_date)::date;
ALTER TABLE pricing.rated_line ENABLE TRIGGER append_only;
ALTER TABLE pricing.rated_line ALTER COLUMN billed_month SET NOT NULL;
CREATE INDEX rated_line_billed ON pricing.rated_line (organisation_id, billed_month);
DROP INDEX pricing.rated_line_job;
CREATE INDEX rated_line_job ON pricing.rated_line (job_id, billed_month);

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
REVOKE ALL ON FUNCTION pricing.assign_billed_month() FROM PUBLIC;

GRANT SELECT ON pricing.document_counter, pricing.document, pricing.closed_account, pricing.month_close
    TO kyoyo_worker, kyoyo_auditor, kyoyo_operator;
GRANT INSERT ON pricing.document_counter, pricing.document, pricing.closed_account, pricing.month_close TO kyoyo_worker;
GRANT UPDATE ON pricing.document_counter TO kyoyo_worker;
GRANT INSERT ON pricing.document_counter, pricing.document, pricing.month_close TO kyoyo_operator;
GRANT UPDATE ON pricing.document_counter TO kyoyo_operator;
GRANT SELECT ON pricing.document, pricing.closed_account TO kyoyo_tenant;

DO $$
DECLARE
    new_table regclass;
BEGIN
    FOREACH new_table IN ARRAY ARRAY['pricing.document', 'pricing.closed_account', 'pricing.month_close']::regclass[] LOOP
        EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON %s '
                       'FOR EACH ROW EXECUTE FUNCTION infra.refuse_change()', new_table);
        EXECUTE format('CREATE TRIGGER append_only_whole BEFORE TRUNCATE ON %s '
                       'FOR EACH STATEMENT EXECUTE FUNCTION infra.refuse_change()', new_table);
    END LOOP;
    FOREACH new_table IN ARRAY ARRAY['pricing.document', 'pricing.closed_account']::regclass[] LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', new_table);
        EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', new_table);
        EXECUTE format('CREATE POLICY house ON %s TO kyoyo_owner, kyoyo_worker, kyoyo_operator, kyoyo_officer, '
                       'kyoyo_auditor USING (true) WITH CHECK (true)', new_table);
        EXECUTE format('CREATE POLICY own ON %s TO kyoyo_tenant USING (organisation_id = infra.current_organisation()) '
                       'WITH CHECK (organisation_id = infra.current_organisation())', new_table);
    END LOOP;
END $$;
