-- An audit log that can be searched and that knows how a change ended: "ok", or the code of the
-- problem the caller got. Pages go by id.

ALTER TABLE audit_log ADD COLUMN result text NOT NULL DEFAULT 'ok';
CREATE INDEX audit_log_who ON audit_log (who, id DESC);
CREATE INDEX audit_log_target ON audit_log (target, id DESC);
