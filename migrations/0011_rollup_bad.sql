-- A minute counts every sample, but only sound ones make its numbers: `bad` says how many of the n
-- do not count (NULL: none), so that the mean of several minutes has the right weights.
ALTER TABLE rollup_minute ADD COLUMN bad integer[] COMPRESSION lz4;
ALTER TABLE rollup_hour ADD COLUMN bad integer[] COMPRESSION lz4;

-- The rule of server/store/rollup.h: finite, and neither bad (1) nor null (3); 16 marks historical.
CREATE FUNCTION is_sound(value float8, quality smallint) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    value > '-Infinity' AND value < 'Infinity' AND quality & ~16 <> 1 AND quality & ~16 <> 3;
