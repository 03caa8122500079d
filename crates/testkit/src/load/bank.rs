//! Accounts between which only their owner moves amounts, two or three accounts in one batch: the sum of all accounts
//! is the same at each moment.

use serde_json::{Value, json};

use crate::client::{Client, Reply, entries};

const ACCOUNTS: usize = 3;
const EACH: i64 = 1000;
pub(crate) const PREFIX: &str = "bank/";

fn account(owner: usize, number: usize) -> String {
    format!("{PREFIX}{owner}/{number}")
}

/// The operations that open the accounts of `owners`.
pub(crate) fn opening(owners: usize) -> Vec<Value> {
    let accounts = (0..owners).flat_map(|owner| (0..ACCOUNTS).map(move |n| account(owner, n)));
    accounts
        .map(|key| json!({"type": "put", "key": key, "value": EACH.to_string()}))
        .collect()
}

/// The request for all accounts at one moment.
pub(crate) fn look() -> Value {
    json!({"op": "scan", "prefix": PREFIX})
}

/// Checks all accounts of `owners` at one moment.
///
/// # Errors
/// The sum is wrong, or an account is missing.
pub(crate) fn check(owners: usize, entries: &[(String, String)]) -> Result<(), String> {
    let amounts: Result<Vec<i64>, _> = entries.iter().map(|(_, amount)| amount.parse()).collect();
    let accounts = owners * ACCOUNTS;
    match amounts {
        Ok(amounts)
            if amounts.len() == accounts
                && amounts.iter().sum::<i64>() == EACH * accounts as i64 =>
        {
            Ok(())
        }
        _ => Err(format!("the accounts do not sum up: {entries:?}")),
    }
}

/// Moves an amount between the client's own accounts.
///
/// # Panics
/// If their sum is wrong before.
pub(crate) fn transfer(client: &mut Client, amount: i64) {
    let prefix = format!("{PREFIX}{}/", client.number);
    let Reply::Ok(answer) = client.ask(&json!({"op": "scan", "prefix": prefix})).reply else {
        return;
    };
    let mut held = entries(&answer).unwrap_or_else(|words| panic!("{words}"));
    check(1, &held).unwrap_or_else(|words| panic!("client {}: {words}", client.number));
    for (at, change) in [-2 * amount, amount, amount].into_iter().enumerate() {
        let before: i64 = held[at].1.parse().expect("an amount");
        held[at].1 = (before + change).to_string();
    }
    let put = |(key, value): &(String, String)| json!({"type": "put", "key": key, "value": value});
    let ops: Vec<Value> = held.iter().map(put).collect();
    let asked = client.ask(&json!({"op": "batch", "ops": ops}));
    if let Reply::Ok(_) = asked.reply {
        client.acknowledged.push((asked.begun, asked.ended));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_transfer_and_a_missing_account_are_seen() {
        let all = |amounts: [i64; 6]| -> Vec<(String, String)> {
            let keys = (0..2).flat_map(|owner| (0..ACCOUNTS).map(move |n| account(owner, n)));
            keys.zip(amounts.map(|amount| amount.to_string())).collect()
        };
        assert!(check(2, &all([1000; 6])).is_ok());
        assert!(check(2, &all([990, 1005, 1005, 1000, 1000, 1000])).is_ok());
        assert!(check(2, &all([990, 1005, 1000, 1000, 1000, 1000])).is_err());
        assert!(check(2, &all([2000, 1000, 1000, 1000, 1000, 0])[..5]).is_err());
    }
}
