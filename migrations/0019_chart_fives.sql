-- A chart of a week costs what one of a day does: a row of rollup_minute says what it says of minutes
-- once more by five minutes, in arrays of their own, and charts whose buckets are multiples of that
-- read these (server/store/rollup.h). 24 h of minutes are 1,440 entries, 7 d of fives 2,016 instead of
-- 10,080. Rows written before have none and are read by minutes.

ALTER TABLE rollup_minute
    ADD COLUMN at5 smallint[] COMPRESSION lz4, ADD COLUMN n5 integer[] COMPRESSION lz4,
    ADD COLUMN lo5 float8[] COMPRESSION lz4, ADD COLUMN hi5 float8[] COMPRESSION lz4,
    ADD COLUMN mean5 float8[] COMPRESSION lz4, ADD COLUMN first5 float8[] COMPRESSION lz4,
    ADD COLUMN last5 float8[] COMPRESSION lz4, ADD COLUMN bad5 integer[] COMPRESSION lz4;
DO $$
DECLARE
    c text;
BEGIN
    FOREACH c IN ARRAY ARRAY['at5', 'n5', 'lo5', 'hi5', 'mean5', 'first5', 'last5', 'bad5'] LOOP
        EXECUTE format('ALTER TABLE rollup_minute ALTER COLUMN %I SET STORAGE MAIN', c);
    END LOOP;
END $$;

-- chart_width: the width a chart of a series gets when it asks for `width`: whole minutes or hours (see
-- bucket_width), at most 5,000 buckets, fives of minutes where whole minutes of more than two days would
-- have to be read, and minutes or hours instead of less where that spares
-- unpacking more than 100,000 samples and leaves 60 buckets.
CREATE OR REPLACE FUNCTION chart_width(series integer, since timestamptz, till timestamptz, width interval)
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
    IF w > interval '5 minutes' AND w < interval '1 hour' AND span > interval '2 days' THEN
        w := ceil(extract(epoch FROM w) / 300)::float8 * interval '5 minutes';
    END IF;
    IF w >= interval '1 minute' AND w < interval '1 hour' AND span >= 60 * interval '1 hour' AND 100000 < (
        SELECT sum(c.n) FROM chunk c
         WHERE c.series_id = series AND c.start > since - interval '24 hours' AND c.start < till AND c.stop >= since
           AND date_bin('1 hour', c.start, 'epoch') NOT IN (
                   SELECT m.start FROM rollup_minute m
                    WHERE m.series_id = series AND m.start > since - interval '25 hours' AND m.start < till))
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
    fives   CONSTANT boolean := minutes AND extract(epoch FROM w)::integer % 300 = 0;
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
                                                date_bin('1 hour', k.start, 'epoch') NOT IN (
                                                    SELECT m.start FROM rollup_minute m WHERE m.series_id = id
                                                       AND m.start >= lower(span) AND m.start < upper(span)))
                                        OFFSET 0) c) c,
                                   unpack(c.start, c.n, c.step_us, c.t2, c.t4, c.t8, c.scale, c.v0, c.v2, c.v4,
                                          c.vf, c.rn, c.q, c.qn) u) s
                    UNION ALL
                    SELECT r.ts, r.n, r.n - coalesce(r.bad, 0), r.lo, r.hi, r.mean, r.last
                      FROM unnest(CASE WHEN minutes THEN span ELSE rest END) d, LATERAL (
                            SELECT m.start + unnest(e.at) * e.step AS ts, unnest(e.n) AS n,
                                   unnest(e.bad) AS bad, unnest(e.lo) AS lo, unnest(e.hi) AS hi,
                                   unnest(e.mean) AS mean, unnest(e.last) AS last
                              FROM rollup_minute m, LATERAL (
                                    SELECT m.at, m.n, m.bad, m.lo, m.hi, m.mean, m.last, interval '1 minute' AS step
                                     WHERE (fives AND m.n5 IS NOT NULL) IS NOT TRUE
                                    UNION ALL
                                    SELECT m.at5, m.n5, m.bad5, m.lo5, m.hi5, m.mean5, m.last5, interval '5 minutes'
                                     WHERE fives AND m.n5 IS NOT NULL) e
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
