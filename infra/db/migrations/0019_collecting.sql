-- Placeholder until collecting (Stripe, slice C) is here: put its migration into this file, or delete this file when adding another 0019.
SELECT 1;
