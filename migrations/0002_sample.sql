-- Samples land here: append-only, partitioned by the day of arrival, so that retention drops whole
-- partitions and late samples need no special place. Readers use the views; what lies behind them
-- may be packed later without their noticing.

CREATE TABLE sample (
    series_id integer NOT NULL,
    ts        timestamptz NOT NULL,
    value     double precision,
    quality   smallint NOT NULL,
    arrived   timestamptz NOT NULL DEFAULT now()
) PARTITION BY RANGE (arrived);
CREATE INDEX sample_series_ts ON sample (series_id, ts);

-- kind: t text, j JSON, b bytes (in `bytes`), n null
CREATE TABLE text_sample (
    series_id integer NOT NULL,
    ts        timestamptz NOT NULL,
    kind      "char" NOT NULL CHECK (kind IN ('t', 'j', 'b', 'n')),
    value     text,
    bytes     bytea,
    quality   smallint NOT NULL,
    arrived   timestamptz NOT NULL DEFAULT now()
) PARTITION BY RANGE (arrived);
CREATE INDEX text_sample_series_ts ON text_sample (series_id, ts);

-- Nothing is ever refused because a day has no partition yet.
CREATE TABLE sample_default PARTITION OF sample DEFAULT;
CREATE TABLE text_sample_default PARTITION OF text_sample DEFAULT;

-- ensure_partitions makes the partitions from today to `ahead` days from now (UTC days) and tells
-- how many it made. The application may not create tables, hence SECURITY DEFINER. A day whose rows
-- are already in the default partition keeps living there.
CREATE FUNCTION ensure_partitions(ahead integer DEFAULT 3) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
    SET lock_timeout = '2s' SET timezone = 'UTC' AS
$$
DECLARE
    parent text;
    day    date;
    part   text;
    made   integer := 0;
BEGIN
    FOREACH parent IN ARRAY ARRAY['sample', 'text_sample'] LOOP
        FOR i IN 0 .. least(greatest(ahead, 0), 30) LOOP
            day := current_date + i;
            part := parent || to_char(day, '_YYYYMMDD');
            CONTINUE WHEN to_regclass('public.' || part) IS NOT NULL;
            BEGIN
                EXECUTE format('CREATE TABLE public.%I PARTITION OF public.%I FOR VALUES FROM (%L) TO (%L)',
                    part, parent, day::timestamptz, (day + 1)::timestamptz);
                made := made + 1;
            EXCEPTION
                WHEN check_violation THEN
                    RAISE NOTICE 'rows of % are in the default partition of %', day, parent;
                WHEN lock_not_available THEN
                    RAISE NOTICE 'partition % has to wait: % is busy', part, parent;
            END;
        END LOOP;
    END LOOP;
    RETURN made;
END
$$;
REVOKE ALL ON FUNCTION ensure_partitions FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ensure_partitions TO braid_app;
SELECT ensure_partitions();

-- A batch of samples is committed together with its number, so that a replay knows what is in.
CREATE TABLE ingest_batch (
    writer   bigint NOT NULL,
    batch_no bigint NOT NULL,
    at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (writer, batch_no)
);
CREATE INDEX ingest_batch_at ON ingest_batch USING brin (at);

-- What PostgreSQL refused: statements and sample rows set aside so that they hold up nothing.
CREATE TABLE poisoned (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at       timestamptz NOT NULL DEFAULT now(),
    kind     text NOT NULL,
    sqlstate text NOT NULL DEFAULT '',
    reason   text NOT NULL,
    content  text NOT NULL DEFAULT ''
);

CREATE VIEW samples AS SELECT series_id, ts, value, quality FROM sample;
CREATE VIEW text_samples AS SELECT series_id, ts, kind, value, bytes, quality FROM text_sample;

GRANT SELECT, INSERT ON sample, text_sample TO braid_app;
GRANT SELECT, INSERT, DELETE ON ingest_batch TO braid_app;
GRANT SELECT, INSERT ON poisoned TO braid_app;
GRANT SELECT ON samples, text_samples TO braid_app;
