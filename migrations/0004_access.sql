-- Who may use the API: users with sessions, tokens for programs, and a log nobody edits.

CREATE TABLE app_user (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    username      text NOT NULL UNIQUE CHECK (length(username) BETWEEN 1 AND 64),
    role          text NOT NULL CHECK (role IN ('viewer', 'operator', 'engineer', 'admin')),
    password_hash text NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    changed_at    timestamptz NOT NULL DEFAULT now()
);

-- Tokens are kept as hashes: a copy of the database opens no door.
CREATE TABLE app_session (
    token_hash text PRIMARY KEY,
    csrf       text NOT NULL,
    user_id    bigint NOT NULL REFERENCES app_user ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    touched_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    remote     text
);
CREATE INDEX app_session_user ON app_session (user_id);
CREATE INDEX app_session_expires ON app_session (expires_at);

CREATE TABLE api_token (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name         text NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 64),
    role         text NOT NULL CHECK (role IN ('viewer', 'operator', 'engineer', 'admin')),
    hash         text NOT NULL UNIQUE,
    by_name      text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz,
    last_used_at timestamptz
);

CREATE TABLE audit_log (
    id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at     timestamptz NOT NULL DEFAULT now(),
    who    text NOT NULL,
    remote text NOT NULL DEFAULT '',
    action text NOT NULL,
    target text NOT NULL DEFAULT '',
    detail json
);
CREATE INDEX audit_log_at ON audit_log (at DESC);

GRANT SELECT, INSERT, UPDATE, DELETE ON app_user, app_session, api_token TO braid_app;
GRANT SELECT, INSERT ON audit_log TO braid_app;
