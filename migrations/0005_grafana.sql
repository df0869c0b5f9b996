-- What dashboards see: plain views by endpoint and series key, and nothing else (no users, no
-- tokens, no requests). A dashboard's query may not run for ever.

CREATE SCHEMA grafana;

CREATE VIEW grafana.devices AS
SELECT d.id, d.endpoint, d.status, d.sentence, d.link, d.status_since, d.last_seen, d.manufacturer,
       d.model, d.serial, d.firmware, d.fault, d.spb_group, d.spb_node, d.created_at,
       r.state AS lwm2m_state, r.lifetime AS lwm2m_lifetime, r.expires_at AS lwm2m_expires_at,
       n.life AS sparkplug_life, n.born_at AS sparkplug_born_at, n.died_at AS sparkplug_died_at,
       n.rebirths AS sparkplug_rebirths
  FROM device d
  LEFT JOIN registration r ON r.device_id = d.id
  LEFT JOIN spb_node n ON n.device_id = d.id;

CREATE VIEW grafana.series AS
SELECT s.id, d.endpoint, s.source, s.key AS series, s.datatype, s.unit
  FROM series s JOIN device d ON d.id = s.device_id;

CREATE VIEW grafana.samples AS
SELECT d.endpoint, s.key AS series, s.unit, v.ts, v.value, v.quality
  FROM device d JOIN series s ON s.device_id = d.id JOIN samples v ON v.series_id = s.id;

CREATE VIEW grafana.timeline AS
SELECT e.at, d.endpoint, e.strand, e.kind, e.text
  FROM timeline_event e JOIN device d ON d.id = e.device_id;

GRANT USAGE ON SCHEMA grafana TO braid_grafana;
GRANT SELECT ON ALL TABLES IN SCHEMA grafana TO braid_grafana;

DO $$
BEGIN
    ALTER ROLE braid_grafana SET statement_timeout = '15s';
EXCEPTION
    WHEN insufficient_privilege THEN
        RAISE NOTICE 'ask a superuser: ALTER ROLE braid_grafana SET statement_timeout = ''15s''';
END $$;
