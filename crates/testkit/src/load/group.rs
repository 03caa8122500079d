//! A group of keys that is written by whole batches alone, and so is one register to whoever reads it at one moment.
//!
//! A batch puts its token into the members and removes one of them, which the token names (or none), so that a batch
//! of which any part is missing, put or removal, shows.

use serde_json::{Value, json};

use crate::linear::Content;

const MEMBERS: u64 = 4;

/// How its members can be read at one moment: a scan, one in reverse, a get of all, gets at a snapshot.
pub(crate) const WAYS: usize = 4;

/// Its keys.
pub(crate) fn members(group: &str) -> Vec<String> {
    (0..MEMBERS).map(|number| member(group, number)).collect()
}

/// The start of its keys.
pub(crate) fn prefix(group: &str) -> String {
    format!("{group}/")
}

fn member(group: &str, number: u64) -> String {
    format!("{group}/{number}")
}

/// The member that a token's batch removes: one of them, or one beyond.
fn removed(token: &str) -> u64 {
    let serial = token
        .rsplit('.')
        .next()
        .and_then(|serial| serial.parse::<u64>().ok());
    serial.unwrap_or(0) % (MEMBERS + 1)
}

/// The operations that write a group.
pub(crate) fn batch(group: &str, token: Option<&str>) -> Vec<Value> {
    let operation = |number| match token {
        Some(token) if removed(token) != number => {
            json!({"type": "put", "key": member(group, number), "value": token})
        }
        _ => json!({"type": "del", "key": member(group, number)}),
    };
    (0..MEMBERS).map(operation).collect()
}

/// What a group holds, by its entries at one moment, in any order.
///
/// # Errors
/// They are of more than one batch.
pub(crate) fn content(group: &str, entries: &[(String, String)]) -> Result<Content, String> {
    let Some((_, token)) = entries.first() else {
        return Ok(None);
    };
    let mut found = entries.to_vec();
    found.sort();
    let members = (0..MEMBERS).filter(|number| removed(token) != *number);
    let whole = members.map(|number| (member(group, number), token.clone()));
    match whole.eq(found.iter().cloned()) {
        true => Ok(Some(token.as_str().into())),
        false => Err(format!("a torn batch is visible in {group}: {found:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_batch_is_seen_whichever_part_is_missing() {
        let entries = |token: &str| -> Vec<(String, String)> {
            let text = |value: &Value| value.as_str().expect("a text").to_owned();
            let puts = batch("g", Some(token))
                .into_iter()
                .filter(|op| op["type"] == "put");
            puts.map(|op| (text(&op["key"]), text(&op["value"])))
                .collect()
        };
        assert_eq!(content("g", &[]), Ok(None));
        for serial in 0..=MEMBERS {
            let token = format!("3.{serial}");
            let whole = entries(&token);
            assert_eq!(content("g", &whole), Ok(Some(token.as_str().into())));
            for at in 0..whole.len() {
                // Without one of its puts; with one of an older batch; with a removal that was not made.
                let mut less = whole.clone();
                less.remove(at);
                assert!(content("g", &less).is_err(), "{less:?}");
                let mut mixed = whole.clone();
                mixed[at].1 = "3.9".into();
                assert!(content("g", &mixed).is_err(), "{mixed:?}");
            }
            if serial < MEMBERS {
                let mut more = whole.clone();
                more.push((member("g", serial), "3.9".into()));
                assert!(content("g", &more).is_err(), "{more:?}");
            }
        }
    }
}
