-- For dashboards: what a device takes on disk, as counted last. Not a metric, because a fleet would
-- be as many time series as it has devices.
CREATE VIEW grafana.device_storage AS
SELECT d.endpoint, s.bytes, s.samples, s.counted_at
  FROM storage_device s JOIN device d ON d.id = s.device_id;
GRANT SELECT ON grafana.device_storage TO braid_grafana;
