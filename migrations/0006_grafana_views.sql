-- What the shipped dashboards ask beyond the first views. Still no users, no tokens, and of a command
-- only its operation and path: what was written may be a secret.

CREATE OR REPLACE VIEW grafana.devices AS
SELECT d.id, d.endpoint, d.status, d.sentence, d.link, d.status_since, d.last_seen, d.manufacturer,
       d.model, d.serial, d.firmware, d.fault, d.spb_group, d.spb_node, d.created_at,
       r.state AS lwm2m_state, r.lifetime AS lwm2m_lifetime, r.expires_at AS lwm2m_expires_at,
       n.life AS sparkplug_life, n.born_at AS sparkplug_born_at, n.died_at AS sparkplug_died_at,
       n.rebirths AS sparkplug_rebirths,
       r.dialect AS lwm2m_dialect, r.version AS lwm2m_version, r.binding AS lwm2m_binding,
       r.queue_mode AS lwm2m_queue_mode, r.registered_at AS lwm2m_registered_at,
       r.updated_at AS lwm2m_updated_at, n.conformant AS sparkplug_conformant,
       n.last_cause AS sparkplug_last_cause, n.last_cause_at AS sparkplug_last_cause_at
  FROM device d
  LEFT JOIN registration r ON r.device_id = d.id
  LEFT JOIN spb_node n ON n.device_id = d.id;

CREATE VIEW grafana.subdevices AS
SELECT d.endpoint, s.name, s.life, s.born_at, s.died_at
  FROM subdevice s JOIN device d ON d.id = s.device_id;

-- value is text: numbers, words and JSON alike.
CREATE VIEW grafana.latest AS
SELECT d.endpoint, s.source, s.key AS series, s.datatype, s.unit, l.at, l.value #>> '{}' AS value,
       l.quality
  FROM series_latest l JOIN series s ON s.id = l.series_id JOIN device d ON d.id = s.device_id;

CREATE VIEW grafana.text_samples AS
SELECT d.endpoint, s.key AS series, v.ts,
       CASE v.kind WHEN 'b' THEN length(v.bytes) || ' bytes' ELSE v.value END AS value, v.quality
  FROM device d JOIN series s ON s.device_id = d.id JOIN text_samples v ON v.series_id = s.id;

CREATE VIEW grafana.commands AS
SELECT c.created_at, d.endpoint, c.op, c.request ->> 'path' AS path, c.state, c.why, c.sent_at,
       c.finished_at
  FROM command c JOIN device d ON d.id = c.device_id;

-- Rows that PostgreSQL refused, without their content.
CREATE VIEW grafana.set_aside AS
SELECT at, kind, sqlstate, reason FROM poisoned;

GRANT SELECT ON ALL TABLES IN SCHEMA grafana TO braid_grafana;
