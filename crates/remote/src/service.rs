//! The service state as a database on a server keeps it, a text: `live`; `filling` and, behind a line feed, its progress; `moved`
//! and, behind line feeds, a word of whoever moved it and where the database is now. A progress that begins with [`SEALED`] says that
//! nobody writes, whoever fills it included.

use crate::answer::ServiceState;
use crate::error::{Error, ErrorKind, Result};

/// What the progress of a sealed database begins with.
pub const SEALED: &str = "sealed\n";

impl ServiceState {
    /// Whether it is filled, and nobody writes: what is in it is compared with its source.
    pub fn is_sealed(&self) -> bool {
        matches!(self, ServiceState::Filling { progress } if progress.starts_with(SEALED))
    }

    /// The text that says it.
    pub fn to_text(&self) -> String {
        match self {
            ServiceState::Live => "live".to_owned(),
            ServiceState::Filling { progress } => format!("filling\n{progress}"),
            ServiceState::Moved { to, by } => format!("moved\n{by}\n{to}"),
        }
    }

    /// What a text says.
    ///
    /// # Errors
    /// `Corruption`: it is none of [`ServiceState::to_text`].
    pub fn parse(text: &str) -> Result<ServiceState> {
        let damaged = || {
            let what = "the database's service state is none that this program knows";
            Error::new(ErrorKind::Corruption, what)
        };
        match text.split_once('\n').unwrap_or((text, "")) {
            ("live", "") => Ok(ServiceState::Live),
            ("filling", progress) => Ok(ServiceState::Filling {
                progress: progress.to_owned(),
            }),
            ("moved", rest) => {
                let (by, to) = rest.split_once('\n').ok_or_else(damaged)?;
                Ok(ServiceState::Moved {
                    to: to.to_owned(),
                    by: by.to_owned(),
                })
            }
            _ => Err(damaged()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_read_as_written() {
        let filling = |progress: &str| ServiceState::Filling {
            progress: progress.into(),
        };
        let moved = ServiceState::Moved {
            to: "etcd://h/a\nb".into(),
            by: "word".into(),
        };
        let sealed = filling("sealed\nx");
        assert!(sealed.is_sealed() && !filling("x").is_sealed());
        for state in [
            ServiceState::Live,
            filling(""),
            filling("{\n}"),
            sealed,
            moved,
        ] {
            assert_eq!(ServiceState::parse(&state.to_text()).unwrap(), state);
        }
        for text in ["", "live\nx", "moved", "moved\nword", "other"] {
            let error = ServiceState::parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corruption, "{text:?}");
        }
    }
}
