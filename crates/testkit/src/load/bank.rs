//! Accounts between which everybody moves amounts, in transactions that check what they read: the sum of all accounts
//! is the same at each moment.

use serde_json::{Value, json};

use super::answer;
use crate::client::{Client, Reply, entries};

const ACCOUNTS: usize = 6;
const EACH: i64 = 1000;
/// The start of their keys.
pub(crate) const PREFIX: &str = "bank/";

fn put(account: &str, amount: i64) -> Value {
    json!({"type": "put", "key": account, "value": amount.to_string()})
}

/// The operations that open the accounts.
pub(crate) fn opening() -> Vec<Value> {
    (0..ACCOUNTS)
        .map(|number| put(&format!("{PREFIX}{number}"), EACH))
        .collect()
}

/// The accounts at one moment, by their entries.
///
/// # Errors
/// The sum is wrong, or an account is missing.
pub(crate) fn accounts(entries: &[(String, String)]) -> Result<Vec<(String, i64)>, String> {
    let amount = |(key, amount): &(String, String)| Some((key.clone(), amount.parse().ok()?));
    let accounts: Option<Vec<(String, i64)>> = entries.iter().map(amount).collect();
    let is_right = |all: &Vec<(String, i64)>| {
        all.len() == ACCOUNTS && all.iter().map(|one| one.1).sum::<i64>() == EACH * ACCOUNTS as i64
    };
    accounts
        .filter(is_right)
        .ok_or_else(|| format!("the accounts do not sum up: {entries:?}"))
}

/// Reads all accounts at one moment.
///
/// # Panics
/// If they do not sum up.
pub(crate) fn look(client: &mut Client) -> Option<Vec<(String, i64)>> {
    let answer = answer(client, &json!({"op": "scan", "prefix": PREFIX}))?;
    let found = entries(&answer).and_then(|entries| accounts(&entries));
    Some(found.unwrap_or_else(|words| panic!("client {}: {words}", client.number)))
}

/// Tries to move amounts from one account to two others.
///
/// # Panics
/// If the accounts do not sum up before.
pub(crate) fn transfer(client: &mut Client, random: &mut fastrand::Rng) {
    let Some(mut held) = look(client) else {
        return;
    };
    random.shuffle(&mut held);
    let amount = random.i64(1..100);
    let check = |(key, held): &(String, i64)| json!({"key": key, "value": held.to_string()});
    let checks: Vec<Value> = held[..3].iter().map(check).collect();
    let changes = held[..3].iter().zip([-2 * amount, amount, amount]);
    let ops: Vec<Value> = changes
        .map(|((key, held), change)| put(key, held + change))
        .collect();
    let asked = client.ask(&json!({"op": "transaction", "checks": checks, "ops": ops}));
    match asked.reply {
        Reply::Ok(answer) if answer["committed"] == true => {
            client.acknowledged.push((asked.begun, asked.ended));
        }
        Reply::Ok(_) | Reply::Unknown => {}
        late => panic!("a transfer was not done in time: {late:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_transfer_and_a_missing_account_are_seen() {
        let all = |amounts: [i64; ACCOUNTS]| -> Vec<(String, String)> {
            let numbered = amounts.iter().enumerate();
            numbered
                .map(|(n, amount)| (format!("{PREFIX}{n}"), amount.to_string()))
                .collect()
        };
        assert!(accounts(&all([1000; 6])).is_ok());
        assert!(accounts(&all([990, 1005, 1005, 1000, 1000, 1000])).is_ok());
        assert!(accounts(&all([990, 1005, 1000, 1000, 1000, 1000])).is_err());
        assert!(accounts(&all([2000, 1000, 1000, 1000, 1000, 0])[..5]).is_err());
    }
}
