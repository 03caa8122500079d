//! The tables and functions of a database, and the statements that use them.

use std::fmt::Write;

/// The layout of the tables and functions. Another number is another release's.
pub const LAYOUT: i32 = 1;

/// The longest key, in bytes: an entry of an index has at most 2,704, and one of `log_keys` has a number beside the key.
pub const MAX_KEY_BYTES: usize = 2600;

/// Rows that one chunk at a moment passes at most without showing them.
const PASSES: u32 = 1 << 16;

/// So far above the last sequence of a history the next one's begin: more than can have been lost.
pub const APART: u64 = 1_000_000_000;

/// The backend that holds up backend $1, at the end of the queue that it may stand in, and has for $2 seconds. One of this user's that
/// has not been sent the end of a call of {s}.write for five seconds is ended (docs/REMOTE.md, *Who is let in*).
const BLOCKER: &str = "WITH RECURSIVE b (pid) AS (\
     SELECT p FROM unnest(pg_blocking_pids($1)) p UNION SELECT p FROM b, unnest(pg_blocking_pids(b.pid)) p\
     ) SELECT b.pid, a.application_name, a.usename::text, host(a.client_addr), a.xact_start::text, a.state, a.wait_event, \
     CASE WHEN a.usename = current_user AND a.state = 'active' AND a.wait_event = 'ClientRead' \
     AND starts_with(a.query, 'SELECT {s}.write(') AND a.xact_start <= clock_timestamp() - interval '5 s' \
     THEN pg_terminate_backend(b.pid) END \
     FROM b LEFT JOIN pg_stat_activity a ON a.pid = b.pid \
     WHERE cardinality(pg_blocking_pids(b.pid)) = 0 \
     AND (a.xact_start IS NULL OR a.xact_start <= clock_timestamp() - make_interval(secs => $2)) LIMIT 1";

/// The statements, by number.
pub struct Sql {
    texts: [String; Sql::COUNT],
    /// The schema's name, quoted.
    pub schema: String,
}

impl Sql {
    pub const COUNT: usize = 23;
    pub const HELLO: usize = 0;
    pub const GET: usize = 1;
    pub const CONTAINS: usize = 2;
    pub const GET_MANY: usize = 3;
    pub const GET_AT: usize = 4;
    pub const NEWEST: usize = 5;
    pub const SCAN_UP: usize = 6;
    pub const SCAN_DOWN: usize = 7;
    pub const SCAN_AT_UP: usize = 8;
    pub const SCAN_AT_DOWN: usize = 9;
    pub const WRITE: usize = 10;
    pub const NEW_SESSION: usize = 11;
    pub const PIN: usize = 12;
    pub const END_SESSION: usize = 13;
    pub const CHANGES: usize = 14;
    pub const WATCHED: usize = 15;
    pub const PRUNE: usize = 16;
    pub const SIZE: usize = 17;
    pub const STATUS: usize = 18;
    pub const SERVICE: usize = 19;
    pub const SET_SERVICE: usize = 20;
    pub const CHANNEL: usize = 21;
    pub const BLOCKER: usize = 22;

    pub fn new(schema: &str) -> Self {
        let s = quoted(schema);
        let texts = [
            format!("SELECT * FROM {s}.hello($1, $2, $3, $4)"),
            format!("SELECT seq, v FROM {s}.kv WHERE k = $1"),
            format!("SELECT 1 FROM {s}.kv WHERE k = $1"),
            format!(
                "SELECT o.ord::integer, e.seq, e.v FROM unnest($1::bytea[]) WITH ORDINALITY o (k, ord) JOIN {s}.kv e ON e.k = o.k"
            ),
            format!("SELECT * FROM {s}.get_at($1, $2, $3)"),
            format!("SELECT {}", newest(&s)),
            format!("SELECT * FROM {s}.scan_up($1, $2, $3, $4, $5)"),
            format!("SELECT * FROM {s}.scan_down($1, $2, $3, $4, $5)"),
            format!("SELECT * FROM {s}.scan_at_up($1, $2, $3, $4, $5, $6)"),
            format!("SELECT * FROM {s}.scan_at_down($1, $2, $3, $4, $5, $6)"),
            format!(
                "SELECT {s}.write($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)"
            ),
            format!("INSERT INTO {s}.session (id) VALUES ($1) ON CONFLICT DO NOTHING"),
            format!("SELECT {s}.pin($1, $2)"),
            format!("SELECT {s}.end_sessions($1)"),
            format!("SELECT * FROM {s}.changes($1, $2, $3, $4, $5)"),
            format!("SELECT {s}.watch()"),
            format!("SELECT {s}.prune($1)"),
            format!(
                "SELECT coalesce(sum(pg_column_size(k)::bigint + pg_column_size(v)), 0)::bigint FROM {s}.kv \
                 WHERE k >= $1 AND k < coalesce($2, {})",
                beyond()
            ),
            format!(
                "SELECT {}, p.seq, current_setting('synchronous_standby_names'), current_setting('fsync'), \
                 (SELECT count(*) FROM pg_stat_replication), \
                 (SELECT max(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn))::bigint FROM pg_stat_replication) \
                 FROM {s}.pruned p",
                newest(&s)
            ),
            format!("SELECT service FROM {s}.meta"),
            format!("SELECT {s}.set_service($1, $2)"),
            format!(
                "SELECT 'level_party_' || '{}.kv'::regclass::oid",
                s.replace('\'', "''")
            ),
            BLOCKER.replace("{s}", &s.replace('\'', "''")),
        ];
        Sql { texts, schema: s }
    }

    pub fn text(&self, which: usize) -> &str {
        &self.texts[which]
    }

    /// What makes the tables and functions of a new database whose first history has these random bits.
    pub fn creation(&self, random: [u8; 16]) -> String {
        let mut id = String::from("\\x");
        for byte in random {
            // To a string it cannot fail.
            let _ = write!(id, "{byte:02x}");
        }
        let mut text = include_str!("schema.sql").replace("{id}", &id);
        for (dir, order, words, bound) in [
            ("up", "ASC", "forward", "hi := stop"),
            ("down", "DESC", "backward", "lo := stop || '\\x00'::bytea"),
        ] {
            let scan = include_str!("scan.sql").replace("{dir}", dir);
            let scan = scan.replace("{order}", order).replace("{bound}", bound);
            text += &scan.replace("{words}", words);
        }
        text = text.replace("'{s}.", &format!("'{}.", self.schema.replace('\'', "''")));
        text.replace("{newest}", &newest(&self.schema))
            .replace("{s}", &self.schema)
            .replace("{layout}", &LAYOUT.to_string())
            .replace("{apart}", &APART.to_string())
            .replace("{passes}", &PASSES.to_string())
            .replace("{beyond}", &beyond())
    }
}

/// The key behind all others.
fn beyond() -> String {
    format!("decode(repeat('ff', {}), 'hex')", MAX_KEY_BYTES + 1)
}

/// The newest sequence, of the snapshot that it is asked in.
fn newest(schema: &str) -> String {
    format!("(SELECT c.seq FROM {schema}.commits c ORDER BY c.c DESC LIMIT 1)")
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
