-- What happened to a device (timeline_event) and what people asked of it (command).

-- Written again after a crash, an event must not appear twice: the same words about the same device
-- in the same millisecond are the same event.
CREATE TABLE timeline_event (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device_id bigint NOT NULL REFERENCES device ON DELETE CASCADE,
    at        timestamptz NOT NULL,
    kind      text NOT NULL,
    strand    text NOT NULL CHECK (strand IN ('lwm2m', 'sparkplug', 'braid', 'command')),
    text      text NOT NULL,
    detail    json
);
CREATE UNIQUE INDEX timeline_event_once ON timeline_event (device_id, at, kind, md5(text));
CREATE INDEX timeline_event_device ON timeline_event (device_id, at DESC, id DESC);
CREATE INDEX timeline_event_at ON timeline_event (at DESC, id DESC);

-- request is json, not jsonb: it is given back exactly as it was posted.
CREATE TABLE command (
    id              uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    device_id       bigint NOT NULL REFERENCES device ON DELETE CASCADE,
    op              text NOT NULL,
    request         json NOT NULL,
    state           text NOT NULL DEFAULT 'queued' CHECK (state IN
                    ('queued', 'sent', 'accepted', 'observed', 'succeeded', 'failed', 'timed_out',
                     'expired', 'cancelled', 'unknown')),
    why             text,
    by_name         text NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT date_trunc('milliseconds', clock_timestamp()),
    sent_at         timestamptz,
    finished_at     timestamptz,
    expires_at      timestamptz,
    result          json,
    token           text,
    idempotency_key text CHECK (length(idempotency_key) <= 255)
);
CREATE UNIQUE INDEX command_once ON command (by_name, idempotency_key)
    WHERE idempotency_key IS NOT NULL;
CREATE INDEX command_device ON command (device_id, created_at DESC, id DESC);
CREATE INDEX command_at ON command (created_at DESC, id DESC);
CREATE INDEX command_unfinished ON command (created_at)
    WHERE state IN ('queued', 'sent', 'accepted');

GRANT SELECT, INSERT, UPDATE, DELETE ON timeline_event, command TO braid_app;
