-- Days of history are days of UTC, 24 hours each. An interval of '1 day' is one of the session's time
-- zone instead: 23 or 25 hours when clocks change there, and then rows were missed or counted twice.

ALTER FUNCTION entries_between(integer, timestamptz, timestamptz, interval) SET timezone = 'UTC';

CREATE OR REPLACE FUNCTION samples_between(series integer, since timestamptz, till timestamptz)
    RETURNS TABLE (ts timestamptz, value float8, quality smallint)
    LANGUAGE sql STABLE PARALLEL SAFE ROWS 10000 AS
$$
    SELECT l.ts, l.value, l.quality FROM landed l
     WHERE l.series_id = series AND l.ts >= since AND l.ts < till
    UNION ALL
    SELECT u.* FROM (
        SELECT * FROM piece p WHERE p.series_id = series AND p.start < till AND p.stop >= since
           AND p.start > since - interval '24 hours'
        UNION ALL
        SELECT * FROM chunk c WHERE c.series_id = series AND c.start < till AND c.stop >= since
           AND c.start > since - interval '24 hours') c,
        unpack(c.start, c.n, c.step_us, c.t2, c.t4, c.t8, c.scale, c.v0, c.v2, c.v4, c.vf, c.rn, c.q, c.qn) u
     WHERE u.ts >= since AND u.ts < till
$$;
