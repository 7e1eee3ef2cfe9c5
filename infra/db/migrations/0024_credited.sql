-- What is to be given back lowers documents that are still open, and only the rest of it is carried.

ALTER TABLE pricing.document ADD COLUMN credited_yen bigint NOT NULL DEFAULT 0 CHECK (credited_yen >= 0);
ALTER TABLE pricing.document
    DROP CONSTRAINT document_check2,
    ADD CONSTRAINT document_check2 CHECK (
        kind IN ('receipt', 'statement')
        OR amount_due_yen = total_yen - prepaid_applied_yen + carried_in_yen - carried_out_yen + credited_yen);
ALTER TABLE pricing.receivable_credit DROP CONSTRAINT receivable_credit_pkey, ADD PRIMARY KEY (note_id, document_id);
