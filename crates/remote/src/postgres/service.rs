//! The service state as the column `service` of `meta` has it: `live`; `filling` and, behind a line feed, its progress; `moved` and,
//! behind line feeds, a word of whoever moved it and where the database is now.

use super::reads::misread;
use crate::answer::ServiceState;
use crate::error::Result;

pub fn encode(state: &ServiceState) -> String {
    match state {
        ServiceState::Live => "live".to_owned(),
        ServiceState::Filling { progress } => format!("filling\n{progress}"),
        ServiceState::Moved { to, by } => format!("moved\n{by}\n{to}"),
    }
}

/// # Errors
/// `Protocol`: it is none of these.
pub fn decode(text: &str) -> Result<ServiceState> {
    let (name, rest) = text.split_once('\n').unwrap_or((text, ""));
    match name {
        "live" => Ok(ServiceState::Live),
        "filling" => Ok(ServiceState::Filling {
            progress: rest.to_owned(),
        }),
        "moved" => {
            let (by, to) = rest.split_once('\n').ok_or_else(misread)?;
            Ok(ServiceState::Moved {
                to: to.to_owned(),
                by: by.to_owned(),
            })
        }
        _ => Err(misread()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_what_they_were_after_being_text() {
        let states = [
            ServiceState::Live,
            ServiceState::Filling {
                progress: "{\"a\":\n1}".into(),
            },
            ServiceState::Moved {
                to: "postgres://h/d?x=\n".into(),
                by: "word".into(),
            },
        ];
        for state in states {
            assert_eq!(decode(&encode(&state)).unwrap(), state);
        }
        assert!(decode("gone").is_err() && decode("moved\nword").is_err());
    }
}
