-- A landing table is looked through by one process. It is read within some 20 ms; starting workers for
-- it cost two thirds of that again (48 ms of CPU instead of 29 for 490,000 rows on a busy machine), in
-- each chart and each read, and they were slower than one where both cores had other work.
DO $$
BEGIN
    FOR i IN 0 .. 7 LOOP
        EXECUTE format('ALTER TABLE landing_%s SET (parallel_workers = 0)', i);
    END LOOP;
END $$;
