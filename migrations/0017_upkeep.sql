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
