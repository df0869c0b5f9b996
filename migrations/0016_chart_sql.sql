-- Charts in SQL: the same choice of source as the server's (server/store/history.h), with what is left of
-- it when retention took the finer one, and never more buckets or unpacking than a chart needs.

-- A row of minutes is some 2.5 kB: in the table it is one page to read, outside it were eight, and
-- merging writes it in half the time. Only rows written from now on are stored like this.
DO $$
DECLARE
    c text;
BEGIN
    FOREACH c IN ARRAY ARRAY['at', 'n', 'lo', 'hi', 'mean', 'first', 'last', 'bad'] LOOP
        EXECUTE format('ALTER TABLE rollup_minute ALTER COLUMN %I SET STORAGE MAIN', c);
        EXECUTE format('ALTER TABLE rollup_hour ALTER COLUMN %I SET STORAGE MAIN', c);
    END LOOP;
END $$;

-- chart_width: the width a chart of a series gets when it asks for `width`: whole minutes or hours (see
-- bucket_width), at most 5,000 buckets, and minutes or hours instead of less where that spares
-- unpacking more than 100,000 samples and leaves 60 buckets.
CREATE FUNCTION chart_width(series integer, since timestamptz, till timestamptz, width interval)
    RETURNS interval
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, public, pg_temp SET timezone = 'UTC'
    SET plan_cache_mode = force_generic_plan AS
$$
DECLARE
    span CONSTANT interval := till - since;
    w    interval := bucket_width(width);
BEGIN
    w := bucket_width(w * greatest(1, ceil(extract(epoch FROM span) / extract(epoch FROM w) / 5000))::float8);
    IF w < interval '1 minute' AND span >= 60 * interval '1 minute' AND 100000 < (
        SELECT sum(c.n) FROM chunk c
         WHERE c.series_id = series AND c.start > since - interval '24 hours' AND c.start < till AND c.stop >= since)
    THEN
        w := interval '1 minute';
    END IF;
    IF w >= interval '1 minute' AND w < interval '1 hour' AND span >= 60 * interval '1 hour' AND 100000 < (
        SELECT sum(c.n) FROM chunk c
         WHERE c.series_id = series AND c.start > since - interval '24 hours' AND c.start < till AND c.stop >= since
           AND (SELECT true FROM rollup_minute m WHERE m.series_id = series
                   AND m.start = date_bin('1 hour', c.start, 'epoch') LIMIT 1) IS NULL)
    THEN
        w := interval '1 hour';
    END IF;
    RETURN w;
END
$$;

-- grafana.buckets: lowest, highest, mean, number and last value per bucket, which begin at multiples of
-- their width since 1970 (see chart_width). The first and the last one are whole.
--
-- A row of rollup_hour stands for all of its day that is in chunk, one of rollup_minute for its hour; a
-- row of chunk holds samples of one such hour, or of a day's others. Retention drops whole weeks. So
-- the source that fits the width is asked for the whole span, and the others for the days which that
-- one (hours) or chunk (minutes, samples) has nothing of.
CREATE OR REPLACE FUNCTION grafana.buckets(endpoint text, series text, since timestamptz, till timestamptz, width interval)
    RETURNS TABLE ("time" timestamptz, min float8, max float8, avg float8, n bigint, last float8)
    LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 500
    SET search_path = pg_catalog, public, pg_temp SET timezone = 'UTC'
    SET plan_cache_mode = force_generic_plan AS
$$
#variable_conflict use_column
DECLARE
    id      CONSTANT integer := grafana.series_id(buckets.endpoint, buckets.series);
    w       CONSTANT interval := chart_width(id, buckets.since, buckets.till, buckets.width);
    hours   CONSTANT boolean := w >= interval '1 hour';
    minutes CONSTANT boolean := w >= interval '1 minute' AND NOT hours;
    low     CONSTANT timestamptz := date_bin(w, buckets.since, 'epoch');
    high    CONSTANT timestamptz := date_bin(w, buckets.till - interval '1 microsecond', 'epoch') + w;
    span    CONSTANT tstzmultirange := tstzmultirange(tstzrange(date_bin('24 hours', low, 'epoch'),
                         date_bin('24 hours', high - interval '1 microsecond', 'epoch') + interval '24 hours'));
    rest    tstzmultirange; -- of the span: days for which the other sources are asked
BEGIN
    IF hours THEN
        SELECT range_agg(tstzrange(r.start, r.start + interval '24 hours')) INTO rest FROM rollup_hour r
         WHERE r.series_id = id AND r.start > low - interval '24 hours' AND r.start < high;
    ELSE
        SELECT range_agg(tstzrange(d.day, d.day + interval '24 hours')) INTO rest
          FROM (SELECT DISTINCT date_bin('24 hours', c.start, 'epoch') AS day FROM chunk c
                 WHERE c.series_id = id AND c.start > low - interval '24 hours' AND c.start < high) d;
    END IF;
    rest := span - coalesce(rest, '{}');
    RETURN QUERY
    SELECT e.bucket, min(e.lo), max(e.hi), sum(e.mean * e.sound) / nullif(sum(e.sound), 0), sum(e.n),
           (array_agg(e.last) FILTER (WHERE e.sound > 0))[count(*) FILTER (WHERE e.sound > 0)]
      FROM (SELECT date_bin(w, i.ts, 'epoch') AS bucket, i.n, i.sound::float8 AS sound,
                   CASE WHEN i.sound > 0 THEN i.lo END AS lo, CASE WHEN i.sound > 0 THEN i.hi END AS hi,
                   CASE WHEN i.sound > 0 THEN i.mean END AS mean, i.last
              FROM (SELECT s.ts, 1 AS n, CASE WHEN is_sound(s.value, s.quality) THEN 1 ELSE 0 END AS sound,
                           s.value AS lo, s.value AS hi, s.value AS mean, s.value AS last
                      FROM (SELECT l.ts, l.value, l.quality FROM landed l WHERE l.series_id = id
                            UNION ALL
                            SELECT u.*
                              FROM (SELECT p.* FROM piece p
                                     WHERE p.series_id = id AND p.start > low - interval '24 hours'
                                       AND p.start < high AND p.stop >= low
                                    UNION ALL
                                    SELECT c.* FROM unnest(CASE WHEN hours THEN rest ELSE span END) d, LATERAL (
                                        SELECT k.* FROM chunk k
                                         WHERE k.series_id = id AND k.start >= lower(d) AND k.start < upper(d)
                                           AND k.start < high AND k.stop >= low
                                           AND (NOT (hours OR minutes) OR
                                                (SELECT true FROM rollup_minute m WHERE m.series_id = id
                                                    AND m.start = date_bin('1 hour', k.start, 'epoch') LIMIT 1) IS NULL)
                                        OFFSET 0) c) c,
                                   unpack(c.start, c.n, c.step_us, c.t2, c.t4, c.t8, c.scale, c.v0, c.v2, c.v4,
                                          c.vf, c.rn, c.q, c.qn) u) s
                    UNION ALL
                    SELECT r.ts, r.n, r.n - coalesce(r.bad, 0), r.lo, r.hi, r.mean, r.last
                      FROM unnest(CASE WHEN minutes THEN span ELSE rest END) d, LATERAL (
                            SELECT m.start + unnest(m.at) * interval '1 minute' AS ts, unnest(m.n) AS n,
                                   unnest(m.bad) AS bad, unnest(m.lo) AS lo, unnest(m.hi) AS hi,
                                   unnest(m.mean) AS mean, unnest(m.last) AS last
                              FROM rollup_minute m
                             WHERE m.series_id = id AND m.start >= lower(d) AND m.start < upper(d)
                               AND m.start > low - interval '1 hour' AND m.start < high) r
                    UNION ALL
                    SELECT r.ts, r.n, r.n - coalesce(r.bad, 0), r.lo, r.hi, r.mean, r.last
                      FROM unnest(CASE WHEN hours THEN span ELSE rest END) d, LATERAL (
                            SELECT h.start + unnest(h.at) * interval '1 hour' AS ts, unnest(h.n) AS n,
                                   unnest(h.bad) AS bad, unnest(h.lo) AS lo, unnest(h.hi) AS hi,
                                   unnest(h.mean) AS mean, unnest(h.last) AS last
                              FROM rollup_hour h
                             WHERE h.series_id = id AND h.start >= lower(d) AND h.start < upper(d)) r
                     WHERE hours OR (SELECT true FROM rollup_minute m WHERE m.series_id = id
                                        AND m.start = r.ts LIMIT 1) IS NULL) i
             WHERE i.ts >= low AND i.ts < high
             ORDER BY i.ts) e -- so that the last one comes last
     GROUP BY e.bucket ORDER BY e.bucket;
END
$$;

DROP FUNCTION entries_between(integer, timestamptz, timestamptz, interval);
