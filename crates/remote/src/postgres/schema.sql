-- The tables and functions of one database. {s} is its schema, {id} the new database's random bits.
-- What must hold, and why in this order: docs/REMOTE.md.

-- Its row is locked by every write, and changed by hardly any: a version for each commit would stay, and be walked by each write,
-- as long as any transaction of the database is open.
CREATE TABLE {s}.meta (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    layout integer NOT NULL,
    history bytea NOT NULL,
    history_bytes bigint NOT NULL DEFAULT 67108864,
    service text NOT NULL DEFAULT 'live'
);

-- One row for each call of `write`: the sequence after it, the bytes that were ever added to the log, whose call it was, and what it
-- was told.
CREATE TABLE {s}.commits (
    c bigint PRIMARY KEY,
    seq bigint NOT NULL,
    bytes bigint NOT NULL,
    session bytea,
    n bigint,
    nonce bigint,
    outcome bigint[],
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE UNIQUE INDEX commits_sessions ON {s}.commits (session, n);

CREATE TABLE {s}.kv (
    k bytea PRIMARY KEY,
    seq bigint NOT NULL,
    v bytea NOT NULL
) WITH (fillfactor = 90);

CREATE TABLE {s}.log (
    seq bigint PRIMARY KEY,
    k bytea NOT NULL,
    v bytea,
    old_seq bigint,
    old_v bytea
);
CREATE INDEX log_keys ON {s}.log (k, seq);

CREATE TABLE {s}.history (
    number bigint PRIMARY KEY,
    random bytea NOT NULL UNIQUE CHECK (octet_length(random) = 16),
    server text NOT NULL,
    began bigint NOT NULL
);

CREATE TABLE {s}.session (
    id bytea PRIMARY KEY CHECK (octet_length(id) = 16),
    seen timestamptz NOT NULL DEFAULT clock_timestamp(),
    pin bigint
) WITH (fillfactor = 50);

CREATE TABLE {s}.pruned (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    seq bigint NOT NULL DEFAULT 0,
    bytes bigint NOT NULL DEFAULT 0,
    at timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 50);

CREATE TABLE {s}.watched (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    until timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 50);

CREATE TABLE {s}.mark (at timestamptz PRIMARY KEY, seq bigint NOT NULL);

-- What this database is on: another server, timeline or table is another one, on which writes may be missing.
CREATE FUNCTION {s}.server() RETURNS text LANGUAGE sql STABLE AS $$
    SELECT (SELECT system_identifier FROM pg_catalog.pg_control_system()) || '/'
        || left(pg_walfile_name(pg_current_wal_lsn()), 8) || '/'
        || (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()) || '/' || '{s}.kv'::regclass::oid
$$;

INSERT INTO {s}.meta (layout, history) VALUES ({layout}, '{id}'::bytea);
INSERT INTO {s}.commits (c, seq, bytes) VALUES (0, 0, 0);
INSERT INTO {s}.pruned DEFAULT VALUES;
INSERT INTO {s}.watched DEFAULT VALUES;
INSERT INTO {s}.history VALUES (1, '{id}'::bytea, {s}.server(), 0);

-- The first call on each connection: begins another history where the server is another one, or has lost what the caller has
-- seen: a sequence of this history above its last, or (went_back) a group that was recorded. The new one's sequences begin far
-- above those that may be lost, so that none of them comes again.
CREATE FUNCTION {s}.hello(new_random bytea, seen_history bytea, seen_seq bigint, went_back boolean)
RETURNS TABLE (number bigint, random bytea, server text, began bigint, layout integer) LANGUAGE plpgsql AS $$
DECLARE
    here text := {s}.server();
    last bigint;
    replaced boolean;
BEGIN
    -- If it is lost, the next hello begins another one.
    PERFORM set_config('synchronous_commit', 'local', true);
    FOR attempt IN 1 .. 2 LOOP
        SELECT h.server <> here OR (h.random = seen_history AND (went_back OR {newest} < seen_seq))
            INTO replaced FROM {s}.history h ORDER BY h.number DESC LIMIT 1;
        EXIT WHEN NOT replaced;
        IF attempt = 1 THEN
            -- And looks again, once nobody writes.
            PERFORM FROM {s}.meta m FOR UPDATE;
            last := {newest};
        ELSE
            INSERT INTO {s}.history SELECT max(h.number) + 1, new_random, here, last FROM {s}.history h;
            UPDATE {s}.meta SET history = new_random;
            INSERT INTO {s}.commits (c, seq, bytes)
                SELECT c.c + 1, c.seq + {apart}, c.bytes FROM {s}.commits c ORDER BY c.c DESC LIMIT 1;
        END IF;
    END LOOP;
    RETURN QUERY SELECT h.number, h.random, h.server, h.began, m.layout
        FROM {s}.history h, {s}.meta m ORDER BY h.number DESC LIMIT 100;
END
$$;

-- Whether nothing was put in a range with a sequence above `since`.
CREATE FUNCTION {s}.untouched(lo bytea, hi bytea, since bigint, last bigint)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    put boolean;
    gone bigint;
BEGIN
    IF since >= last THEN
        RETURN true;
    END IF;
    hi := coalesce(hi, {beyond});
    IF last - since < 10000 THEN
        SELECT p.seq, EXISTS (
            SELECT FROM (SELECT l.k, l.v FROM {s}.log l WHERE l.seq > since OFFSET 0) l
            WHERE l.v IS NOT NULL AND l.k >= lo AND l.k < hi
        ) INTO gone, put FROM {s}.pruned p;
    ELSE
        SELECT p.seq, EXISTS (
            SELECT FROM {s}.log l
            WHERE l.k >= lo AND l.k < hi AND l.seq > since AND l.v IS NOT NULL
        ) INTO gone, put FROM {s}.pruned p;
    END IF;
    RETURN gone <= since AND NOT put;
END
$$;

-- Applies operations with the sequences above `base`; gives the bytes that the log grew by.
CREATE FUNCTION {s}.apply(base bigint, keys bytea[], vals bytea[], twice boolean)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    grown bigint;
    prior_seq bigint;
    prior_v bytea;
BEGIN
    IF cardinality(keys) = 1 THEN
        IF vals[1] IS NULL THEN
            DELETE FROM {s}.kv e WHERE e.k = keys[1] RETURNING e.seq, e.v INTO prior_seq, prior_v;
        ELSE
            UPDATE {s}.kv e SET seq = base + 1, v = vals[1] FROM {s}.kv o
                WHERE e.k = keys[1] AND o.k = keys[1] RETURNING o.seq, o.v INTO prior_seq, prior_v;
            IF NOT FOUND THEN
                INSERT INTO {s}.kv VALUES (keys[1], base + 1, vals[1]);
            END IF;
        END IF;
        INSERT INTO {s}.log VALUES (base + 1, keys[1], vals[1], prior_seq, prior_v);
        RETURN 64 + octet_length(keys[1]) + coalesce(octet_length(vals[1]), 0) + coalesce(octet_length(prior_v), 0);
    END IF;
    IF NOT twice THEN
        WITH new AS (
            INSERT INTO {s}.log
            SELECT base + o.ord, o.k, o.v, e.seq, e.v
            FROM unnest(keys, vals) WITH ORDINALITY o (k, v, ord) LEFT JOIN {s}.kv e ON e.k = o.k
            RETURNING k, v, old_v
        )
        SELECT sum(64 + octet_length(n.k) + coalesce(octet_length(n.v), 0) + coalesce(octet_length(n.old_v), 0))
            INTO grown FROM new n;
        DELETE FROM {s}.kv e USING unnest(keys, vals) o (k, v) WHERE o.v IS NULL AND e.k = o.k;
        INSERT INTO {s}.kv AS e
            SELECT o.k, base + o.ord, o.v FROM unnest(keys, vals) WITH ORDINALITY o (k, v, ord) WHERE o.v IS NOT NULL
            ON CONFLICT (k) DO UPDATE SET seq = excluded.seq, v = excluded.v;
        RETURN grown;
    END IF;
    -- Some keys come twice: what was before the later one is the earlier one.
    WITH op AS (
        SELECT o.k, o.v, o.ord, lag(o.ord) OVER w AS prior, lag(o.v) OVER w AS prior_v
        FROM unnest(keys, vals) WITH ORDINALITY o (k, v, ord) WINDOW w AS (PARTITION BY o.k ORDER BY o.ord)
    ), new AS (
        INSERT INTO {s}.log
        SELECT base + o.ord, o.k, o.v,
            CASE WHEN o.prior IS NULL THEN e.seq WHEN o.prior_v IS NOT NULL THEN base + o.prior END,
            CASE WHEN o.prior IS NULL THEN e.v ELSE o.prior_v END
        FROM op o LEFT JOIN {s}.kv e ON o.prior IS NULL AND e.k = o.k
        RETURNING k, v, old_v
    )
    SELECT sum(64 + octet_length(n.k) + coalesce(octet_length(n.v), 0) + coalesce(octet_length(n.old_v), 0))
        INTO grown FROM new n;
    WITH last AS (
        SELECT DISTINCT ON (o.k) o.k, o.v, o.ord FROM unnest(keys, vals) WITH ORDINALITY o (k, v, ord)
        ORDER BY o.k, o.ord DESC
    ), removed AS (
        DELETE FROM {s}.kv e USING last o WHERE o.v IS NULL AND e.k = o.k
    )
    INSERT INTO {s}.kv AS e
        SELECT o.k, base + o.ord, o.v FROM last o WHERE o.v IS NOT NULL
        ON CONFLICT (k) DO UPDATE SET seq = excluded.seq, v = excluded.v;
    RETURN grown;
END
$$;

-- A group of batches, with its number in the session and random bits of its own (another process may be a copy of this one);
-- `known` is the last number that the caller was answered. Batch i has the operations up to ends[i], the conditions on keys up to key_ends[i] and on ranges up to
-- range_ends[i], which are of the history histories[i]. Gives each batch's last sequence, or -1: its conditions do not hold.
CREATE FUNCTION {s}.write(
    session_id bytea, number bigint, mark bigint, known bigint, fills boolean,
    keys bytea[], vals bytea[], ends integer[], twice boolean[],
    histories bytea[],
    key_names bytea[], key_seqs bigint[], key_ends integer[],
    range_lows bytea[], range_highs bytea[], range_sinces bigint[], range_ends integer[]
) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
    now_history bytea;
    last_c bigint;
    log_bytes bigint;
    began bigint;
    last bigint;
    service text;
    recorded bigint;
    recorded_mark bigint;
    outcomes bigint[];
    holds boolean;
    grown bigint := 0;
    op_end integer := 0;
    key_end integer := 0;
    range_end integer := 0;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'level_party: a write needs the isolation "read committed"' USING ERRCODE = 'LP004';
    END IF;
    IF current_setting('synchronous_commit') NOT IN ('on', 'remote_apply') THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    SELECT m.history, m.service INTO STRICT now_history, service FROM {s}.meta m FOR UPDATE;
    SELECT c.c, c.seq, c.bytes INTO STRICT last_c, last, log_bytes FROM {s}.commits c ORDER BY c.c DESC LIMIT 1;
    IF NOT EXISTS (SELECT FROM {s}.session s WHERE s.id = session_id) THEN
        RAISE EXCEPTION 'level_party: no such session' USING ERRCODE = 'LP002';
    END IF;
    SELECT c.n, c.nonce, c.outcome INTO recorded, recorded_mark, outcomes
        FROM {s}.commits c WHERE c.session = session_id ORDER BY c.n DESC LIMIT 1;
    recorded := coalesce(recorded, 0);
    IF recorded < known THEN
        RAISE EXCEPTION 'level_party: acknowledged writes are gone' USING ERRCODE = 'LP005';
    END IF;
    IF recorded = number AND recorded_mark = mark THEN
        UPDATE {s}.session SET seen = clock_timestamp() WHERE id = session_id;
        RETURN outcomes;
    END IF;
    IF recorded >= number THEN
        RAISE EXCEPTION 'level_party: superseded' USING ERRCODE = 'LP003';
    END IF;
    IF fills <> (service LIKE 'filling%') OR service LIKE 'moved%' OR service LIKE E'filling\nsealed\n%' THEN
        RAISE EXCEPTION 'level_party: %', service USING ERRCODE = 'LP007';
    END IF;
    outcomes := '{}';
    began := last;
    FOR i IN 1 .. cardinality(ends) LOOP
        holds := true;
        IF key_ends[i] > key_end OR range_ends[i] > range_end THEN
            holds := histories[i] = now_history;
            IF holds AND key_ends[i] > key_end THEN
                holds := NOT EXISTS (
                    SELECT FROM unnest(key_names[key_end + 1 : key_ends[i]], key_seqs[key_end + 1 : key_ends[i]]) c (k, seq)
                    LEFT JOIN {s}.kv e ON e.k = c.k WHERE e.seq IS DISTINCT FROM c.seq
                );
            END IF;
            FOR j IN range_end + 1 .. range_ends[i] LOOP
                EXIT WHEN NOT holds;
                holds := {s}.untouched(range_lows[j], range_highs[j], range_sinces[j], last);
            END LOOP;
        END IF;
        IF holds THEN
            IF ends[i] > op_end THEN
                grown := grown + {s}.apply(last, keys[op_end + 1 : ends[i]], vals[op_end + 1 : ends[i]], twice[i]);
                last := last + ends[i] - op_end;
            END IF;
            outcomes := outcomes || last;
        ELSE
            outcomes := outcomes || -1::bigint;
        END IF;
        op_end := ends[i];
        key_end := key_ends[i];
        range_end := range_ends[i];
    END LOOP;
    INSERT INTO {s}.commits (c, seq, bytes, session, n, nonce, outcome)
        VALUES (last_c + 1, last, log_bytes + grown, session_id, number, mark, outcomes);
    -- A full queue of notifications would fail the commit; whoever watches looks once a second in any case.
    IF last > began AND (SELECT w.until > clock_timestamp() FROM {s}.watched w) AND pg_notification_queue_usage() < 0.5 THEN
        PERFORM pg_notify('level_party_' || '{s}.kv'::regclass::oid, '');
    END IF;
    RETURN outcomes;
END
$$;

-- A moment that was pruned is lost.
CREATE FUNCTION {s}.check_moment(at bigint) RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF (SELECT p.seq FROM {s}.pruned p) > at THEN
        RAISE EXCEPTION 'level_party: the moment % is no longer kept', at USING ERRCODE = 'LP010';
    END IF;
END
$$;

-- What keys held at a moment.
CREATE FUNCTION {s}.get_at(keys bytea[], at bigint, with_values boolean)
RETURNS TABLE (ord integer, seq bigint, v bytea) LANGUAGE plpgsql STABLE AS $$
DECLARE
    key bytea;
BEGIN
    PERFORM {s}.check_moment(at);
    ord := 0;
    FOREACH key IN ARRAY keys LOOP
        ord := ord + 1;
        SELECT l.old_seq, l.old_v INTO seq, v FROM {s}.log l WHERE l.k = key AND l.seq > at ORDER BY l.seq LIMIT 1;
        IF NOT FOUND THEN
            SELECT e.seq, e.v INTO seq, v FROM {s}.kv e WHERE e.k = key;
        END IF;
        IF seq IS NOT NULL THEN
            IF NOT with_values THEN
                v := ''::bytea;
            END IF;
            RETURN NEXT;
        END IF;
    END LOOP;
END
$$;

-- Changes above a sequence, in a range. First, if changes are missing, a row without key and the sequence up to which they are;
-- last a row without key, and the sequence up to which all was told.
CREATE FUNCTION {s}.changes(since bigint, lo bytea, hi bytea, max_bytes bigint, max_rows integer)
RETURNS TABLE (seq bigint, k bytea, v bytea) LANGUAGE plpgsql STABLE AS $$
DECLARE
    r record;
    bytes bigint := 0;
    through bigint := since;
    gone bigint;
    newest bigint;
BEGIN
    SELECT p.seq, {newest} INTO gone, newest FROM {s}.pruned p;
    IF gone > since THEN
        seq := gone;
        RETURN NEXT;
        through := gone;
    END IF;
    hi := coalesce(hi, {beyond});
    FOR r IN SELECT l.seq, l.k, l.v FROM {s}.log l WHERE l.seq > through ORDER BY l.seq LIMIT max_rows LOOP
        IF bytes >= max_bytes THEN
            newest := through;
            EXIT;
        END IF;
        IF r.k >= lo AND r.k < hi THEN
            seq := r.seq; k := r.k; v := r.v;
            bytes := bytes + octet_length(r.k) + coalesce(octet_length(r.v), 0);
            RETURN NEXT;
        END IF;
        max_rows := max_rows - 1;
        through := r.seq;
    END LOOP;
    IF max_rows = 0 THEN
        newest := through;
    END IF;
    seq := newest; k := NULL; v := NULL;
    RETURN NEXT;
END
$$;

-- The oldest moment of a process. (If it is lost the moment may be, and is told so.)
CREATE FUNCTION {s}.pin(session_id bytea, moment bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'local', true);
    INSERT INTO {s}.session AS s (id, pin) VALUES (session_id, moment)
        ON CONFLICT (id) DO UPDATE SET pin = excluded.pin, seen = clock_timestamp();
END
$$;

-- Sessions are over: what is under way for them has no effect any more.
CREATE FUNCTION {s}.end_sessions(ids bytea[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'local', true);
    PERFORM FROM {s}.meta m FOR UPDATE;
    DELETE FROM {s}.session WHERE id = ANY (ids);
END
$$;

-- Somebody watches for the next minute.
CREATE FUNCTION {s}.watch() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'local', true);
    UPDATE {s}.watched SET until = clock_timestamp() + interval '60 s'
        WHERE until < clock_timestamp() + interval '30 s';
END
$$;

-- Changes the service state if it is the expected one. What was judged before has committed by then.
CREATE FUNCTION {s}.set_service(expected text, new text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('synchronous_commit') NOT IN ('on', 'remote_apply') THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    UPDATE {s}.meta SET service = new WHERE service = expected;
    RETURN FOUND;
END
$$;

-- Removes what no moment and no watch needs; gives the rows that it removed. One process at a time.
CREATE FUNCTION {s}.prune(max_rows integer) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    p record;
    newest record;
    history_bytes bigint;
    horizon bigint;
    oldest_pin bigint;
    excess bigint;
    removed record;
BEGIN
    -- If it is lost it is done again.
    PERFORM set_config('synchronous_commit', 'local', true);
    SELECT * INTO p FROM {s}.pruned FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    SELECT c.c, c.seq, c.bytes INTO newest FROM {s}.commits c ORDER BY c.c DESC LIMIT 1;
    SELECT m.history_bytes INTO history_bytes FROM {s}.meta m;
    -- A clock may have been set back.
    IF p.at < clock_timestamp() - interval '5 s' OR p.at > clock_timestamp() + interval '5 s' THEN
        INSERT INTO {s}.mark VALUES (clock_timestamp(), newest.seq) ON CONFLICT DO NOTHING;
        DELETE FROM {s}.session WHERE id IN (
            SELECT s.id FROM {s}.session s WHERE s.seen < clock_timestamp() - interval '1 day' AND NOT EXISTS (
                SELECT FROM {s}.commits c WHERE c.session = s.id AND c.at > clock_timestamp() - interval '1 day'
            ) FOR UPDATE SKIP LOCKED
        );
        -- The last of each process stays, as long as it has a session.
        DELETE FROM {s}.commits c WHERE c.c < newest.c - 1000
            AND c.c IN (SELECT o.c FROM {s}.commits o ORDER BY o.c LIMIT max_rows)
            AND (c.session IS NULL OR NOT EXISTS (SELECT FROM {s}.session s WHERE s.id = c.session)
                OR EXISTS (SELECT FROM {s}.commits o WHERE o.session = c.session AND o.n > c.n));
        DELETE FROM {s}.mark WHERE at < (SELECT max(at) FROM {s}.mark WHERE at <= clock_timestamp() - interval '60 s');
        UPDATE {s}.pruned SET at = clock_timestamp();
    END IF;
    SELECT max(seq) INTO horizon FROM {s}.mark WHERE at <= clock_timestamp() - interval '60 s';
    excess := newest.bytes - p.bytes - history_bytes;
    IF excess > 15 * history_bytes THEN
        horizon := newest.seq;
    END IF;
    IF horizon IS NULL OR excess <= 0 THEN
        RETURN 0;
    END IF;
    SELECT min(pin) INTO oldest_pin FROM {s}.session WHERE seen > clock_timestamp() - interval '60 s';
    IF oldest_pin IS NOT NULL AND excess <= 15 * history_bytes THEN
        horizon := least(horizon, oldest_pin);
    END IF;
    WITH old AS (
        SELECT o.seq, o.bytes, sum(o.bytes) OVER (ORDER BY o.seq) - o.bytes AS before FROM (
            SELECT l.seq, 64 + octet_length(l.k) + coalesce(octet_length(l.v), 0) + coalesce(octet_length(l.old_v), 0) AS bytes
            FROM {s}.log l WHERE l.seq > p.seq AND l.seq <= horizon ORDER BY l.seq LIMIT max_rows
        ) o
    ), gone AS (
        DELETE FROM {s}.log l USING old o WHERE l.seq = o.seq AND o.before < excess RETURNING o.seq, o.bytes
    )
    SELECT count(*) AS n, max(seq) AS seq, sum(bytes) AS bytes INTO removed FROM gone;
    IF removed.n > 0 THEN
        UPDATE {s}.pruned SET seq = removed.seq, bytes = p.bytes + removed.bytes;
    END IF;
    RETURN removed.n;
END
$$;
