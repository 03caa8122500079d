//! What went wrong with a statement, by what can be done: ask again, on another connection, or tell the caller.

use rustls::AlertDescription;
use tokio_postgres::error::{DbError, Severity, SqlState};

use super::reads::misread;
use crate::answer::ServiceState;
use crate::certificate;
use crate::error::{Error, ErrorKind};

/// Why a statement has no answer.
#[derive(Debug)]
pub enum Failure {
    /// The connection can't be used any more. What became of the statement is not known.
    Lost(Error),
    /// The server has rolled the statement back, and may not the next time.
    Again(Error),
    /// The server has rolled the statement back, and says why.
    Refused(Error),
    /// The deadline came first; the connection can't be used any more.
    Late,
}

/// Our own states, as `schema.sql` has them.
pub const NO_SESSION: &str = "LP002";
pub const SUPERSEDED: &str = "LP003";
pub const WENT_BACK: &str = "LP005";
pub const NOT_SERVED: &str = "LP007";
const MOMENT_LOST: &str = "LP010";

impl Failure {
    /// What `error` means for the connection and the statement.
    pub fn of(error: tokio_postgres::Error) -> Failure {
        let Some(told) = error.as_db_error() else {
            return match error.is_closed() || std::error::Error::source(&error).is_some_and(is_io) {
                true => Failure::Lost(lost(error)),
                // A value that can't be sent, an answer that can't be read: not for other connections.
                false => Failure::Lost(
                    Error::new(ErrorKind::Protocol, error.to_string()).with_source(error),
                ),
            };
        };
        let ends = matches!(
            told.parsed_severity(),
            Some(Severity::Fatal | Severity::Panic)
        );
        let state = told.code();
        if ends
            || is_class(state, "08")
            || is_class(state, "57P")
            || *state == SqlState::READ_ONLY_SQL_TRANSACTION
        {
            return Failure::Lost(lost(error));
        }
        // A serialization failure, a deadlock, a lock's timeout, a cancellation by an administrator.
        let passes = is_class(state, "40")
            || *state == SqlState::LOCK_NOT_AVAILABLE
            || *state == SqlState::QUERY_CANCELED;
        let told = refused(told).with_source(error);
        match passes {
            true => Failure::Again(told),
            false => Failure::Refused(told),
        }
    }

    /// What the caller is told in the end.
    pub fn into_error(self, late: impl FnOnce() -> Error) -> Error {
        match self {
            Failure::Lost(error) | Failure::Again(error) | Failure::Refused(error) => error,
            Failure::Late => late(),
        }
    }
}

/// Whether the server's error is one of ours.
pub fn is_state(error: &Error, state: &str) -> bool {
    let source = std::error::Error::source(error);
    let source = source.and_then(|source| source.downcast_ref::<tokio_postgres::Error>());
    source
        .and_then(tokio_postgres::Error::code)
        .is_some_and(|code| code.code() == state)
}

fn is_io(source: &(dyn std::error::Error + 'static)) -> bool {
    source.is::<std::io::Error>()
}

fn is_class(state: &SqlState, class: &str) -> bool {
    state.code().starts_with(class)
}

/// The connection is gone.
pub fn lost(error: tokio_postgres::Error) -> Error {
    let what = match error.as_db_error() {
        Some(told) => format!("the server ended the connection: {}", told.message()),
        None => format!(
            "the connection to the server ended: {}",
            with_source(&error)
        ),
    };
    Error::new(ErrorKind::Io, what).with_source(error)
}

fn with_source(error: &tokio_postgres::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// Why nobody could connect.
pub fn not_connected(error: tokio_postgres::Error) -> Error {
    if let Some((kind, what)) = of_tls(&error) {
        return Error::new(kind, format!("cannot connect: {what}")).with_source(error);
    }
    let code = error.code().map_or("", SqlState::code);
    let kind = match code {
        // A wrong password, no right to connect.
        "28000" | "28P01" | "42501" => ErrorKind::PermissionDenied,
        // No such database.
        "3D000" => ErrorKind::NotFound,
        "53300" => ErrorKind::Busy,
        _ => ErrorKind::Io,
    };
    let what = match error.as_db_error() {
        Some(told) => told.message().to_owned(),
        None => with_source(&error),
    };
    Error::new(kind, format!("cannot connect: {what}")).with_source(error)
}

/// What TLS refuses for good: the server's certificate, or ours.
fn of_tls(error: &tokio_postgres::Error) -> Option<(ErrorKind, String)> {
    let io = std::error::Error::source(error)?.downcast_ref::<std::io::Error>()?;
    match io.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::InvalidCertificate(why) => Some((
            ErrorKind::InvalidArgument,
            certificate::refusal(why, "the server's", "sslrootcert"),
        )),
        rustls::Error::AlertReceived(
            why @ (AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateRequired
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied),
        ) => Some((
            ErrorKind::PermissionDenied,
            format!("the server refused this client's certificate ({why:?})"),
        )),
        _ => None,
    }
}

/// Whether waiting may mend what kept us from connecting: a server that starts or has too many connections, a network.
pub fn may_pass(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Io | ErrorKind::Busy | ErrorKind::Timeout
    )
}

/// The service state forbids a write; the message ends with it.
fn not_served(message: &str) -> Error {
    let state = message
        .strip_prefix("level_party: ")
        .and_then(|text| ServiceState::parse(text).ok());
    state.map_or_else(misread, |state| state.refusal())
}

fn refused(told: &DbError) -> Error {
    let state = told.code().code();
    let kind = match state {
        MOMENT_LOST => ErrorKind::SnapshotLost,
        NOT_SERVED => return not_served(told.message()),
        "42501" | "28000" | "28P01" => ErrorKind::PermissionDenied,
        "53100" => ErrorKind::OutOfSpace,
        "53200" | "53300" | "53400" => ErrorKind::Busy,
        "XX001" | "XX002" => ErrorKind::Corruption,
        "0A000" => ErrorKind::Unsupported,
        // Tables or functions are not there, or not as ours.
        "42P01" | "42883" | "42703" | "3F000" => ErrorKind::IncompatibleVersion,
        _ if state.starts_with("22") || state.starts_with("54") => ErrorKind::InvalidArgument,
        _ => ErrorKind::Io,
    };
    let message = match kind {
        ErrorKind::SnapshotLost => {
            "the moment of this snapshot or iterator can no longer be read; take a new one"
                .to_owned()
        }
        ErrorKind::PermissionDenied => format!(
            "the server refused: {} ({state}); to read, this user needs USAGE on the schema and SELECT on its tables, to write \
             INSERT, UPDATE and DELETE too, and to make a database CREATE on that of PostgreSQL",
            told.message()
        ),
        _ => format!("the server refused: {} ({state})", told.message()),
    };
    Error::new(kind, message)
}
