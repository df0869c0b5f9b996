-- The three roles and the database; what each role may do is the migrations' word. Run by the
-- cluster's superuser, as often as one likes.
\set ON_ERROR_STOP on
SELECT format('CREATE ROLE %I LOGIN', name)
  FROM unnest(ARRAY['braid_owner', 'braid_app', 'braid_grafana']) AS name
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
\gexec
ALTER ROLE braid_grafana SET statement_timeout = '15s';
-- Compiling a query for history costs more than running it.
ALTER ROLE braid_grafana SET jit = off;
SELECT 'CREATE DATABASE braid OWNER braid_owner'
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'braid')
\gexec
\connect braid
REVOKE ALL ON SCHEMA public FROM PUBLIC;
REVOKE ALL ON DATABASE braid FROM PUBLIC;
GRANT CONNECT ON DATABASE braid TO braid_app, braid_grafana;
GRANT ALL ON SCHEMA public TO braid_owner;
GRANT USAGE ON SCHEMA public TO braid_app;
-- A dashboard's query may not run for ever.
ALTER ROLE braid_grafana SET statement_timeout = '15s';
