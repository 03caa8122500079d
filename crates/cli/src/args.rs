//! What the program can be asked: shared flags and the list of commands.
//!
//! Each command's own arguments stand in its file under [`crate::commands`]. Keys and values are taken as the bytes
//! that the shell passed, so that on Unix any byte but NUL can be given.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anstyle::AnsiColor;
use clap::builder::{OsStringValueParser, Styles, TypedValueParser};
use clap::{ArgAction, Args, Parser, Subcommand};
use level_party::{Db, ErrorKind, Lead, Options};

use crate::bounds::Walk;
use crate::coding::{Coding, Encoding};
use crate::commands;
use crate::failure::{Failure, Result, not_opened, not_there};
use crate::stop;
use crate::warnings;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default())
    .placeholder(AnsiColor::Cyan.on_default());

/// One LevelDB directory, shared by any number of processes.
///
/// Every process reads and writes by itself. One of them leads: it also writes tables and compacts. When it goes, another
/// one leads. Every command but `repair` and `destroy` may run while others have the directory open.
#[derive(Parser, Debug)]
#[command(name = "level-party", version, max_term_width = 100, styles = STYLES)]
#[command(after_help = "Examples:\n  \
                  level-party put data greeting hello     makes the database ./data if it is missing\n  \
                  level-party get data greeting\n  \
                  level-party scan data --prefix g\n  \
                  level-party scan --help                 what a command takes\n  \
                  level-party demo                        processes killed and replaced, on a directory of its own\n\n\
                  Exit codes: 0 done, 1 not found or a difference, 2 wrong usage, 3 the database failed, \
                  130 ended by a signal.")]
pub struct Cli {
    /// Show events on standard error: changes of leader, losses, trouble; twice: flushes and compactions too. Without the
    /// flag LEVEL_PARTY_LOG says what to show, such as `info` or `warn,level_party::tables=debug`
    #[arg(short, long, action = ArgAction::Count, global = true)]
    pub verbose: u8,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands, in the order `--help` shows them; each one's words stand at its own arguments.
#[derive(Subcommand, Debug)]
pub enum Command {
    Get(commands::get::Get),
    Put(commands::put::Put),
    #[command(visible_alias = "delete")]
    Del(commands::del::Del),
    Scan(commands::scan::Scan),
    Count(commands::count::Count),
    Batch(commands::batch::BatchCommand),
    Clear(commands::clear::Clear),
    Import(commands::import::Import),
    Export(commands::export::Export),
    Watch(commands::watch::WatchCommand),
    Status(commands::status::StatusCommand),
    Top(commands::top::Top),
    Serve(commands::serve::Serve),
    Yield(commands::yield_command::Yield),
    Compact(commands::compact::Compact),
    Verify(commands::verify::Verify),
    Checkpoint(commands::checkpoint::Checkpoint),
    Copy(commands::copy::Copy),
    Repair(commands::repair::Repair),
    Acknowledge(commands::acknowledge::Acknowledge),
    Destroy(commands::destroy::Destroy),
    Exec(commands::exec::Exec),
    Run(commands::run::Run),
    Bench(commands::bench::Bench),
    Demo(commands::demo::Demo),
    Completions(commands::completions::Completions),
    Man(commands::man::Man),
}

/// The directory, and how it is opened: the flags that every command takes.
#[derive(Args, Debug, Clone)]
pub struct Target {
    /// The LevelDB directory, or a server's URL (postgres://.. or etcd://..), or @FILE, which holds the URL
    #[arg(value_parser = place())]
    pub dir: PathBuf,

    /// Go on with the next leader when the leader goes; with `false`, what it was asked to do ends with ConnectionLost
    #[arg(long, value_name = "BOOL", default_value_t = true, action = ArgAction::Set, help_heading = "Opening")]
    pub retry: bool,

    /// Whether this process may lead
    #[arg(
        long,
        value_name = "WHEN",
        value_enum,
        default_value_t,
        help_heading = "Opening"
    )]
    pub lead: Leading,

    /// Wait so many seconds for the opening and for each call's answer
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds, help_heading = "Opening")]
    pub timeout: Duration,

    /// Wait so many seconds for a leader or for the directory's lock [default: 10, or --timeout where that is shorter]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, help_heading = "Opening")]
    pub open_timeout: Option<Duration>,

    /// Compress new tables with this; writing to a Minecraft Bedrock world requires `zlib-raw`
    #[arg(
        long,
        value_name = "KIND",
        value_enum,
        default_value_t,
        help_heading = "Opening"
    )]
    pub compression: Compression,
}

/// Whether a command may lead.
#[derive(clap::ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Leading {
    /// Open the database where no process has it open. A command that writes, or has the leader work for it, also takes over
    /// from a leader that goes; one that only reads does not
    #[default]
    Auto,
    /// Never lead; wait until another process has the database open
    Never,
    /// Never lead; where no process has the database open, end with exit code 3
    Join,
}

impl Leading {
    /// As the flag takes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Leading::Auto => "auto",
            Leading::Never => "never",
            Leading::Join => "join",
        }
    }
}

/// A path, or a URL, which stands in a file where `@FILE` is given: so it is not among what `ps` shows.
pub fn place() -> impl clap::builder::TypedValueParser<Value = PathBuf> {
    use clap::builder::TypedValueParser as _;
    clap::builder::PathBufValueParser::new().try_map(|given: PathBuf| {
        let Some(file) = given.to_str().and_then(|given| given.strip_prefix('@')) else {
            return Ok(given);
        };
        let url = std::fs::read_to_string(file)
            .map_err(|error| format!("{file} cannot be read: {error}"))?;
        match is_url(Path::new(url.trim())) {
            true => Ok(PathBuf::from(url.trim())),
            false => Err(format!(
                "{file} holds no URL; a directory of that name is ./@{file}"
            )),
        }
    })
}

/// Whether it names a server.
pub fn is_url(place: &Path) -> bool {
    place.to_str().is_some_and(|place| place.contains("://"))
}

/// What a place is called: a URL without its password.
pub fn shown(place: &Path) -> String {
    let name = place.display().to_string();
    let Some((scheme, rest)) = name.split_once("://") else {
        return name;
    };
    let authority = rest.split(['/', '?']).next().unwrap_or(rest);
    match authority.rsplit_once('@') {
        Some((user, hosts)) => {
            let user = user.split(':').next().unwrap_or(user);
            let behind = &rest[authority.len()..];
            format!("{scheme}://{user}@{hosts}{behind}")
        }
        None => name,
    }
}

impl From<Leading> for Lead {
    fn from(asked: Leading) -> Lead {
        match asked {
            Leading::Auto => Lead::Auto,
            Leading::Never => Lead::Never,
            Leading::Join => Lead::Join,
        }
    }
}

/// How new tables are compressed.
#[derive(clap::ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// No compression
    None,
    /// Snappy, which every LevelDB reads
    #[default]
    Snappy,
    /// Raw deflate, which only Minecraft Bedrock reads
    ZlibRaw,
}

impl From<Compression> for level_party::Compression {
    fn from(asked: Compression) -> Self {
        match asked {
            Compression::None => level_party::Compression::None,
            Compression::Snappy => level_party::Compression::Snappy,
            Compression::ZlibRaw => level_party::Compression::ZlibRaw,
        }
    }
}

impl Target {
    /// How it is opened.
    pub fn options(&self) -> Options {
        let mut options = Db::options()
            .retry(self.retry)
            .timeout(self.timeout)
            .open_timeout(self.open_timeout());
        // What a server has none of is an error there, if it was asked for.
        if !is_url(&self.dir) || self.compression != Compression::default() {
            options = options.compression(self.compression.into());
        }
        if !is_url(&self.dir) || self.lead != Leading::default() {
            options = options.lead(self.lead.into());
        }
        options
    }

    /// What the database is called, without a password.
    pub fn shown(&self) -> String {
        shown(&self.dir)
    }

    /// How long opening may take.
    pub fn open_timeout(&self) -> Duration {
        let default = Options::DEFAULT_OPEN_TIMEOUT.min(self.timeout);
        self.open_timeout.unwrap_or(default)
    }

    /// Opens a database that must be there, to read from it alone: the command asks nothing of a leader, and takes over
    /// from none.
    pub fn open_to_view(&self) -> Result<Db> {
        let db = self.join_or_open()?;
        warnings::begin(&db, &self.dir);
        Ok(db)
    }

    /// The same for a command that draws a screen: it says what was lost before the first drawing, and draws what comes
    /// later.
    pub fn open_for_screen(&self) -> Result<Db> {
        let db = self.join_or_open()?;
        warnings::now(&db, &self.dir);
        Ok(db)
    }

    /// Joins the processes that have the database open; with `auto`, opens it if there is none.
    fn join_or_open(&self) -> Result<Db> {
        let options = self.options().reject_writes(true);
        if self.lead == Leading::Auto && !is_url(&self.dir) {
            match self.open_and_leave(options.clone().lead(Lead::Join)) {
                Err(error) if error.kind() == ErrorKind::NoLeader => {}
                joined => return joined.map_err(not_there),
            }
        }
        self.open_and_leave(options).map_err(not_there)
    }

    /// Opens a database that must be there, to have the leader do something that changes no entry.
    pub fn open_for_reading(&self) -> Result<Db> {
        self.open(self.options().reject_writes(true))
            .map_err(not_there)
    }

    /// Opens a database that must be there.
    pub fn open_existing(&self) -> Result<Db> {
        self.open(self.options().create_if_missing(false))
            .map_err(not_there)
    }

    /// The same, and says nothing of what it may have lost: the command itself does.
    pub fn open_quietly(&self) -> Result<Db> {
        self.open_and_leave(self.options().create_if_missing(false))
            .map_err(not_there)
    }

    /// Opens a database, creating it where `creating` says so.
    pub fn open_for_writing(&self, creating: Creating) -> Result<Db> {
        let options = self.options().create_if_missing(creating.create);
        self.open(options).map_err(|error| match creating.create {
            true => not_opened(error),
            false => not_there(error),
        })
    }

    /// Opens a database that must be there, to read from it alone. `None`: nobody leads, and this command is not to.
    pub fn join_leader(&self) -> Result<Option<Db>> {
        let joined = self.open(self.options().reject_writes(true));
        match joined {
            Err(error) if error.kind() == ErrorKind::NoLeader => Ok(None),
            joined => joined.map(Some).map_err(not_there),
        }
    }

    fn open(&self, options: Options) -> level_party::Result<Db> {
        let db = self.open_and_leave(options)?;
        warnings::begin(&db, &self.dir);
        Ok(db)
    }

    fn open_and_leave(&self, options: Options) -> level_party::Result<Db> {
        let db = options.open(&self.dir)?;
        stop::leaving(&db);
        Ok(db)
    }
}

/// Whether a command that writes creates a missing database.
#[derive(Args, Debug, Clone, Copy)]
pub struct Creating {
    /// Create the database, and its directory but none above it, if they are missing
    #[arg(long, value_name = "BOOL", default_value_t = true, action = ArgAction::Set, help_heading = "Opening")]
    pub create: bool,
}

/// Whether a command's writes are synced.
#[derive(Args, Debug, Clone, Copy)]
pub struct Syncing {
    /// Have each write on stable storage before it counts as done
    #[arg(long)]
    pub sync: bool,
}

/// The keys that a command is about.
#[derive(Args, Debug, Clone, Default)]
pub struct Span {
    /// Only this key and keys after it
    #[arg(long, visible_alias = "gte", value_name = "KEY", value_parser = bytes(), allow_negative_numbers = true, help_heading = "Range")]
    pub from: Option<ByteArg>,
    /// Only keys after this one
    #[arg(long, visible_alias = "gt", value_name = "KEY", value_parser = bytes(), allow_negative_numbers = true, help_heading = "Range")]
    pub after: Option<ByteArg>,
    /// Only this key and keys before it
    #[arg(long, visible_alias = "lte", value_name = "KEY", value_parser = bytes(), allow_negative_numbers = true, help_heading = "Range")]
    pub to: Option<ByteArg>,
    /// Only keys before this one
    #[arg(long, visible_alias = "lt", value_name = "KEY", value_parser = bytes(), allow_negative_numbers = true, help_heading = "Range")]
    pub before: Option<ByteArg>,
    /// Only keys that begin so
    #[arg(long, value_name = "PREFIX", value_parser = bytes(), allow_negative_numbers = true, help_heading = "Range")]
    pub prefix: Option<ByteArg>,
}

impl Span {
    /// Whether no bound is given.
    pub fn is_everything(&self) -> bool {
        [
            &self.from,
            &self.after,
            &self.to,
            &self.before,
            &self.prefix,
        ]
        .iter()
        .all(|bound| bound.is_none())
    }

    /// The walk over these keys.
    pub fn walk(&self, coding: Coding) -> Result<Walk> {
        let key = |given: &Option<ByteArg>| given.as_ref().map(|key| coding.key(key)).transpose();
        if self.prefix.is_some()
            && !matches!(coding.key, Encoding::Bytes | Encoding::Utf8 | Encoding::Hex)
        {
            return Err(Failure::Usage(
                "--prefix: a part of a key has no form of its own in this --key-encoding; give it in bytes or hex".into(),
            ));
        }
        Ok(Walk {
            gt: key(&self.after)?,
            gte: key(&self.from)?,
            lt: key(&self.before)?,
            lte: key(&self.to)?,
            prefix: key(&self.prefix)?,
            ..Walk::default()
        })
    }
}

/// The entries that a command walks over.
#[derive(Args, Debug, Clone, Default)]
pub struct Window {
    #[command(flatten)]
    pub span: Span,
    /// From the last key to the first
    #[arg(long, help_heading = "Range")]
    pub reverse: bool,
    /// Stop after so many entries
    #[arg(long, value_name = "N", value_parser = whole, help_heading = "Range")]
    pub limit: Option<u64>,
}

impl Window {
    /// The walk over these entries.
    pub fn walk(&self, coding: Coding) -> Result<Walk> {
        Ok(Walk {
            reverse: self.reverse,
            limit: self.limit,
            ..self.span.walk(coding)?
        })
    }
}

/// A key or value given as an argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByteArg(pub Vec<u8>);

/// The parser of a [`ByteArg`].
pub fn bytes() -> impl TypedValueParser<Value = ByteArg> {
    OsStringValueParser::new().try_map(|text| argument_bytes(&text).map(ByteArg))
}

#[cfg(unix)]
fn argument_bytes(text: &OsStr) -> std::result::Result<Vec<u8>, &'static str> {
    use std::os::unix::ffi::OsStrExt;
    Ok(text.as_bytes().to_vec())
}

#[cfg(not(unix))]
fn argument_bytes(text: &OsStr) -> std::result::Result<Vec<u8>, &'static str> {
    let text = text
        .to_str()
        .ok_or("it is not valid Unicode; `import` and `exec` take any bytes as base64")?;
    Ok(text.as_bytes().to_vec())
}

/// A number of things, such as `10`.
pub fn whole(text: &str) -> std::result::Result<u64, String> {
    let number = text.parse();
    number.map_err(|_| "give a whole number from 0, such as 10".to_string())
}

/// A positive number of seconds, such as `5` or `0.25`.
pub fn seconds(text: &str) -> std::result::Result<Duration, String> {
    let number: f64 = text
        .parse()
        .map_err(|_| "give a number of seconds, such as 5 or 0.25".to_string())?;
    match Duration::try_from_secs_f64(number) {
        Ok(limit) if !limit.is_zero() => Ok(limit),
        _ => Err("give a number of seconds above 0".to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn seconds_take_fractions_and_refuse_nonsense() {
        assert_eq!(seconds("0.25"), Ok(Duration::from_millis(250)));
        for bad in ["0", "-1", "nan", "inf", "soon", ""] {
            assert!(seconds(bad).is_err(), "{bad} was taken");
        }
    }
}
