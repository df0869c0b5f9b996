-- Merging looks at the hours that pieces came for, not at all pieces; and pieces go when their time has
-- come, also those that are never merged: dated ahead of the clock, or of a day of which only roll-ups
-- are left.

-- Hours that have pieces, or had some a short while ago. touched: pieces came since merging looked;
-- arrived: when the last ones did.
CREATE TABLE piece_hour (
    start   timestamptz PRIMARY KEY,
    arrived timestamptz NOT NULL DEFAULT now(),
    touched boolean NOT NULL DEFAULT true
) WITH (fillfactor = 50);

CREATE FUNCTION piece_came() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS
$$
BEGIN
    INSERT INTO piece_hour (start) SELECT DISTINCT date_trunc('hour', start, 'UTC') FROM came ORDER BY 1
    ON CONFLICT (start) DO UPDATE SET arrived = excluded.arrived, touched = true;
    RETURN NULL;
END
$$;
CREATE TRIGGER piece_came AFTER INSERT ON piece REFERENCING NEW TABLE AS came
    FOR EACH STATEMENT EXECUTE FUNCTION piece_came();

INSERT INTO piece_hour (start) SELECT DISTINCT date_trunc('hour', start, 'UTC') FROM piece;

-- retention_pieces removes up to `most` pieces that are older at the time `at` than their class keeps,
-- and tells how many. Those dated ahead are as old as it is since the last of their hour came.
CREATE FUNCTION retention_pieces(at timestamptz, most integer) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
    SET lock_timeout = '2s' AS
$$
DECLARE
    h       record;
    n       bigint;
    removed bigint := 0;
BEGIN
    FOR h IN SELECT p.start, p.arrived, p.start + interval '1 hour' AS till,
                    retention_pieces.at - least(p.start, p.arrived) AS age FROM piece_hour p
              WHERE least(p.start, p.arrived) <= retention_pieces.at -
                    (SELECT min(raw_days) + 1 FROM retention_class) * interval '1 day' ORDER BY 1
    LOOP
        EXIT WHEN removed >= most;
        DELETE FROM piece t WHERE t.ctid = ANY (ARRAY(
            SELECT p.ctid FROM piece p JOIN retention_class k ON k.id = p.class_id
             WHERE p.start >= h.start AND p.start < h.till AND h.age >= (k.raw_days + 1) * interval '1 day'
             LIMIT most - removed));
        GET DIAGNOSTICS n = ROW_COUNT;
        removed := removed + n;
        DELETE FROM piece_hour t WHERE t.start IN (
            SELECT p.start FROM piece_hour p WHERE p.start = h.start AND p.arrived = h.arrived
               AND NOT EXISTS (SELECT FROM piece x WHERE x.start >= h.start AND x.start < h.till)
               FOR UPDATE SKIP LOCKED);
    END LOOP;
    RETURN removed;
END
$$;

REVOKE ALL ON FUNCTION piece_came, retention_pieces FROM PUBLIC;
GRANT EXECUTE ON FUNCTION retention_pieces TO braid_app;
GRANT SELECT, UPDATE, DELETE ON piece_hour TO braid_app;
