-- Database roles. They belong to the cluster, not to one database, so this file can be run again and again.
-- No role that serves requests owns a table or bypasses row-level security.
DO $$
DECLARE
    wanted text;
BEGIN
    -- Databases on one cluster are prepared at the same time (parallel tests): one of them makes the roles.
    PERFORM pg_advisory_xact_lock(7711002);
    FOREACH wanted IN ARRAY ARRAY['kyoyo_owner', 'kyoyo_tenant', 'kyoyo_operator', 'kyoyo_officer'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE', wanted);
        END IF;
    END LOOP;
    FOREACH wanted IN ARRAY ARRAY['kyoyo_portal', 'kyoyo_worker', 'kyoyo_auditor'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            EXECUTE format('CREATE ROLE %I LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE', wanted);
        END IF;
    END LOOP;
    -- The portal may become one of these for a transaction; by itself it inherits nothing.
    GRANT kyoyo_tenant, kyoyo_operator, kyoyo_officer TO kyoyo_portal WITH INHERIT FALSE, SET TRUE;
END $$;
