-- Database roles. They belong to the cluster, not to one database, so this file can be run again and again; where all is
-- there already it needs no rights. No role that serves requests owns a table or bypasses row-level security.
DO $$
DECLARE
    wanted text;
    may_login text;
BEGIN
    FOR wanted, may_login IN VALUES
        ('kyoyo_owner', 'NOLOGIN'), ('kyoyo_tenant', 'NOLOGIN'), ('kyoyo_operator', 'NOLOGIN'), ('kyoyo_officer', 'NOLOGIN'),
        ('kyoyo_portal', 'LOGIN'), ('kyoyo_worker', 'LOGIN'), ('kyoyo_auditor', 'LOGIN')
    LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I %s NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE', wanted, may_login);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL;  -- another database of the cluster is being prepared at the same time, and has just made it
            END;
        END IF;
    END LOOP;
    -- The portal may become one of these for a transaction; by itself it inherits nothing.
    FOREACH wanted IN ARRAY ARRAY['kyoyo_tenant', 'kyoyo_operator', 'kyoyo_officer'] LOOP
        IF NOT pg_has_role('kyoyo_portal', wanted, 'SET') THEN
            EXECUTE format('GRANT %I TO kyoyo_portal WITH INHERIT FALSE, SET TRUE', wanted);
        END IF;
    END LOOP;
END $$;
