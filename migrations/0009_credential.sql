-- Who may connect, and with what. An identity is a name (certificate CN, MQTT user name, LwM2M
-- endpoint and Sparkplug edge node id in one); its credentials outlive the device's record, because
-- a revoked certificate stays revoked after the device was deleted. Private keys and passwords are
-- never kept; of a password only Mosquitto's own hash, which is what its file needs.

CREATE TABLE identity (
    endpoint   text PRIMARY KEY CHECK (endpoint ~ '^[A-Za-z0-9._:@=-]{1,64}$'),
    state      text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'suspended', 'retired')),
    why        text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by text NOT NULL DEFAULT '',
    changed_at timestamptz NOT NULL DEFAULT now(),
    changed_by text NOT NULL DEFAULT ''
);
CREATE INDEX identity_blocked ON identity (endpoint) WHERE state <> 'active';

-- warned: the smallest number of days before the end that the timeline has told about.
CREATE TABLE device_certificate (
    serial      text PRIMARY KEY CHECK (serial ~ '^[0-9a-f]{1,40}$'),
    endpoint    text NOT NULL,
    fingerprint text NOT NULL UNIQUE,
    not_before  timestamptz NOT NULL,
    not_after   timestamptz NOT NULL,
    issued_at   timestamptz NOT NULL DEFAULT now(),
    issued_by   text NOT NULL,
    revoked_at  timestamptz,
    revoked_why text,
    warned      integer,
    CHECK ((revoked_at IS NULL) = (revoked_why IS NULL))
);
CREATE INDEX device_certificate_endpoint ON device_certificate (endpoint, issued_at DESC);
CREATE INDEX device_certificate_end ON device_certificate (not_after);

CREATE TABLE device_password (
    endpoint text PRIMARY KEY,
    hash     text NOT NULL,
    set_at   timestamptz NOT NULL DEFAULT now(),
    set_by   text NOT NULL
);

-- Who wanted in while devices.admission = known.
CREATE TABLE unknown_identity (
    endpoint   text PRIMARY KEY CHECK (length(endpoint) BETWEEN 1 AND 512),
    state      text NOT NULL DEFAULT 'new' CHECK (state IN ('new', 'refused')),
    why        text NOT NULL,
    first_seen timestamptz NOT NULL,
    last_seen  timestamptz NOT NULL,
    messages   bigint NOT NULL DEFAULT 0
);
CREATE INDEX unknown_identity_seen ON unknown_identity (last_seen DESC);

GRANT SELECT, INSERT, UPDATE, DELETE ON identity, device_certificate, device_password,
    unknown_identity TO braid_app;
