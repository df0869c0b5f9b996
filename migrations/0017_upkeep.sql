-- Background jobs find what there is to do by what changed, and wait for one another only in one order.

-- ---- what deleted devices leave behind ----

-- When the oldest landing table was opened that has samples in it that are not packed; infinity: all
-- samples are.
CREATE FUNCTION landed_since() RETURNS timestamptz
    LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp AS
$$
    SELECT CASE WHEN EXISTS (SELECT FROM landed) THEN min(opened_at) ELSE 'infinity' END
      FROM landing_slot WHERE state IN ('open', 'closed')
$$;

-- retention_purge removes the history of at most `most` series that are gone. It waits until what had
-- landed of them is packed: the first time for what landed before they were deleted, the second time,
-- an hour later, for what was on its way then.
CREATE OR REPLACE FUNCTION retention_purge(at timestamptz, most integer)
    RETURNS TABLE (series bigint, removed bigint)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
    SET lock_timeout = '2s' AS
$$
DECLARE
    ids   integer[];
    since timestamptz := landed_since();
    name  text;
    n     bigint;
BEGIN
    ids := ARRAY(SELECT p.series_id FROM series_purge p WHERE p.due <= retention_purge.at
                    AND p.due - CASE WHEN p.again THEN interval '0' ELSE interval '1 hour' END <= since
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

-- ---- classes ----

-- retention_assign applies the rules to the next `most` series and tells how many changed; NULL when
-- all are done. To begin anew set assign_after to 0. It waits for nobody but its like, so that it is
-- in no deadlock: whoever deletes a device holds its series and then wants storage_state (its tags
-- go), whoever sets tags holds storage_state. Up to a series that is held by somebody the work is
-- done, the next call goes on there; when storage_state is held, or was changed meanwhile, it is
-- done again.
CREATE OR REPLACE FUNCTION retention_assign(most integer) RETURNS integer
    LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS
$$
DECLARE
    since   integer;
    seen    xid;
    till    integer;
    changed integer;
BEGIN
    PERFORM pg_advisory_xact_lock(422155773287);
    SELECT assign_after, xmin INTO since, seen FROM storage_state;
    IF since IS NULL THEN
        RETURN NULL;
    END IF;
    SELECT max(id) INTO till FROM (SELECT id FROM series WHERE id > since ORDER BY id LIMIT most) s;
    IF till IS NOT NULL THEN
        WITH other AS MATERIALIZED (
            SELECT * FROM (SELECT id, class_id AS was, class_for(device_id, key) AS class_id FROM series
                            WHERE id > since AND id <= till AND NOT class_fixed) s
             WHERE class_id <> was),
        held AS MATERIALIZED (
            SELECT s.id FROM series s WHERE s.id IN (SELECT id FROM other) AND NOT s.class_fixed
               FOR NO KEY UPDATE SKIP LOCKED),
        moved AS (
            UPDATE series s SET class_id = o.class_id FROM other o, held h
             WHERE o.id = h.id AND s.id = h.id RETURNING s.id)
        SELECT (SELECT count(*) FROM moved),
               coalesce((SELECT min(o.id) - 1 FROM other o WHERE NOT EXISTS (SELECT FROM held h WHERE h.id = o.id)),
                        till)
          INTO changed, till;
    END IF;
    UPDATE storage_state SET assign_after = till
     WHERE one IN (SELECT one FROM storage_state WHERE xmin = seen FOR UPDATE SKIP LOCKED);
    RETURN changed;
END
$$;
