-- The share tree organisation → project → user: weights and limits at every level, who set them, and the use of each.

ALTER TABLE scheduler.share
    ADD COLUMN project_id         uuid,                                   -- NULL: the organisation itself
    ADD COLUMN person_id          uuid REFERENCES accounts.person,        -- NULL: the project itself
    ADD COLUMN backend            text,                                   -- NULL: weight, and limits in total
    ADD COLUMN max_gpus           integer CHECK (max_gpus >= 0),
    ADD COLUMN max_month_micro_nu bigint CHECK (max_month_micro_nu >= 0), -- in a month of Japan's calendar
    ADD COLUMN version            bigint GENERATED ALWAYS AS IDENTITY,
    ADD COLUMN recorded_at        timestamptz,                            -- NULL: when it took effect
    ADD COLUMN set_by             uuid REFERENCES accounts.person,        -- NULL: on the server itself
    ADD COLUMN reason             text NOT NULL DEFAULT '' CHECK (length(reason) <= 500),
    DROP CONSTRAINT share_pkey,
    ADD PRIMARY KEY (version),
    ADD CONSTRAINT share_once UNIQUE NULLS NOT DISTINCT (organisation_id, project_id, person_id, backend, effective_at),
    ADD CONSTRAINT share_project FOREIGN KEY (project_id, organisation_id) REFERENCES accounts.project (id, organisation_id),
    ADD CONSTRAINT share_user_of_project CHECK (person_id IS NULL OR project_id IS NOT NULL),
    ADD CONSTRAINT share_weight_in_total CHECK ((backend IS NULL) = (weight IS NOT NULL)),
    ADD CONSTRAINT share_organisation_is_limited
        CHECK (num_nonnulls(project_id, backend) > 0 OR num_nulls(max_queued_jobs, max_running_jobs) = 0),
    ALTER COLUMN weight DROP NOT NULL,
    ALTER COLUMN max_queued_jobs DROP NOT NULL,
    ALTER COLUMN max_running_jobs DROP NOT NULL;
ALTER TABLE scheduler.share ALTER COLUMN reason DROP DEFAULT;
COMMENT ON TABLE scheduler.share IS 'Append-only: weight of a branch of the share tree among its siblings, and its limits (NULL: none). The latest effective row of a branch and backend holds; without one the settings'' defaults do.';

ALTER TABLE scheduler.exchange_rate
    ADD COLUMN version     bigint GENERATED ALWAYS AS IDENTITY,
    ADD COLUMN recorded_at timestamptz,                                   -- NULL: nobody kept it
    ADD COLUMN set_by      uuid REFERENCES accounts.person,               -- NULL: on the server itself
    ADD COLUMN reason      text NOT NULL DEFAULT '' CHECK (length(reason) <= 500),
    ADD CONSTRAINT exchange_rate_version UNIQUE (version);
ALTER TABLE scheduler.exchange_rate ALTER COLUMN reason DROP DEFAULT;
GRANT SELECT ON scheduler.exchange_rate TO kyoyo_officer;

-- Whose use it was, copied from its job: every cycle adds it up by branch, every limit of a month by backend.
ALTER TABLE scheduler.fairshare_charge
    ADD COLUMN project_id uuid,
    ADD COLUMN person_id  uuid,
    ADD COLUMN backend    text;
ALTER TABLE scheduler.fairshare_charge DISABLE TRIGGER append_only;
UPDATE scheduler.fairshare_charge c SET project_id = j.project_id, person_id = j.person_id, backend = a.backend
  FROM scheduler.attempt a JOIN scheduler.job j ON j.id = a.job_id WHERE a.id = c.attempt_id;
SET CONSTRAINTS ALL IMMEDIATE;
ALTER TABLE scheduler.fairshare_charge ENABLE TRIGGER append_only;
ALTER TABLE scheduler.fairshare_charge
    ALTER COLUMN project_id SET NOT NULL, ALTER COLUMN person_id SET NOT NULL, ALTER COLUMN backend SET NOT NULL;
