-- The ledger's checks look at what a statement appended as a whole, instead of at each row: the same rules, once.

DROP TRIGGER ledger_entry_project ON pricing.ledger_entry;
DROP TRIGGER ledger_entry_balanced ON pricing.ledger_entry;
DROP TRIGGER ledger_entry_late ON pricing.ledger_entry;
DROP TRIGGER ledger_transaction_balanced ON pricing.ledger_transaction;
DROP FUNCTION pricing.project_balance();
DROP FUNCTION pricing.refuse_unbalanced();
DROP FUNCTION pricing.refuse_late_entry();

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
REVOKE ALL ON FUNCTION pricing.project_balances(), pricing.refuse_unsound_entries(), pricing.refuse_unbalanced() FROM PUBLIC;
