-- Samples land in a small ring of plain tables without an index, because the index was two thirds of
-- the cost of storing; they are packed from there into rows of arrays, one per series and span.
--
--   landing_0 .. landing_7   one is open and is written to, the closed ones wait to be packed
--   piece                    what packing one landing table made of a series: not yet merged
--   chunk                    one row per series and span (an hour, or a day of a slow series)
--   rollup_minute, _hour     minimum, maximum, ... of what is in chunk, and of nothing else
--
-- A sample is in exactly one of landing, piece and chunk in every snapshot: packing inserts pieces and
-- marks the landing table packed in one transaction, merging replaces pieces by a chunk in one.
-- Views and functions at the end give plain (series_id, ts, value, quality).

-- ---- landing ----

-- state: free (empty) -> open -> closed -> packed (its rows are in piece, readers skip it) -> free
CREATE TABLE landing_slot (
    slot      smallint PRIMARY KEY,
    state     text NOT NULL DEFAULT 'free' CHECK (state IN ('free', 'open', 'closed', 'packed')),
    turn      bigint NOT NULL DEFAULT 0, -- counts up at every opening: the order of arrival
    opened_at timestamptz,
    closed_at timestamptz,
    packed_at timestamptz
) WITH (fillfactor = 50);
CREATE UNIQUE INDEX landing_slot_open ON landing_slot (state) WHERE state = 'open';

DO $$
BEGIN
    FOR i IN 0 .. 7 LOOP
        -- Emptied within minutes: nothing for a vacuum, which would only be in the way of that.
        EXECUTE format('CREATE TABLE landing_%s (ts timestamptz NOT NULL, value float8 NOT NULL, '
                       'series_id integer NOT NULL, quality smallint NOT NULL) '
                       'WITH (autovacuum_enabled = off)', i);
        EXECUTE format('GRANT SELECT, INSERT ON landing_%s TO braid_app', i);
        INSERT INTO landing_slot (slot) VALUES (i);
    END LOOP;
END $$;

-- What was stored before is packed first.
INSERT INTO landing_0 (ts, value, series_id, quality)
SELECT ts, coalesce(value, 'NaN'), series_id, quality FROM sample;
UPDATE landing_slot SET state = 'open', turn = 1, opened_at = now() WHERE slot = 0;

DROP VIEW grafana.samples;
DROP VIEW samples;
DROP TABLE sample;

-- Texts are few: they stay plain rows, partitioned by the day of arrival.
CREATE OR REPLACE FUNCTION ensure_partitions(ahead integer DEFAULT 3) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
    SET lock_timeout = '2s' SET timezone = 'UTC' AS
$$
DECLARE
    day    date;
    part   text;
    made   integer := 0;
BEGIN
    FOR i IN 0 .. least(greatest(ahead, 0), 30) LOOP
        day := current_date + i;
        part := 'text_sample' || to_char(day, '_YYYYMMDD');
        CONTINUE WHEN to_regclass('public.' || part) IS NOT NULL;
        BEGIN
            EXECUTE format('CREATE TABLE public.%I PARTITION OF public.text_sample FOR VALUES FROM (%L) TO (%L)',
                part, day::timestamptz, (day + 1)::timestamptz);
            made := made + 1;
        EXCEPTION
            WHEN check_violation THEN
                RAISE NOTICE 'rows of % are in the default partition of text_sample', day;
            WHEN lock_not_available THEN
                RAISE NOTICE 'partition % has to wait: text_sample is busy', part;
        END;
    END LOOP;
    RETURN made;
END
$$;

-- landing_rotate closes the open table and opens a free one; while none is free the open one goes on.
-- It tells which one is open. Only the writer calls it, between two of its transactions; each of those
-- holds the open row FOR SHARE, so that nothing is ever added to a table that is closed.
CREATE FUNCTION landing_rotate() RETURNS smallint
    LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS
$$
DECLARE
    next smallint;
BEGIN
    PERFORM pg_advisory_xact_lock(422155773285); -- one at a time: it looks before it leaps
    SELECT slot INTO next FROM landing_slot WHERE state = 'free' ORDER BY turn, slot LIMIT 1;
    IF next IS NOT NULL THEN
        UPDATE landing_slot SET state = 'closed', closed_at = clock_timestamp() WHERE state = 'open';
        UPDATE landing_slot SET state = 'open', opened_at = clock_timestamp(), closed_at = NULL,
               packed_at = NULL, turn = (SELECT max(turn) + 1 FROM landing_slot)
         WHERE slot = next;
    END IF;
    RETURN (SELECT slot FROM landing_slot WHERE state = 'open');
END
$$;

-- landing_clean empties tables that were packed at least `after` ago and tells how many. A statement
-- that still reads one holds it up, not the other way round.
CREATE FUNCTION landing_clean(after interval DEFAULT '10 seconds') RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
    SET lock_timeout = '50ms' AS
$$
DECLARE
    s       smallint;
    cleaned integer := 0;
BEGIN
    FOR s IN SELECT slot FROM landing_slot
              WHERE state = 'packed' AND packed_at < clock_timestamp() - after ORDER BY turn LOOP
        BEGIN
            EXECUTE format('TRUNCATE landing_%s', s);
            UPDATE landing_slot SET state = 'free' WHERE slot = s;
            cleaned := cleaned + 1;
        EXCEPTION WHEN lock_not_available THEN
            NULL; -- being read: the next call
        END;
    END LOOP;
    RETURN cleaned;
END
$$;

-- ---- retention classes ----

-- How many days samples, minutes and hours of a class are kept. Every series is in one.
CREATE TABLE retention_class (
    id          smallint PRIMARY KEY CHECK (id BETWEEN 0 AND 99),
    name        text NOT NULL UNIQUE CHECK (name ~ '^[a-z][a-z0-9-]{0,31}$'),
    raw_days    integer NOT NULL CHECK (raw_days BETWEEN 1 AND 36500),
    minute_days integer NOT NULL CHECK (minute_days BETWEEN 1 AND 36500),
    hour_days   integer NOT NULL CHECK (hour_days BETWEEN 1 AND 36500)
);
INSERT INTO retention_class VALUES (0, 'standard', 90, 400, 1830), (1, 'short', 7, 30, 400),
                                   (2, 'long', 730, 1830, 3660);
ALTER TABLE series ADD COLUMN class_id smallint NOT NULL DEFAULT 0 REFERENCES retention_class;

-- ---- packed samples ----

-- Times: `start`, then either step_us (all intervals are equal) or one of t2, t4 (milliseconds since
-- the sample before) and t8 (microseconds). Values: with `scale`, integers over 10^scale: v0, then the
-- differences v2 or v4 (neither: all are v0); without it float8 as they are: vf, each repeated
-- rn times if there is rn. Qualities: q, each repeated qn times; NULL: all are 0 (good).
-- Arrays of differences have n entries, the first is 0.
CREATE TABLE piece (
    start     timestamptz NOT NULL, -- of the first sample
    stop      timestamptz NOT NULL, -- of the last one
    step_us   bigint,
    v0        bigint,
    series_id integer NOT NULL,
    n         integer NOT NULL CHECK (n > 0),
    class_id  smallint NOT NULL,
    scale     smallint,
    t2        smallint[] COMPRESSION lz4,
    t4        integer[] COMPRESSION lz4,
    t8        bigint[] COMPRESSION lz4,
    v2        smallint[] COMPRESSION lz4,
    v4        integer[] COMPRESSION lz4,
    vf        float8[] COMPRESSION lz4,
    rn        integer[] COMPRESSION lz4,
    q         smallint[] COMPRESSION lz4,
    qn        integer[] COMPRESSION lz4
) WITH (toast_tuple_target = 256, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 5000);
DO $$
DECLARE
    c text;
BEGIN
    FOREACH c IN ARRAY ARRAY['t2', 't4', 't8', 'v2', 'v4', 'vf', 'rn', 'q', 'qn'] LOOP
        EXECUTE format('ALTER TABLE piece ALTER COLUMN %I SET STORAGE MAIN', c);
    END LOOP;
END $$;
CREATE INDEX piece_series_start ON piece (series_id, start);
-- For merging, which asks for all pieces of an hour: they were written together.
CREATE INDEX piece_start ON piece USING brin (start) WITH (pages_per_range = 32, autosummarize = on);

CREATE TABLE chunk (LIKE piece INCLUDING COMPRESSION INCLUDING CONSTRAINTS) PARTITION BY LIST (class_id);
CREATE INDEX chunk_series_start ON chunk (series_id, start);

-- One row per series and hour (day): arrays with one entry per minute (hour) that has samples.
-- at: minute of the hour 0..59, hour of the day 0..23. A row stands for all samples of the hour (day)
-- that are in chunk.
CREATE TABLE rollup_minute (
    start     timestamptz NOT NULL,
    series_id integer NOT NULL,
    class_id  smallint NOT NULL,
    at        smallint[] COMPRESSION lz4 NOT NULL,
    n         integer[] COMPRESSION lz4 NOT NULL,
    lo        float8[] COMPRESSION lz4 NOT NULL,
    hi        float8[] COMPRESSION lz4 NOT NULL,
    mean      float8[] COMPRESSION lz4 NOT NULL,
    first     float8[] COMPRESSION lz4 NOT NULL,
    last      float8[] COMPRESSION lz4 NOT NULL
) PARTITION BY LIST (class_id);
CREATE INDEX rollup_minute_series_start ON rollup_minute (series_id, start);
CREATE TABLE rollup_hour (LIKE rollup_minute INCLUDING COMPRESSION) PARTITION BY LIST (class_id);
CREATE INDEX rollup_hour_series_start ON rollup_hour (series_id, start);

-- ensure_history makes the partitions of a class that hold samples of the time `at`: of chunk one
-- per week, of rollup_minute one per 28 days, of rollup_hour one per 364 days; all begin on a Monday,
-- so that a name tells what is in it: chunk_0_20260105. They are attached when they are complete,
-- which holds up neither readers nor writers of the others.
CREATE FUNCTION ensure_history(class smallint, at timestamptz) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
    SET timezone = 'UTC' SET lock_timeout = '2s' AS
$$
DECLARE
    parent text;
    days   integer;
    since  timestamptz;
    list   text;
    part   text;
    made   integer := 0;
BEGIN
    FOR parent, days IN VALUES ('chunk', 7), ('rollup_minute', 28), ('rollup_hour', 364) LOOP
        list := parent || '_' || class;
        IF to_regclass('public.' || list) IS NULL THEN
            EXECUTE format('CREATE TABLE public.%I (LIKE public.%I INCLUDING COMPRESSION INCLUDING STORAGE '
                           'INCLUDING CONSTRAINTS) PARTITION BY RANGE (start)', list, parent);
            EXECUTE format('ALTER TABLE public.%I ATTACH PARTITION public.%I FOR VALUES IN (%s)',
                           parent, list, class);
        END IF;
        since := date_bin(days * interval '1 day', ensure_history.at, timestamptz '1970-01-05 00:00:00+00');
        part := list || to_char(since, '_YYYYMMDD');
        CONTINUE WHEN to_regclass('public.' || part) IS NOT NULL;
        EXECUTE format('CREATE TABLE public.%I (LIKE public.%I INCLUDING COMPRESSION INCLUDING STORAGE '
                       'INCLUDING CONSTRAINTS) WITH (toast_tuple_target = 1024)', part, list);
        EXECUTE format('ALTER TABLE public.%I ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
                       list, part, since, since + days * interval '1 day');
        made := made + 1;
    END LOOP;
    RETURN made;
END
$$;
REVOKE ALL ON FUNCTION ensure_history, landing_clean, landing_rotate FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ensure_history, landing_clean, landing_rotate TO braid_app;
DO $$ BEGIN PERFORM ensure_history(c.id, now()) FROM retention_class c; END $$;

GRANT SELECT, UPDATE ON landing_slot TO braid_app;
GRANT SELECT ON retention_class TO braid_app;
GRANT SELECT, INSERT, DELETE ON piece, chunk, rollup_minute, rollup_hour TO braid_app;

-- ---- reading ----

-- What has landed and is not packed yet.
DO $$
BEGIN
    EXECUTE 'CREATE VIEW landed AS ' || (
        SELECT string_agg(format('SELECT series_id, ts, value, quality FROM landing_%1$s '
            'WHERE (SELECT state FROM landing_slot WHERE slot = %1$s) IN (''open'', ''closed'')', i),
            ' UNION ALL ' ORDER BY i)
          FROM generate_series(0, 7) i);
END $$;

-- unpack gives the samples of one row of piece or chunk, in order.
CREATE FUNCTION unpack(start timestamptz, n integer, step_us bigint, t2 smallint[], t4 integer[],
                       t8 bigint[], scale smallint, v0 bigint, v2 smallint[], v4 integer[],
                       vf float8[], rn integer[], q smallint[], qn integer[])
    RETURNS TABLE (ts timestamptz, value float8, quality smallint)
    LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 3600 SET search_path = pg_catalog, public, pg_temp AS
$$
DECLARE
    times   bigint[]; -- microseconds since start
    numbers float8[];
    words   smallint[];
BEGIN
    IF step_us IS NOT NULL THEN
        times := ARRAY(SELECT i * step_us FROM generate_series(0, n - 1) i);
    ELSIF t8 IS NOT NULL THEN
        times := ARRAY(SELECT sum(d) OVER (ORDER BY o) FROM unnest(t8) WITH ORDINALITY u (d, o));
    ELSIF t4 IS NOT NULL THEN
        times := ARRAY(SELECT 1000 * sum(d) OVER (ORDER BY o) FROM unnest(t4) WITH ORDINALITY u (d, o));
    ELSE
        times := ARRAY(SELECT 1000 * sum(d) OVER (ORDER BY o) FROM unnest(t2) WITH ORDINALITY u (d, o));
    END IF;
    IF scale IS NULL AND rn IS NULL THEN
        numbers := vf;
    ELSIF scale IS NULL THEN
        numbers := ARRAY(SELECT u.v FROM unnest(vf, rn) WITH ORDINALITY u (v, m, o),
                                generate_series(1, u.m) ORDER BY u.o);
    ELSIF v2 IS NOT NULL THEN
        numbers := ARRAY(SELECT (v0 + sum(d) OVER (ORDER BY o))::float8 / (10::float8 ^ scale)
                           FROM unnest(v2) WITH ORDINALITY u (d, o));
    ELSIF v4 IS NOT NULL THEN
        numbers := ARRAY(SELECT (v0 + sum(d) OVER (ORDER BY o))::float8 / (10::float8 ^ scale)
                           FROM unnest(v4) WITH ORDINALITY u (d, o));
    ELSE
        numbers := array_fill(v0::float8 / (10::float8 ^ scale), ARRAY[n]);
    END IF;
    IF q IS NOT NULL THEN
        words := ARRAY(SELECT u.v FROM unnest(q, qn) WITH ORDINALITY u (v, m, o),
                              generate_series(1, u.m) ORDER BY u.o);
    END IF;
    RETURN QUERY SELECT unpack.start + a.t * interval '1 microsecond', a.v, coalesce(a.w, 0::smallint)
                   FROM unnest(times, numbers, words) a (t, v, w);
END
$$;

-- samples_between touches only the spans asked for.
CREATE FUNCTION samples_between(series integer, since timestamptz, till timestamptz)
    RETURNS TABLE (ts timestamptz, value float8, quality smallint)
    LANGUAGE sql STABLE PARALLEL SAFE ROWS 10000 AS
$$
    SELECT l.ts, l.value, l.quality FROM landed l
     WHERE l.series_id = series AND l.ts >= since AND l.ts < till
    UNION ALL
    SELECT u.* FROM (
        SELECT * FROM piece p WHERE p.series_id = series AND p.start < till AND p.stop >= since
           AND p.start > since - interval '1 day'
        UNION ALL
        SELECT * FROM chunk c WHERE c.series_id = series AND c.start < till AND c.stop >= since
           AND c.start > since - interval '1 day') c,
        unpack(c.start, c.n, c.step_us, c.t2, c.t4, c.t8, c.scale, c.v0, c.v2, c.v4, c.vf, c.rn, c.q, c.qn) u
     WHERE u.ts >= since AND u.ts < till
$$;

-- All samples of all series as plain rows; for a span of time samples_between is the fast way.
CREATE VIEW samples AS
SELECT series_id, ts, value, quality FROM landed
UNION ALL
SELECT c.series_id, u.ts, u.value, u.quality
  FROM (SELECT * FROM piece UNION ALL SELECT * FROM chunk) c,
       unpack(c.start, c.n, c.step_us, c.t2, c.t4, c.t8, c.scale, c.v0, c.v2, c.v4, c.vf, c.rn, c.q, c.qn) u;

CREATE VIEW grafana.samples AS
SELECT d.endpoint, s.key AS series, s.unit, v.ts, v.value, v.quality
  FROM device d JOIN series s ON s.device_id = d.id JOIN samples v ON v.series_id = s.id;

GRANT SELECT ON landed, samples TO braid_app;
GRANT SELECT ON grafana.samples TO braid_grafana;

-- Compiling a query over so many partitions costs more than running it.
DO $$
BEGIN
    ALTER ROLE braid_grafana SET jit = off;
EXCEPTION
    WHEN insufficient_privilege THEN
        RAISE NOTICE 'ask a superuser: ALTER ROLE braid_grafana SET jit = off';
END $$;
