//! Reads: each is one statement, so of one snapshot.

use std::time::Instant;

use tokio_postgres::Row;

use super::failure::Failure;
use super::link::Link;
use super::schema::Sql;
use crate::answer::{Chunk, Entry, Item, Moment};
use crate::error::{Error, ErrorKind};
use crate::request::Scan;

type Read<T> = std::result::Result<T, Failure>;

/// # Errors
/// `SnapshotLost`: the moment is of a history that has been replaced.
pub fn check(link: &Link, at: Moment) -> Read<()> {
    match link.histories.holds(at) {
        true => Ok(()),
        false => Err(Failure::Refused(Error::new(
            ErrorKind::SnapshotLost,
            "the server's history was replaced since this snapshot or iterator began (a fail-over, or a restored copy); \
             take a new one",
        ))),
    }
}

fn column<'r, T: tokio_postgres::types::FromSql<'r>>(row: &'r Row, at: usize) -> Read<T> {
    row.try_get(at).map_err(Failure::of)
}

fn sequence(row: &Row, at: usize) -> Read<u64> {
    Ok(column::<i64>(row, at)? as u64)
}

fn entry(row: &Row, at: usize) -> Read<Entry> {
    Ok(Entry {
        sequence: sequence(row, at)?,
        value: column(row, at + 1)?,
    })
}

pub fn get(
    link: &mut Link,
    sql: &Sql,
    key: &[u8],
    at: Option<Moment>,
    deadline: Instant,
) -> Read<Option<Entry>> {
    let Some(at) = at else {
        let rows = link.query(sql, Sql::GET, &[&key], deadline)?;
        return rows.first().map(|row| entry(row, 0)).transpose();
    };
    check(link, at)?;
    let rows = link.query(
        sql,
        Sql::GET_AT,
        &[&[key].as_slice(), &(at.sequence as i64), &true],
        deadline,
    )?;
    rows.first().map(|row| entry(row, 1)).transpose()
}

pub fn contains(
    link: &mut Link,
    sql: &Sql,
    key: &[u8],
    at: Option<Moment>,
    deadline: Instant,
) -> Read<bool> {
    let rows = match at {
        None => link.query(sql, Sql::CONTAINS, &[&key], deadline)?,
        Some(at) => {
            check(link, at)?;
            link.query(
                sql,
                Sql::GET_AT,
                &[&[key].as_slice(), &(at.sequence as i64), &false],
                deadline,
            )?
        }
    };
    Ok(!rows.is_empty())
}

pub fn get_many(
    link: &mut Link,
    sql: &Sql,
    keys: &[Vec<u8>],
    at: Option<Moment>,
    deadline: Instant,
) -> Read<Vec<Option<Entry>>> {
    let slices: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
    let rows = match at {
        None => link.query(sql, Sql::GET_MANY, &[&slices], deadline)?,
        Some(at) => {
            check(link, at)?;
            link.query(
                sql,
                Sql::GET_AT,
                &[&slices, &(at.sequence as i64), &true],
                deadline,
            )?
        }
    };
    let mut entries = vec![None; keys.len()];
    for row in &rows {
        let at = usize::try_from(column::<i32>(row, 0)?).ok();
        let place = at.and_then(|at| entries.get_mut(at.checked_sub(1)?));
        *place.ok_or_else(|| Failure::Refused(misread()))? = Some(entry(row, 1)?);
    }
    Ok(entries)
}

pub fn newest(link: &mut Link, sql: &Sql, deadline: Instant) -> Read<Moment> {
    let rows = link.query(sql, Sql::NEWEST, &[], deadline)?;
    let row = rows.first().ok_or_else(|| Failure::Refused(misread()))?;
    Ok(Moment {
        sequence: sequence(row, 0)?,
        history: link.histories.current(),
    })
}

/// A chunk, and the newest moment, which it shows where `at` is none.
pub fn scan(
    link: &mut Link,
    sql: &Sql,
    scan: &Scan,
    at: Option<Moment>,
    deadline: Instant,
) -> Read<(Chunk, Moment)> {
    let (low, high) = (scan.range.start(), scan.range.end());
    let bytes = i64::try_from(scan.limit_bytes.max(1)).unwrap_or(i64::MAX);
    let rows = i32::try_from(scan.limit_entries.max(1)).unwrap_or(i32::MAX);
    let rows = match at {
        None => {
            let which = if scan.reverse {
                Sql::SCAN_DOWN
            } else {
                Sql::SCAN_UP
            };
            link.query(
                sql,
                which,
                &[&low, &high, &scan.keys_only, &bytes, &rows],
                deadline,
            )?
        }
        Some(at) => {
            check(link, at)?;
            let which = if scan.reverse {
                Sql::SCAN_AT_DOWN
            } else {
                Sql::SCAN_AT_UP
            };
            let sequence = at.sequence as i64;
            link.query(
                sql,
                which,
                &[&low, &high, &sequence, &scan.keys_only, &bytes, &rows],
                deadline,
            )?
        }
    };
    let (last, rows) = rows
        .split_last()
        .ok_or_else(|| Failure::Refused(misread()))?;
    let item = |row: &Row| {
        Ok(Item {
            key: column(row, 0)?,
            sequence: sequence(row, 1)?,
            value: column(row, 2)?,
        })
    };
    let left: &[u8] = column(last, 2)?;
    let (more, reached) = match left.split_first() {
        Some((0, _)) => (false, None),
        Some((1, _)) => (true, None),
        Some((2, key)) => (true, Some(key.to_vec())),
        _ => return Err(Failure::Refused(misread())),
    };
    let newest = Moment {
        sequence: sequence(last, 1)?,
        history: link.histories.current(),
    };
    let chunk = Chunk {
        items: rows.iter().map(item).collect::<Read<_>>()?,
        more,
        reached,
        pinned: None,
    };
    Ok((chunk, newest))
}

pub fn size(
    link: &mut Link,
    sql: &Sql,
    low: &[u8],
    high: Option<&[u8]>,
    deadline: Instant,
) -> Read<u64> {
    let rows = link.query(sql, Sql::SIZE, &[&low, &high], deadline)?;
    let row = rows.first().ok_or_else(|| Failure::Refused(misread()))?;
    sequence(row, 0)
}

/// The server answered what our functions never do.
pub fn misread() -> Error {
    Error::new(
        ErrorKind::Protocol,
        "the server's answer is not what our functions give",
    )
}
