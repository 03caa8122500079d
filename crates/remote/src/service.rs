//! Whether a database is in use, being filled by a copy, or moved: its service state. It is kept with the database.

use crate::error::{Error, ErrorKind, Result};

/// Whether a database is in use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ServiceState {
    /// It is read and written.
    #[default]
    Live,
    /// A copy is being made into it: only who makes it may write, or have it open.
    Filling {
        /// How far the copy has come, as the one who makes it knows it.
        progress: String,
    },
    /// It is elsewhere now. Reads show what it was; every write is refused.
    Moved {
        /// Where: a URL without its password, or a path.
        to: String,
        /// A random word of whoever moved it.
        by: String,
    },
}

impl ServiceState {
    /// As it is stored: a word, and what belongs to it on lines of its own.
    pub fn to_text(&self) -> String {
        match self {
            ServiceState::Live => "live".into(),
            ServiceState::Filling { progress } => format!("filling\n{progress}"),
            ServiceState::Moved { to, by } => format!("moved\n{by}\n{to}"),
        }
    }

    /// What was stored.
    ///
    /// # Errors
    /// `Corruption`: something else was.
    pub fn from_text(text: &str) -> Result<Self> {
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

    /// Whether a handle may write: one that fills (`fills`) only while the database is filled, every other only while it is live.
    pub fn permits(&self, fills: bool) -> bool {
        match self {
            ServiceState::Live => !fills,
            ServiceState::Filling { .. } => fills,
            ServiceState::Moved { .. } => false,
        }
    }

    /// What whoever may not open or write is told.
    pub fn refusal(&self) -> Error {
        match self {
            ServiceState::Live => Error::new(
                ErrorKind::Busy,
                "the database is in use, and no copy is made into it: nothing was written",
            ),
            ServiceState::Filling { .. } => Error::new(
                ErrorKind::Busy,
                "a copy is being made into this database; it can be opened when that is done (`level-party copy`)",
            ),
            ServiceState::Moved { to, .. } => Error::new(
                ErrorKind::Moved,
                format!("the database was moved to {to}; open that instead: nothing was written"),
            ),
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
        for state in [ServiceState::Live, filling(""), filling("{\n}"), moved] {
            assert_eq!(ServiceState::from_text(&state.to_text()).unwrap(), state);
        }
        for text in ["", "live\nx", "moved", "moved\nword", "other"] {
            let error = ServiceState::from_text(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corruption, "{text:?}");
        }
    }

    #[test]
    fn only_the_copier_writes_while_a_database_is_filled() {
        let filling = ServiceState::Filling {
            progress: String::new(),
        };
        let moved = ServiceState::Moved {
            to: "elsewhere".into(),
            by: String::new(),
        };
        let permits = |state: &ServiceState| [state.permits(false), state.permits(true)];
        assert_eq!(permits(&ServiceState::Live), [true, false]);
        assert_eq!(permits(&filling), [false, true]);
        assert_eq!(permits(&moved), [false, false]);
        assert!(moved.refusal().message().contains("elsewhere"));
        assert_eq!(moved.refusal().kind(), ErrorKind::Moved);
    }
}
