-- History for psql and dashboards: a faster unpack, and functions that read a series through its
-- roll-ups, as the server does (server/store/history.h).

-- Arrays of parameters are expanded once by plpgsql, so one loop beats any query over unnest.
CREATE OR REPLACE FUNCTION unpack(start timestamptz, n integer, step_us bigint, t2 smallint[], t4 integer[],
                       t8 bigint[], scale smallint, v0 bigint, v2 smallint[], v4 integer[],
                       vf float8[], rn integer[], q smallint[], qn integer[])
    RETURNS TABLE (ts timestamptz, value float8, quality smallint)
    LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 3600 SET search_path = pg_catalog, public, pg_temp AS
$$
DECLARE
    unit    interval := CASE WHEN t2 IS NULL AND t4 IS NULL THEN '1 microsecond' ELSE '1 millisecond' END;
    elapsed bigint := CASE WHEN step_us IS NULL THEN 0 ELSE -step_us END;
    number  bigint := v0;
    power   float8 := 10::float8 ^ scale;
    numbers float8[];
    words   smallint[];
BEGIN
    IF rn IS NOT NULL THEN
        numbers := ARRAY(SELECT u.v FROM unnest(vf, rn) WITH ORDINALITY u (v, m, o),
                                generate_series(1, u.m) ORDER BY u.o);
    ELSE
        numbers := vf;
    END IF;
    IF q IS NOT NULL THEN
        words := ARRAY(SELECT u.v FROM unnest(q, qn) WITH ORDINALITY u (v, m, o),
                              generate_series(1, u.m) ORDER BY u.o);
    END IF;
    quality := 0;
    value := number / power;
    FOR i IN 1 .. n LOOP
        IF t2 IS NOT NULL THEN
            elapsed := elapsed + t2[i];
        ELSIF step_us IS NOT NULL THEN
            elapsed := elapsed + step_us;
        ELSIF t4 IS NOT NULL THEN
            elapsed := elapsed + t4[i];
        ELSE
            elapsed := elapsed + t8[i];
        END IF;
        ts := start + elapsed * unit;
        IF v2 IS NOT NULL THEN
            number := number + v2[i];
            value := number / power;
        ELSIF numbers IS NOT NULL THEN
            value := numbers[i];
        ELSIF v4 IS NOT NULL THEN
            number := number + v4[i];
            value := number / power;
        END IF;
        IF words IS NOT NULL THEN
            quality := words[i];
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;

-- entries_between gives what a span is made of, in parts as coarse as `width` allows: whole hours,
-- whole minutes, samples (n = 1). A row of rollup_hour stands for all of its day that is in chunk, one
-- of rollup_minute for its hour; a row of chunk holds samples of one such hour, or of a day's others.
CREATE FUNCTION entries_between(series integer, since timestamptz, till timestamptz, width interval)
    RETURNS TABLE (ts timestamptz, n integer, bad integer, lo float8, hi float8, mean float8, last float8)
    LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 2000
    SET search_path = pg_catalog, public, pg_temp SET plan_cache_mode = force_generic_plan AS
$$
#variable_conflict use_column
DECLARE
    by_hours   CONSTANT boolean := width >= interval '1 hour';
    by_minutes CONSTANT boolean := width >= interval '1 minute';
    days       timestamptz[] := '{}'; -- that no roll-up of hours stands for
BEGIN
    -- Landing tables first: they are emptied ten seconds after what was in them has moved.
    RETURN QUERY
    SELECT l.ts, 1, CASE WHEN is_sound(l.value, l.quality) THEN 0 ELSE 1 END, l.value, l.value, l.value, l.value
      FROM landed l WHERE l.series_id = entries_between.series AND l.ts >= since AND l.ts < till
    UNION ALL
    SELECT u.ts, 1, CASE WHEN is_sound(u.value, u.quality) THEN 0 ELSE 1 END, u.value, u.value, u.value, u.value
      FROM piece c,
           unpack(c.start, c.n, c.step_us, c.t2, c.t4, c.t8, c.scale, c.v0, c.v2, c.v4, c.vf, c.rn, c.q, c.qn) u
     WHERE c.series_id = entries_between.series AND c.stop >= since AND c.start > since - interval '1 day'
       AND c.start < till AND u.ts >= since AND u.ts < till;
    IF by_hours THEN
        RETURN QUERY
        SELECT e.ts, e.n, coalesce(e.bad, 0), e.lo, e.hi, e.mean, e.last
          FROM (SELECT r.start + unnest(r.at) * interval '1 hour' AS ts, unnest(r.n) AS n, unnest(r.bad) AS bad,
                       unnest(r.lo) AS lo, unnest(r.hi) AS hi, unnest(r.mean) AS mean, unnest(r.last) AS last
                  FROM rollup_hour r
                 WHERE r.series_id = entries_between.series AND r.start > since - interval '1 day' AND r.start < till) e
         WHERE e.ts >= since AND e.ts < till;
        days := ARRAY(SELECT generate_series(date_bin('1 day', since, 'epoch'), till - interval '1 us', '1 day')
                      EXCEPT
                      SELECT r.start FROM rollup_hour r WHERE r.series_id = entries_between.series
                         AND r.start > since - interval '1 day' AND r.start < till);
    END IF;
    IF by_minutes AND (NOT by_hours OR cardinality(days) > 0) THEN
        RETURN QUERY
        SELECT e.ts, e.n, coalesce(e.bad, 0), e.lo, e.hi, e.mean, e.last
          FROM (SELECT r.start + unnest(r.at) * interval '1 minute' AS ts, unnest(r.n) AS n, unnest(r.bad) AS bad,
                       unnest(r.lo) AS lo, unnest(r.hi) AS hi, unnest(r.mean) AS mean, unnest(r.last) AS last
                  FROM (SELECT m.* FROM rollup_minute m
                         WHERE NOT by_hours AND m.series_id = entries_between.series
                           AND m.start > since - interval '1 hour' AND m.start < till
                        UNION ALL
                        SELECT m.* FROM unnest(days) d, rollup_minute m
                         WHERE m.series_id = entries_between.series AND m.start >= d
                           AND m.start < d + interval '1 day') r) e
         WHERE e.ts >= since AND e.ts < till;
    END IF;
    IF NOT by_hours OR cardinality(days) > 0 THEN
        RETURN QUERY
        SELECT u.ts, 1, CASE WHEN is_sound(u.value, u.quality) THEN 0 ELSE 1 END, u.value, u.value, u.value, u.value
          FROM (SELECT c.* FROM chunk c
                 WHERE NOT by_hours AND c.series_id = entries_between.series AND c.stop >= since
                   AND c.start > since - interval '1 day' AND c.start < till
                UNION ALL
                SELECT c.* FROM unnest(days) d, chunk c
                 WHERE c.series_id = entries_between.series AND c.start >= d AND c.start < d + interval '1 day') c,
               unpack(c.start, c.n, c.step_us, c.t2, c.t4, c.t8, c.scale, c.v0, c.v2, c.v4, c.vf, c.rn, c.q, c.qn) u
         WHERE u.ts >= since AND u.ts < till
           AND (NOT by_minutes OR (SELECT true FROM rollup_minute m WHERE m.series_id = entries_between.series
                                      AND m.start = date_bin('1 hour', c.start, 'epoch') LIMIT 1) IS NULL);
    END IF;
END
$$;

-- bucket_width: what a chart may ask for is rounded up to whole minutes, from an hour on to whole hours.
CREATE FUNCTION bucket_width(width interval) RETURNS interval
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN CASE WHEN extract(epoch FROM width) > 3600 THEN ceil(extract(epoch FROM width) / 3600)::float8 * interval '1 hour'
                WHEN extract(epoch FROM width) > 60 THEN ceil(extract(epoch FROM width) / 60)::float8 * interval '1 minute'
                ELSE greatest(extract(epoch FROM width), 0.001)::float8 * interval '1 second' END;

CREATE FUNCTION grafana.series_id(endpoint text, series text) RETURNS integer
    LANGUAGE sql STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS
$$
    SELECT s.id FROM device d JOIN series s ON s.device_id = d.id
     WHERE d.endpoint = series_id.endpoint AND s.key = series_id.series
$$;

-- grafana.history: the samples of one series, since <= ts < till, in order.
CREATE FUNCTION grafana.history(endpoint text, series text, since timestamptz, till timestamptz)
    RETURNS TABLE (ts timestamptz, value float8, quality smallint)
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 10000
    SET search_path = pg_catalog, public, pg_temp SET plan_cache_mode = force_generic_plan AS
$$
    SELECT b.ts, b.value, b.quality
      FROM samples_between(grafana.series_id(history.endpoint, history.series), history.since, history.till) b
     ORDER BY b.ts
$$;

-- grafana.buckets: lowest, highest, mean, number and last value per bucket of `width` (see
-- bucket_width), which begin at its multiples since 1970. The first and the last one are whole.
CREATE FUNCTION grafana.buckets(endpoint text, series text, since timestamptz, till timestamptz, width interval)
    RETURNS TABLE ("time" timestamptz, min float8, max float8, avg float8, n bigint, last float8)
    LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 500
    SET search_path = pg_catalog, public, pg_temp SET plan_cache_mode = force_generic_plan AS
$$
#variable_conflict use_column
DECLARE
    w    CONSTANT interval := bucket_width(buckets.width);
    id   CONSTANT integer := grafana.series_id(buckets.endpoint, buckets.series);
    low  CONSTANT timestamptz := date_bin(w, buckets.since, 'epoch');
    high CONSTANT timestamptz := date_bin(w, buckets.till - interval '1 microsecond', 'epoch') + w;
BEGIN
    RETURN QUERY
    SELECT e.bucket, min(e.lo), max(e.hi), sum(e.mean * e.sound) / nullif(sum(e.sound), 0), sum(e.n),
           (array_agg(e.last) FILTER (WHERE e.sound > 0))[count(*) FILTER (WHERE e.sound > 0)]
      FROM (SELECT date_bin(w, i.ts, 'epoch') AS bucket, i.n, (i.n - i.bad)::float8 AS sound,
                   CASE WHEN i.n > i.bad THEN i.lo END AS lo, CASE WHEN i.n > i.bad THEN i.hi END AS hi,
                   CASE WHEN i.n > i.bad THEN i.mean END AS mean, i.last
              FROM entries_between(id, low, high, w) i
             ORDER BY i.ts) e -- so that the last one comes last
     GROUP BY e.bucket ORDER BY e.bucket;
END
$$;

REVOKE ALL ON FUNCTION grafana.series_id, grafana.history, grafana.buckets FROM PUBLIC;
GRANT EXECUTE ON FUNCTION grafana.series_id, grafana.history, grafana.buckets TO braid_grafana;

COMMENT ON VIEW grafana.samples IS
    'All samples of all series: every query unpacks them all. For one series use grafana.history or grafana.buckets.';
