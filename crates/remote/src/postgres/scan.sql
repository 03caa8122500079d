-- One chunk of a range, {words}. Its last row has no key: the newest sequence, and \x00 (nothing is left), \x01 (more may be
-- left), or \x02 and the key at which to go on.
CREATE FUNCTION {s}.scan_{dir}(lo bytea, hi bytea, keys_only boolean, max_bytes bigint, max_rows integer)
RETURNS TABLE (k bytea, seq bigint, v bytea) LANGUAGE plpgsql STABLE AS $$
DECLARE
    r record;
    bytes bigint := 0;
    left_over bytea := '\x00';
BEGIN
    hi := coalesce(hi, {beyond});
    FOR r IN
        SELECT e.k, e.seq, CASE WHEN keys_only THEN ''::bytea ELSE e.v END AS v
        FROM {s}.kv e WHERE e.k >= lo AND e.k < hi ORDER BY e.k {order} LIMIT max_rows::bigint + 1
    LOOP
        IF max_rows = 0 OR bytes >= max_bytes THEN
            left_over := '\x01';
            EXIT;
        END IF;
        k := r.k; seq := r.seq; v := r.v;
        bytes := bytes + octet_length(r.k) + octet_length(r.v);
        max_rows := max_rows - 1;
        RETURN NEXT;
    END LOOP;
    SELECT NULL, {newest}, left_over INTO k, seq, v;
    RETURN NEXT;
END
$$;

-- The same at a moment. Where nothing came after it, it is now. Else a chunk ends at the latest before `stop`, the key behind as many as
-- it can have: the log's side of the union has nothing to show before it has found its first key, and would look for it up to the end.
CREATE FUNCTION {s}.scan_at_{dir}(lo bytea, hi bytea, at bigint, keys_only boolean, max_bytes bigint, max_rows integer)
RETURNS TABLE (k bytea, seq bigint, v bytea) LANGUAGE plpgsql STABLE AS $$
DECLARE
    r record;
    stop bytea;
    bytes bigint := 0;
    passed integer := 0;
    left_over bytea := '\x00';
BEGIN
    PERFORM {s}.check_moment(at);
    IF {newest} = at THEN
        RETURN QUERY SELECT * FROM {s}.scan_{dir}(lo, hi, keys_only, max_bytes, max_rows);
        RETURN;
    END IF;
    hi := coalesce(hi, {beyond});
    SELECT e.k INTO stop FROM {s}.kv e WHERE e.k >= lo AND e.k < hi
        ORDER BY e.k {order} OFFSET least(max_rows, max_bytes / 64 + 1) LIMIT 1;
    IF FOUND THEN
        left_over := '\x02'::bytea || stop;
        {bound};
    END IF;
    FOR r IN
        -- The inner orders and OFFSETs have both sides come in the order of their indexes, so that little is read ahead.
        SELECT e.k, e.seq, e.v, e.seq <= at AS shown FROM (
            SELECT e.k, e.seq, e.v FROM {s}.kv e WHERE e.k >= lo AND e.k < hi ORDER BY e.k {order} OFFSET 0
        ) e
        UNION ALL
        SELECT d.k, d.old_seq, d.old_v, d.old_seq IS NOT NULL FROM (
            SELECT DISTINCT ON (l.k) l.k, l.old_seq, l.old_v FROM (
                SELECT l.k, l.seq, l.old_seq, l.old_v FROM {s}.log l
                WHERE l.k >= lo AND l.k < hi AND l.seq > at ORDER BY l.k {order}, l.seq OFFSET 0
            ) l ORDER BY l.k {order}, l.seq
        ) d
        ORDER BY 1 {order}
    LOOP
        IF NOT r.shown THEN
            passed := passed + 1;
            IF passed >= {passes} AND r.k IS DISTINCT FROM k THEN
                left_over := '\x02'::bytea || r.k;
                EXIT;
            END IF;
            CONTINUE;
        END IF;
        IF max_rows = 0 OR bytes >= max_bytes THEN
            left_over := '\x01';
            EXIT;
        END IF;
        k := r.k; seq := r.seq; v := CASE WHEN keys_only THEN ''::bytea ELSE r.v END;
        bytes := bytes + octet_length(k) + octet_length(v);
        max_rows := max_rows - 1;
        RETURN NEXT;
    END LOOP;
    SELECT NULL, {newest}, left_over INTO k, seq, v;
    RETURN NEXT;
END
$$;
