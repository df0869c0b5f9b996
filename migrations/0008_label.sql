-- What people write on devices: tags (key = value) and static groups.

CREATE TABLE device_tag (
    device_id bigint NOT NULL REFERENCES device ON DELETE CASCADE,
    key       text NOT NULL CHECK (octet_length(key) BETWEEN 1 AND 64),
    value     text NOT NULL CHECK (octet_length(value) <= 256),
    PRIMARY KEY (device_id, key)
);
CREATE INDEX device_tag_key ON device_tag (key, value);

-- version counts renames: the group's ETag.
CREATE TABLE device_group (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text NOT NULL UNIQUE CHECK (octet_length(name) BETWEEN 1 AND 64),
    version    bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE group_member (
    group_id  bigint NOT NULL REFERENCES device_group ON DELETE CASCADE,
    device_id bigint NOT NULL REFERENCES device ON DELETE CASCADE,
    PRIMARY KEY (group_id, device_id)
);
CREATE INDEX group_member_device ON group_member (device_id);

-- One spelling of a device's labels for reading, comparing and auditing.
CREATE FUNCTION tags_of(device bigint) RETURNS jsonb LANGUAGE sql STABLE
    RETURN (SELECT coalesce(jsonb_object_agg(t.key, t.value), '{}'::jsonb)
              FROM device_tag t WHERE t.device_id = device);
CREATE FUNCTION groups_of(device bigint) RETURNS jsonb LANGUAGE sql STABLE
    RETURN (SELECT coalesce(jsonb_agg(g.name ORDER BY g.name), '[]'::jsonb)
              FROM group_member m JOIN device_group g ON g.id = m.group_id
             WHERE m.device_id = device);

GRANT SELECT, INSERT, UPDATE, DELETE ON device_tag, device_group, group_member TO braid_app;
