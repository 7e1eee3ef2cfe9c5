-- How far organisations go beyond their nominal share of each machine, and how much of their own they lend.

ALTER TABLE scheduler.share
    ADD COLUMN max_borrow_percent integer CHECK (max_borrow_percent >= 0),             -- beyond its nominal share, of that share
    ADD COLUMN max_lend_percent   integer CHECK (max_lend_percent BETWEEN 0 AND 100),  -- of its nominal share while it is idle
    ADD CONSTRAINT share_only_organisations_lend
        CHECK (num_nonnulls(project_id, backend) = 0 OR num_nonnulls(max_borrow_percent, max_lend_percent) = 0);
