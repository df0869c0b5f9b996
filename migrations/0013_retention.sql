-- How long history is kept, what it takes on disk, and how long the disk lasts.
--
-- A series belongs to a class: the one a person gave it (class_fixed), else that of the first rule
-- that matches, else `standard`. What is packed carries the class of that moment in its row and
-- stays in that class's partitions; a change of class is for what is packed from then on. A class
-- says how many days its samples, minutes and hours are kept; whole partitions are dropped.

ALTER TABLE series ADD COLUMN class_fixed boolean NOT NULL DEFAULT false;
CREATE INDEX series_class ON series (class_id) WHERE class_id <> 0;

-- All that is given must match. Patterns have * and ?; tags and groups are named, so a rule may be
-- there before them.
CREATE TABLE retention_rule (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    position   integer NOT NULL CHECK (position BETWEEN 1 AND 1000000),
    series     text CHECK (length(series) BETWEEN 1 AND 512),
    endpoint   text CHECK (length(endpoint) BETWEEN 1 AND 512),
    tag_key    text CHECK (octet_length(tag_key) BETWEEN 1 AND 64),
    tag_value  text CHECK (octet_length(tag_value) <= 256),
    group_name text CHECK (octet_length(group_name) BETWEEN 1 AND 64),
    class_id   smallint NOT NULL REFERENCES retention_class,
    CHECK (coalesce(series, endpoint, tag_key, group_name) IS NOT NULL),
    CHECK (tag_value IS NULL OR tag_key IS NOT NULL)
);

CREATE FUNCTION glob_like(pattern text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN translate(replace(replace(replace(pattern, '\', '\\'), '%', '\%'), '_', '\_'), '*?', '%_');

CREATE FUNCTION class_for(device bigint, key text) RETURNS smallint
    LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp AS
$$
    SELECT coalesce((
        SELECT r.class_id FROM retention_rule r, device d
         WHERE d.id = class_for.device
           AND (r.series IS NULL OR class_for.key LIKE glob_like(r.series))
           AND (r.endpoint IS NULL OR d.endpoint LIKE glob_like(r.endpoint))
           AND (r.tag_key IS NULL OR EXISTS (SELECT FROM device_tag t WHERE t.device_id = d.id
                AND t.key = r.tag_key AND (r.tag_value IS NULL OR t.value = r.tag_value)))
           AND (r.group_name IS NULL OR EXISTS (SELECT FROM group_member m JOIN device_group g
                ON g.id = m.group_id WHERE m.device_id = d.id AND g.name = r.group_name))
         ORDER BY r.position, r.id LIMIT 1), 0::smallint)
$$;

-- A new series gets its class with its row. Rules are few, and none is the usual number.
CREATE FUNCTION series_classify() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS
$$
BEGIN
    IF NOT NEW.class_fixed AND EXISTS (SELECT FROM retention_rule) THEN
        NEW.class_id := class_for(NEW.device_id, NEW.key);
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER series_classify BEFORE INSERT ON series
    FOR EACH ROW EXECUTE FUNCTION series_classify();

-- One row. assign_after: how far the rules have been applied to the series there are; NULL: to all.
-- series: their number by class id, at noted_at.
CREATE TABLE storage_state (
    one          boolean PRIMARY KEY DEFAULT true CHECK (one),
    assign_after integer,
    noted_at     timestamptz,
    series       jsonb NOT NULL DEFAULT '{}'
);
INSERT INTO storage_state DEFAULT VALUES;

-- retention_assign applies the rules to the next `most` series and tells how many changed; NULL
-- when all are done. To begin anew set assign_after to 0.
CREATE FUNCTION retention_assign(most integer) RETURNS integer
    LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS
$$
DECLARE
    since   integer;
    till    integer;
    changed integer;
BEGIN
    SELECT assign_after INTO since FROM storage_state FOR UPDATE;
    IF since IS NULL THEN
        RETURN NULL;
    END IF;
    SELECT max(id) INTO till FROM (SELECT id FROM series WHERE id > since ORDER BY id LIMIT most) s;
    UPDATE storage_state SET assign_after = till;
    IF till IS NULL THEN
        RETURN NULL;
    END IF;
    UPDATE series s SET class_id = c.class_id
      FROM (SELECT id, class_for(device_id, key) AS class_id FROM series
             WHERE id > since AND id <= till AND NOT class_fixed) c
     WHERE s.id = c.id AND s.class_id <> c.class_id;
    GET DIAGNOSTICS changed = ROW_COUNT;
    RETURN changed;
END
$$;

-- Other tags or groups may mean another class.
CREATE FUNCTION labels_classify() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS
$$
BEGIN
    IF EXISTS (SELECT FROM retention_rule WHERE tag_key IS NOT NULL OR group_name IS NOT NULL) THEN
        UPDATE storage_state SET assign_after = 0;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER labels_classify AFTER INSERT OR UPDATE OR DELETE ON device_tag
    FOR EACH STATEMENT EXECUTE FUNCTION labels_classify();
CREATE TRIGGER labels_classify AFTER INSERT OR UPDATE OR DELETE ON group_member
    FOR EACH STATEMENT EXECUTE FUNCTION labels_classify();
CREATE TRIGGER labels_classify AFTER UPDATE OR DELETE ON device_group
    FOR EACH STATEMENT EXECUTE FUNCTION labels_classify();

-- ---- dropping ----

-- The partitions of history by name. Rows of chunk begin in [since, till) and reach at most a day
-- beyond; those of roll-ups end in it.
CREATE VIEW history_part AS
SELECT c.oid, c.relname::text AS part, k.kind, m[1]::smallint AS class_id,
       m[2]::date::timestamp AT TIME ZONE 'UTC' AS since,
       (m[2]::date + k.days)::timestamp AT TIME ZONE 'UTC' AS till, k.days
  FROM (VALUES ('chunk', 7), ('rollup_minute', 28), ('rollup_hour', 364)) k (kind, days),
       pg_class c, regexp_match(c.relname, '^' || k.kind || '_([0-9]{1,2})_([0-9]{8})$') m
 WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relispartition
   AND m IS NOT NULL;

CREATE TABLE storage_use (
    class_id  smallint NOT NULL,
    since     date NOT NULL,
    device_id bigint NOT NULL, -- 0: of series that are gone
    samples   bigint NOT NULL,
    bytes     bigint NOT NULL,
    PRIMARY KEY (class_id, since, device_id)
);

-- A week of chunk and how far it was counted: pages below `pages` are in storage_use; `seen` were
-- there the last time; mods: rows added and removed until then.
CREATE TABLE storage_part (
    class_id   smallint NOT NULL,
    since      date NOT NULL,
    pages      bigint NOT NULL,
    seen       bigint NOT NULL,
    mods       bigint NOT NULL,
    counted_at timestamptz NOT NULL,
    PRIMARY KEY (class_id, since)
);

-- retention_drop drops partitions of which everything is older at the time `at` than its class
-- keeps, the oldest first and at most `most`; each leaves an audit row. What is being used is left
-- for the next call. text_days 0: texts are kept.
CREATE FUNCTION retention_drop(at timestamptz, text_days integer, most integer DEFAULT 4)
    RETURNS TABLE (part text, kind text, class text, till timestamptz, samples bigint,
                   packed_rows bigint, bytes bigint)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
    SET lock_timeout = '300ms' SET timezone = 'UTC' AS
$$
DECLARE
    p    record;
    done integer := 0;
BEGIN
    FOR p IN
        SELECT h.oid, h.part, h.kind, h.class_id, h.since, h.till, k.name
          FROM history_part h
          JOIN retention_class k ON k.id = coalesce((SELECT c.id FROM retention_class c
                                                      WHERE c.id = h.class_id), 0)
         WHERE h.till + CASE h.kind WHEN 'chunk' THEN k.raw_days + 1 WHEN 'rollup_minute' THEN k.minute_days
                        ELSE k.hour_days END * interval '1 day' <= retention_drop.at
        UNION ALL
        SELECT c.oid, c.relname, 'text', NULL, m[1]::date::timestamptz, m[1]::date + 1, ''
          FROM pg_class c, regexp_match(c.relname, '^text_sample_([0-9]{8})$') m
         WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND text_days > 0
           AND m[1]::date + 1 + text_days * interval '1 day' <= retention_drop.at
         ORDER BY 6
    LOOP
        EXIT WHEN done >= most;
        part := p.part;
        kind := p.kind;
        class := nullif(p.name, '');
        till := p.till;
        bytes := pg_total_relation_size(p.oid);
        SELECT greatest(c.reltuples, 0) INTO packed_rows FROM pg_class c WHERE c.oid = p.oid;
        SELECT sum(u.samples) INTO samples FROM storage_use u
         WHERE p.kind = 'chunk' AND u.class_id = p.class_id AND u.since = p.since::date;
        BEGIN
            EXECUTE format('DROP TABLE public.%I', p.part);
        EXCEPTION WHEN lock_not_available THEN
            CONTINUE;
        END;
        IF p.kind = 'chunk' THEN
            DELETE FROM storage_use u WHERE u.class_id = p.class_id AND u.since = p.since::date;
            DELETE FROM storage_part u WHERE u.class_id = p.class_id AND u.since = p.since::date;
        END IF;
        INSERT INTO audit_log (who, action, target, detail)
        VALUES ('braid', 'history_drop', p.part, json_build_object('class', retention_drop.class,
                'until', p.till, 'samples', samples, 'rows', packed_rows, 'bytes', bytes));
        done := done + 1;
        RETURN NEXT;
    END LOOP;
END
$$;

-- retention_trim removes up to `most` rows of each kind that are older than their days (0: kept for
-- ever). Commands that are not finished stay.
CREATE FUNCTION retention_trim(at timestamptz, text_days integer, timeline_days integer,
                               command_days integer, audit_days integer, most integer)
    RETURNS TABLE (kind text, removed bigint)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
    SET lock_timeout = '2s' AS
$$
DECLARE
    day CONSTANT interval := '1 day';
BEGIN
    -- Days that were in the default partition when theirs was to be made.
    kind := 'text';
    DELETE FROM text_sample_default t WHERE text_days > 0 AND t.ctid = ANY (ARRAY(
        SELECT d.ctid FROM text_sample_default d
         WHERE d.arrived < retention_trim.at - text_days * day LIMIT most));
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN NEXT;
    kind := 'timeline';
    DELETE FROM timeline_event t WHERE timeline_days > 0 AND t.id IN (
        SELECT e.id FROM timeline_event e WHERE e.at < retention_trim.at - timeline_days * day
         ORDER BY e.at, e.id LIMIT most);
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN NEXT;
    kind := 'command';
    DELETE FROM command t WHERE command_days > 0 AND t.id IN (
        SELECT c.id FROM command c WHERE c.created_at < retention_trim.at - command_days * day
           AND c.finished_at < retention_trim.at - command_days * day
         ORDER BY c.created_at, c.id LIMIT most);
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN NEXT;
    kind := 'audit';
    DELETE FROM audit_log t WHERE audit_days > 0 AND t.id IN (
        SELECT a.id FROM audit_log a WHERE a.at < retention_trim.at - audit_days * day
         ORDER BY a.at LIMIT most);
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN NEXT;
END
$$;

-- ---- what deleted devices leave behind ----

-- Series that are gone and whose history is still there. Each is purged twice, an hour apart: the
-- first time samples of it may still be on their way from landing into pieces. The second round
-- waits until every landing table of that time is packed.
CREATE TABLE series_purge (
    series_id integer PRIMARY KEY,
    due       timestamptz NOT NULL,
    again     boolean NOT NULL DEFAULT true
);
CREATE INDEX series_purge_due ON series_purge (due);

CREATE FUNCTION series_gone() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS
$$
BEGIN
    INSERT INTO series_purge (series_id, due) SELECT id, now() FROM gone ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;
CREATE TRIGGER series_gone AFTER DELETE ON series REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION series_gone();

-- retention_purge removes the history of at most `most` such series.
CREATE FUNCTION retention_purge(at timestamptz, most integer)
    RETURNS TABLE (series bigint, removed bigint)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
    SET lock_timeout = '2s' AS
$$
DECLARE
    ids  integer[];
    name text;
    n    bigint;
BEGIN
    ids := ARRAY(SELECT p.series_id FROM series_purge p WHERE p.due <= retention_purge.at
                    AND (p.again OR NOT EXISTS (SELECT FROM landing_slot l WHERE l.state = 'closed'
                                                   AND l.opened_at < p.due - interval '1 hour'))
                  ORDER BY p.due, p.series_id LIMIT most FOR UPDATE SKIP LOCKED);
    series := cardinality(ids);
    removed := 0;
    IF series > 0 THEN
        FOREACH name IN ARRAY ARRAY['piece', 'chunk', 'rollup_minute', 'rollup_hour', 'text_sample'] LOOP
            EXECUTE format('DELETE FROM public.%I WHERE series_id = ANY ($1)', name) USING ids;
            GET DIAGNOSTICS n = ROW_COUNT;
            removed := removed + n;
        END LOOP;
        DELETE FROM series_purge p WHERE p.series_id = ANY (ids) AND NOT p.again;
        UPDATE series_purge p SET again = false, due = retention_purge.at + interval '1 hour'
         WHERE p.series_id = ANY (ids);
    END IF;
    RETURN NEXT;
END
$$;

-- retention_class_remove removes a class nothing is in, and its empty partitions; otherwise it says
-- what is in the way: '', 'missing', 'standard', 'series', 'rules' or 'history'.
CREATE FUNCTION retention_class_remove(class text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
    SET lock_timeout = '2s' AS
$$
DECLARE
    k smallint;
    p text;
BEGIN
    SELECT id INTO k FROM retention_class WHERE name = class FOR UPDATE;
    CASE
        WHEN k IS NULL THEN RETURN 'missing';
        WHEN k = 0 THEN RETURN 'standard';
        WHEN EXISTS (SELECT FROM series WHERE class_id = k AND class_id <> 0) THEN RETURN 'series';
        WHEN EXISTS (SELECT FROM retention_rule WHERE class_id = k) THEN RETURN 'rules';
        WHEN EXISTS (SELECT FROM chunk WHERE class_id = k)
          OR EXISTS (SELECT FROM rollup_minute WHERE class_id = k)
          OR EXISTS (SELECT FROM rollup_hour WHERE class_id = k)
          OR EXISTS (SELECT FROM piece WHERE class_id = k) THEN RETURN 'history';
        ELSE
            FOREACH p IN ARRAY ARRAY['chunk', 'rollup_minute', 'rollup_hour'] LOOP
                EXECUTE format('DROP TABLE IF EXISTS public.%I', p || '_' || k);
            END LOOP;
            DELETE FROM retention_class WHERE id = k;
            RETURN '';
    END CASE;
END
$$;

-- ---- what it takes ----

-- storage_count counts samples and bytes of chunk by device and tells whether there is more to do for
-- the count of the time `at`; one call reads about `budget` pages. A small partition is counted
-- afresh when it changed. In a large one only what was added is read: the pages that were there at
-- the count before, since whoever wrote to them is done by now. That makes it an estimate: chunks
-- replaced meanwhile count twice.
CREATE FUNCTION storage_count(at timestamptz, budget bigint DEFAULT 2000, small bigint DEFAULT 2048)
    RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
    SET timezone = 'UTC' AS
$$
DECLARE
    p     record;
    first bigint;
    till  bigint; -- to be counted up to here
    last  bigint; -- ... in this call
    used  bigint := 0;
BEGIN
    FOR p IN
        SELECT h.part, h.class_id, h.since::date AS since,
               pg_relation_size(h.oid) / current_setting('block_size')::integer AS size,
               pg_stat_get_tuples_inserted(h.oid) + pg_stat_get_tuples_deleted(h.oid) AS changes, k.pages,
               k.seen, k.mods
          FROM history_part h LEFT JOIN storage_part k ON k.class_id = h.class_id AND k.since = h.since::date
         WHERE h.kind = 'chunk' AND (k.counted_at IS NULL OR k.counted_at < storage_count.at)
         ORDER BY k.counted_at NULLS FIRST, h.part
    LOOP
        IF used >= budget THEN
            RETURN true;
        END IF;
        CONTINUE WHEN p.size IS NULL; -- dropped meanwhile
        IF p.size >= small THEN
            first := coalesce(p.pages, 0);
            till := least(coalesce(p.seen, 0), p.size);
            last := greatest(first, least(till, first + budget - used));
        ELSE
            first := 0;
            till := CASE WHEN p.pages = p.size AND p.mods = p.changes THEN 0 ELSE p.size END;
            last := till;
            IF till > 0 OR p.size = 0 THEN
                DELETE FROM storage_use u WHERE u.class_id = p.class_id AND u.since = p.since;
            END IF;
        END IF;
        IF last > first THEN
            EXECUTE format('INSERT INTO storage_use (class_id, since, device_id, samples, bytes) '
                'SELECT $1, $2, coalesce(s.device_id, 0), sum(c.n), sum(pg_column_size(c.*)) '
                'FROM public.%I c LEFT JOIN series s ON s.id = c.series_id '
                'WHERE c.ctid >= %L AND c.ctid < %L GROUP BY 3 '
                'ON CONFLICT (class_id, since, device_id) DO UPDATE SET '
                'samples = storage_use.samples + excluded.samples, '
                'bytes = storage_use.bytes + excluded.bytes',
                p.part, format('(%s,0)', first), format('(%s,0)', last)) USING p.class_id, p.since;
            used := used + last - first;
        END IF;
        -- Not finished: `seen` stays as it was, and the next call goes on.
        INSERT INTO storage_part AS k (class_id, since, pages, seen, mods, counted_at)
        VALUES (p.class_id, p.since, CASE WHEN p.size < small THEN p.size ELSE last END,
                CASE WHEN last < till THEN p.seen ELSE p.size END, p.changes,
                CASE WHEN last < till THEN '-infinity' ELSE storage_count.at END)
        ON CONFLICT (class_id, since) DO UPDATE SET pages = excluded.pages, seen = excluded.seen,
            mods = excluded.mods, counted_at = excluded.counted_at;
    END LOOP;
    RETURN false;
END
$$;

-- Bytes by kind of table, indexes included; their sum is the database.
CREATE VIEW storage_kind AS
WITH named (kind, bytes) AS (
    SELECT 'landing', sum(pg_total_relation_size(oid)) FROM pg_class
     WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname ~ '^landing_[0-7]$'
    UNION ALL SELECT 'piece', pg_total_relation_size('public.piece')
    UNION ALL SELECT k.kind, coalesce(sum(pg_total_relation_size(h.oid)), 0)
      FROM (VALUES ('chunk'), ('rollup_minute'), ('rollup_hour')) k (kind)
      LEFT JOIN history_part h ON h.kind = k.kind GROUP BY k.kind
    UNION ALL SELECT 'text', sum(pg_total_relation_size(oid)) FROM pg_class
     WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname ~ '^text_sample'
    UNION ALL SELECT 'timeline', pg_total_relation_size('public.timeline_event'))
SELECT kind, bytes::bigint FROM named
UNION ALL
SELECT 'other', greatest(pg_database_size(current_database()) - (SELECT sum(bytes) FROM named), 0)::bigint;

-- By class: what is there and what comes in per day. The rate is that of the partitions of the last
-- week or two, over the time they cover.
CREATE FUNCTION storage_class(at timestamptz)
    RETURNS TABLE (class_id smallint, kind text, bytes bigint, rate float8, keep integer, oldest timestamptz)
    LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp AS
$$
    WITH leaf AS MATERIALIZED (
        SELECT h.*, pg_total_relation_size(h.oid) AS bytes, pg_relation_size(h.oid) > 0 AS filled
          FROM history_part h)
    SELECT k.id, l.kind, coalesce(sum(l.bytes), 0)::bigint,
           sum(l.bytes) FILTER (WHERE l.recent AND l.filled) / greatest(extract(epoch FROM storage_class.at -
               greatest(min(l.since) FILTER (WHERE l.recent),
                        (SELECT d.created_at FROM device d ORDER BY d.id LIMIT 1))) / 86400, 1 / 24.0),
           CASE l.kind WHEN 'chunk' THEN k.raw_days + 1 WHEN 'rollup_minute' THEN k.minute_days
                ELSE k.hour_days END + max(l.days),
           min(l.since)
      FROM (SELECT leaf.*, leaf.since <= storage_class.at
                   AND leaf.till > storage_class.at - interval '7 days' AS recent FROM leaf) l
      JOIN retention_class k ON k.id = l.class_id
     GROUP BY k.id, l.kind
$$;

CREATE TABLE storage_device (
    device_id  bigint PRIMARY KEY REFERENCES device ON DELETE CASCADE,
    samples    bigint NOT NULL,
    bytes      bigint NOT NULL,
    counted_at timestamptz NOT NULL
);
CREATE INDEX storage_device_bytes ON storage_device (bytes DESC, device_id DESC);

-- One row per day, written again every hour: growth. rest: bytes of texts, timeline and other.
CREATE TABLE storage_day (
    day         date PRIMARY KEY,
    first_at    timestamptz NOT NULL,
    first_bytes bigint NOT NULL,
    first_rest  bigint NOT NULL,
    last_at     timestamptz NOT NULL,
    last_bytes  bigint NOT NULL,
    last_rest   bigint NOT NULL
);

-- storage_note writes down what was counted: devices, series by class, the day. A device's bytes
-- are its chunks' share of all that its classes take, indexes and roll-ups included.
CREATE FUNCTION storage_note(at timestamptz) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp SET timezone = 'UTC' AS
$$
BEGIN
    DELETE FROM storage_part k WHERE NOT EXISTS (SELECT FROM history_part h WHERE h.kind = 'chunk'
        AND h.class_id = k.class_id AND h.since::date = k.since);
    DELETE FROM storage_use u WHERE NOT EXISTS (SELECT FROM storage_part k
        WHERE k.class_id = u.class_id AND k.since = u.since);
    WITH factor AS (
        SELECT c.class_id, sum(c.bytes) / nullif((SELECT sum(u.bytes) FROM storage_use u
                                                   WHERE u.class_id = c.class_id), 0) AS f
          FROM storage_class(storage_note.at) c GROUP BY c.class_id),
    now_used AS (
        SELECT u.device_id, sum(u.samples)::bigint AS samples, sum(u.bytes * f.f)::bigint AS bytes
          FROM storage_use u JOIN factor f ON f.class_id = u.class_id
          JOIN device d ON d.id = u.device_id GROUP BY u.device_id),
    gone AS (DELETE FROM storage_device s WHERE NOT EXISTS (SELECT FROM now_used n
                                                             WHERE n.device_id = s.device_id))
    INSERT INTO storage_device AS s (device_id, samples, bytes, counted_at)
    SELECT n.device_id, n.samples, coalesce(n.bytes, 0), storage_note.at FROM now_used n
    ON CONFLICT (device_id) DO UPDATE SET samples = excluded.samples, bytes = excluded.bytes,
           counted_at = excluded.counted_at;
    UPDATE storage_state SET noted_at = storage_note.at,
           series = coalesce((SELECT jsonb_object_agg(c.class_id, c.n) FROM (
               SELECT class_id, count(*) AS n FROM series GROUP BY class_id) c), '{}');
    INSERT INTO storage_day AS s
    SELECT storage_note.at::date, storage_note.at, k.total, k.rest, storage_note.at, k.total, k.rest
      FROM (SELECT sum(bytes) AS total, sum(bytes) FILTER (WHERE kind IN ('text', 'timeline', 'other')) AS rest
              FROM storage_kind) k
    ON CONFLICT (day) DO UPDATE SET last_at = excluded.last_at, last_bytes = excluded.last_bytes,
           last_rest = excluded.last_rest;
    DELETE FROM storage_day WHERE day < storage_note.at::date - 400;
END
$$;

-- storage_forecast: each kind of each class grows at its rate until it is as old as it may get,
-- texts, timeline and the rest grow as they did in the last week. full_days: when limit_bytes is
-- reached; NULL: not within ten years. limit_bytes NULL: none is known.
CREATE FUNCTION storage_forecast(at timestamptz, limit_bytes bigint)
    RETURNS TABLE (known boolean, full_days integer, steady_bytes float8, rate float8, grew float8,
                   grew_days float8)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, public, pg_temp SET timezone = 'UTC' AS
$$
DECLARE
    rest      float8;
    rest_rate float8;
    cur       float8[];
    rates     float8[];
    tops      float8[];
BEGIN
    SELECT (max(d.last_bytes) FILTER (WHERE d.last_at = e.till) -
            max(d.first_bytes) FILTER (WHERE d.first_at = e.since)) / nullif(e.span, 0), e.span,
           CASE WHEN e.span >= 1 THEN (max(d.last_rest) FILTER (WHERE d.last_at = e.till) -
            max(d.first_rest) FILTER (WHERE d.first_at = e.since)) / e.span END
      INTO grew, grew_days, rest_rate
      FROM storage_day d, (SELECT min(first_at) AS since, max(last_at) AS till,
                                  extract(epoch FROM max(last_at) - min(first_at))::float8 / 86400 AS span
                             FROM storage_day WHERE day > storage_forecast.at::date - 8) e
     WHERE d.day > storage_forecast.at::date - 8 GROUP BY e.span;
    rest_rate := greatest(coalesce(rest_rate, 0), 0);
    known := coalesce(grew_days, 0) >= 1 / 24.0;
    SELECT array_agg(c.bytes), array_agg(coalesce(c.rate, 0)),
           array_agg(greatest(coalesce(c.rate, 0) * c.keep, c.bytes)),
           sum(coalesce(c.rate, 0) * c.keep),
           sum(coalesce(c.rate, 0)) FILTER (WHERE c.bytes < coalesce(c.rate, 0) * c.keep)
      INTO cur, rates, tops, steady_bytes, rate FROM storage_class(storage_forecast.at) c;
    SELECT sum(k.bytes) INTO rest FROM storage_kind k WHERE k.kind NOT IN ('chunk', 'rollup_minute', 'rollup_hour');
    steady_bytes := coalesce(steady_bytes, 0) + rest;
    rate := coalesce(rate, 0) + rest_rate;
    SELECT min(t) INTO full_days FROM generate_series(0, 3650) t
     WHERE limit_bytes <= rest + rest_rate * t + (SELECT coalesce(sum(least(u.c + u.r * t, u.m)), 0)
                                                    FROM unnest(cur, rates, tops) u (c, r, m));
    RETURN NEXT;
END
$$;

REVOKE ALL ON FUNCTION retention_drop, retention_trim, retention_purge, retention_class_remove,
    series_gone, labels_classify, storage_count FROM PUBLIC;
GRANT EXECUTE ON FUNCTION retention_drop, retention_trim, retention_purge, retention_class_remove,
    storage_count TO braid_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON retention_rule, storage_use, storage_part, storage_device,
    storage_day TO braid_app;
GRANT SELECT, INSERT, UPDATE ON retention_class TO braid_app;
GRANT SELECT, UPDATE ON storage_state TO braid_app;
GRANT SELECT ON history_part, storage_kind, series_purge TO braid_app;

-- For dashboards: growth by day.
CREATE VIEW grafana.storage AS SELECT day, last_at, last_bytes, last_rest FROM storage_day;
GRANT SELECT ON grafana.storage TO braid_grafana;
