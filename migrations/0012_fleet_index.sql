-- What lists of a large fleet look up. A tag's devices come from the index alone; a rare kind of
-- event or state of commands is found without reading past all the others.

CREATE INDEX device_tag_find ON device_tag (key, value, device_id);
DROP INDEX device_tag_key;
CREATE INDEX timeline_event_kind ON timeline_event (kind, at DESC, id DESC);
CREATE INDEX command_state ON command (state, created_at DESC, id DESC);
