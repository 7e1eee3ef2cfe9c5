-- How long a call of a running job waits for its device, while the job's GPUs are held and charged.

ALTER TABLE scheduler.job_qpu
    ADD COLUMN wait_s integer NOT NULL DEFAULT 300 CHECK (wait_s > 0);  -- not taken by the device for so long, a call ends
