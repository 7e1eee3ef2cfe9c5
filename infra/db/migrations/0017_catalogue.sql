-- Two persons for what moves prices and value: proposals, and what a second person decided about each.

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

GRANT SELECT ON pricing.proposal, pricing.proposal_decision TO kyoyo_worker, kyoyo_auditor, kyoyo_operator;
GRANT INSERT ON pricing.proposal, pricing.proposal_decision TO kyoyo_operator;

DO $$
DECLARE
    new_table regclass;
BEGIN
    FOREACH new_table IN ARRAY ARRAY['pricing.proposal', 'pricing.proposal_decision']::regclass[] LOOP
        EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON %s '
                       'FOR EACH ROW EXECUTE FUNCTION infra.refuse_change()', new_table);
        EXECUTE format('CREATE TRIGGER append_only_whole BEFORE TRUNCATE ON %s '
                       'FOR EACH STATEMENT EXECUTE FUNCTION infra.refuse_change()', new_table);
    END LOOP;
END $$;
