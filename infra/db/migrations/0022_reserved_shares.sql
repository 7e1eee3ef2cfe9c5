-- How much of a machine an organisation has for its work of class reserved.

ALTER TABLE scheduler.share
    ADD COLUMN reserved_units integer CHECK (reserved_units >= 0),  -- GPUs or QPUs for class reserved, kept from firm work
    ADD CONSTRAINT share_reserved_of_organisation
        CHECK (reserved_units IS NULL OR (project_id IS NULL AND backend IS NOT NULL));
