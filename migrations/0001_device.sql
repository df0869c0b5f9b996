-- Devices, their two strands and their series. One row per device: a device is one MQTT client, its
-- LwM2M registration and its Sparkplug node hang on it and go with it.
-- Ids come from the engine (they exist before PostgreSQL hears of them, also while it is away).

-- The roles are normally made beforehand by the cluster's superuser (compose/roles.sql).
DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['braid_app', 'braid_grafana'] LOOP
        CONTINUE WHEN EXISTS (SELECT FROM pg_roles WHERE rolname = wanted);
        IF NOT (SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user) THEN
            RAISE EXCEPTION 'role % is missing and % may not create it: run compose/roles.sql as a superuser',
                wanted, current_user;
        END IF;
        EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
    END LOOP;
END $$;
GRANT USAGE ON SCHEMA public TO braid_app;
GRANT SELECT ON schema_migration TO braid_app;

-- Times cross the C boundary as Unix milliseconds.
CREATE FUNCTION at_ms(ms bigint) RETURNS timestamptz
    LANGUAGE sql STABLE STRICT PARALLEL SAFE
    RETURN timestamptz '1970-01-01 00:00:00+00' + ms * interval '1 millisecond';
CREATE FUNCTION to_ms(at timestamptz) RETURNS bigint
    LANGUAGE sql STABLE STRICT PARALLEL SAFE
    RETURN round(extract(epoch FROM at) * 1000)::bigint;

CREATE TABLE device (
    id           bigint PRIMARY KEY CHECK (id > 0),
    endpoint     text NOT NULL UNIQUE CHECK (length(endpoint) BETWEEN 1 AND 512),
    spb_group    text,
    spb_node     text,
    status       text NOT NULL DEFAULT 'never' CHECK (status IN
                 ('online', 'degraded', 'sleeping', 'lost', 'offline', 'unknown', 'never')),
    sentence     text NOT NULL DEFAULT '',
    link         text NOT NULL DEFAULT 'unknown' CHECK (link IN ('up', 'lost', 'unknown')),
    status_since timestamptz,
    last_seen    timestamptz,
    manufacturer text,
    model        text,
    serial       text,
    firmware     text,
    fault        text,
    created_at   timestamptz NOT NULL DEFAULT now(),
    CHECK ((spb_group IS NULL) = (spb_node IS NULL))
) WITH (fillfactor = 80); -- status and last_seen change often: leave room to update in place
CREATE UNIQUE INDEX device_spb_key ON device (spb_group, spb_node) WHERE spb_node IS NOT NULL;

CREATE TABLE registration (
    device_id     bigint PRIMARY KEY REFERENCES device ON DELETE CASCADE,
    state         text NOT NULL CHECK (state IN ('registered', 'expired', 'deregistered')),
    dialect       text NOT NULL,
    version       text NOT NULL DEFAULT '',
    lifetime      bigint NOT NULL DEFAULT 0,
    binding       text NOT NULL DEFAULT '',
    queue_mode    boolean NOT NULL DEFAULT false,
    links         text NOT NULL DEFAULT '',
    registered_at timestamptz,
    updated_at    timestamptz,
    expires_at    timestamptz
) WITH (fillfactor = 80);

CREATE TABLE observation (
    device_id bigint NOT NULL REFERENCES device ON DELETE CASCADE,
    token     text NOT NULL,
    paths     text NOT NULL,
    composite boolean NOT NULL DEFAULT false,
    since     timestamptz NOT NULL,
    PRIMARY KEY (device_id, token)
);

CREATE TABLE spb_node (
    device_id     bigint PRIMARY KEY REFERENCES device ON DELETE CASCADE,
    life          text NOT NULL CHECK (life IN ('unknown', 'born', 'dead', 'stale')),
    bd_seq        bigint,
    born_at       timestamptz,
    died_at       timestamptz,
    conformant    boolean NOT NULL DEFAULT true,
    rebirths      bigint NOT NULL DEFAULT 0,
    last_cause    text,
    last_cause_at timestamptz
) WITH (fillfactor = 80);

CREATE TABLE subdevice (
    device_id bigint NOT NULL REFERENCES device ON DELETE CASCADE,
    name      text NOT NULL,
    life      text NOT NULL CHECK (life IN ('unknown', 'born', 'dead', 'stale')),
    born_at   timestamptz,
    died_at   timestamptz,
    PRIMARY KEY (device_id, name)
);

-- key is the series key of the REST API: lwm2m:/3303/0/5700, spb:/NAME, spb:DEVICE/NAME.
CREATE TABLE series (
    id         integer PRIMARY KEY CHECK (id > 0),
    device_id  bigint NOT NULL REFERENCES device ON DELETE CASCADE,
    source     text NOT NULL CHECK (source IN ('lwm2m', 'sparkplug')),
    key        text NOT NULL,
    datatype   text NOT NULL DEFAULT '',
    unit       text,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (device_id, key)
);

CREATE TABLE series_latest (
    series_id integer PRIMARY KEY REFERENCES series ON DELETE CASCADE,
    at        timestamptz NOT NULL,
    value     json NOT NULL,
    quality   text NOT NULL,
    source    text NOT NULL DEFAULT ''
) WITH (fillfactor = 70);

-- Ids are never given out twice, even after the highest one was deleted: samples of a forgotten
-- series must not show up under a new one.
CREATE TABLE id_floor (
    kind text PRIMARY KEY CHECK (kind IN ('device', 'series')),
    id   bigint NOT NULL
);

GRANT SELECT, INSERT, UPDATE, DELETE ON device, registration, observation, spb_node, subdevice,
    series, series_latest, id_floor TO braid_app;
