//! How JavaScript asks for a database.

use std::time::Duration;

use level_party::{Compression, Db, Lead, Options, WhenFull};
use serde::Deserialize;

use crate::fault::Fault;

/// The options of `Level`, by their names there. Those that are missing are as [`Options`] has them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Asked {
    create_if_missing: Option<bool>,
    error_if_exists: Option<bool>,
    compression: Option<Compressed>,
    cache_size: Option<usize>,
    write_buffer_size: Option<usize>,
    block_size: Option<usize>,
    max_file_size: Option<usize>,
    bloom_bits_per_key: Option<u32>,
    watch_history_bytes: Option<usize>,
    map_tables: Option<bool>,
    retry: Option<bool>,
    reject_writes: Option<bool>,
    sync: Option<bool>,
    lead: Option<Leading>,
    /// Milliseconds.
    open_timeout: Option<u64>,
    /// Milliseconds.
    timeout: Option<u64>,
    queue_bytes: Option<usize>,
    when_full: Option<Full>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Compressed {
    None,
    Snappy,
    ZlibRaw,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Leading {
    Auto,
    Never,
    Join,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Full {
    Wait,
    Busy,
}

/// The options that a JSON text asks for.
///
/// # Errors
/// One has a value of another type, or is none.
pub fn options(text: &str) -> Result<Options, Fault> {
    let asked: Asked = serde_json::from_str(text)
        .map_err(|error| Fault::Refused(format!("an option can't be used: {error}")))?;
    let mut options = Db::options();
    /// Calls each setter whose option is there.
    macro_rules! set {
        ($($option:ident => $setter:ident $(, $value:expr)?;)*) => {
            $(if let Some(asked) = asked.$option {
                options = options.$setter(set!(@value asked $(, $value)?));
            })*
        };
        (@value $asked:ident) => { $asked };
        (@value $asked:ident, $value:expr) => { $value($asked) };
    }
    set! {
        create_if_missing => create_if_missing;
        error_if_exists => error_if_exists;
        compression => compression, compression;
        cache_size => block_cache_bytes;
        write_buffer_size => write_buffer_size;
        block_size => block_size;
        max_file_size => max_file_size;
        bloom_bits_per_key => bloom_bits_per_key;
        watch_history_bytes => watch_history_bytes;
        map_tables => map_tables;
        retry => retry;
        reject_writes => reject_writes;
        sync => sync;
        lead => lead, lead;
        open_timeout => open_timeout, Duration::from_millis;
        timeout => timeout, Duration::from_millis;
        queue_bytes => queue_bytes;
        when_full => when_full, when_full;
    }
    Ok(options)
}

fn compression(asked: Compressed) -> Compression {
    match asked {
        Compressed::None => Compression::None,
        Compressed::Snappy => Compression::Snappy,
        Compressed::ZlibRaw => Compression::ZlibRaw,
    }
}

fn lead(asked: Leading) -> Lead {
    match asked {
        Leading::Auto => Lead::Auto,
        Leading::Never => Lead::Never,
        Leading::Join => Lead::Join,
    }
}

fn when_full(asked: Full) -> WhenFull {
    match asked {
        Full::Wait => WhenFull::Wait,
        Full::Busy => WhenFull::Busy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_taken_by_name_and_others_refused() {
        assert!(options("{}").is_ok());
        assert!(options(r#"{"compression":"snappy","lead":"never","timeout":5}"#).is_ok());
        for wrong in [
            r#"{"lead":"no"}"#,
            r#"{"cacheSize":"1"}"#,
            r#"{"caheSize":1}"#,
            "",
        ] {
            assert!(options(wrong).is_err(), "{wrong}");
        }
    }
}
