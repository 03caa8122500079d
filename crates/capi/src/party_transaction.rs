//! Beyond LevelDB: transactions.

use std::ffi::{c_char, c_void};

use party::{Readable, Transaction};

use crate::border::{bytes, is_null, reference};
use crate::db::{leveldb_t, on};
use crate::failure::Failure;
use crate::party_calls::{bounds, give};
use crate::party_errors::{lp_error_t, told};

/// A transaction under way: what its body is given. It is never made, only pointed to: behind the pointer is a
/// [`Transaction`].
pub struct lp_transaction_t {
    _nothing: u8,
}

type Body = Option<unsafe extern "C" fn(*mut c_void, *mut lp_transaction_t) -> *mut lp_error_t>;
type Visit =
    Option<unsafe extern "C" fn(*mut c_void, *const c_char, usize, *const c_char, usize) -> u8>;

/// # Safety
/// `transaction` is null, or was given to the body that runs.
#[expect(
    clippy::cast_ptr_alignment,
    reason = "the pointer was made of a `Transaction`'s address"
)]
unsafe fn given<'a>(transaction: *mut lp_transaction_t) -> Result<&'a Transaction, Failure> {
    // SAFETY: the caller's promise; the body was given a pointer to a `Transaction`.
    unsafe { reference(transaction.cast::<Transaction>(), "the transaction") }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lp_transaction(
    db: *mut leveldb_t,
    body: Body,
    state: *mut c_void,
) -> *mut lp_error_t {
    told(|| {
        // SAFETY: the caller's promise.
        let db = unsafe { reference(db, "the database") }?;
        let body = body.ok_or_else(|| is_null("the transaction's body"))?;
        let run = |transaction: &Transaction| -> Result<(), Failure> {
            let transaction = std::ptr::from_ref(transaction).cast_mut().cast();
            // SAFETY: the caller's function with the object that it is for; the transaction lives until it returns.
            let error = unsafe { body(state, transaction) };
            match error.is_null() {
                true => Ok(()),
                // SAFETY: the body's promise: an error that a call of this library gave, and that is now ours.
                false => Err(unsafe { Box::from_raw(error) }.failure),
            }
        };
        on!(db, store => store.try_transaction(run))
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lp_transaction_get(
    transaction: *mut lp_transaction_t,
    key: *const c_char,
    keylen: usize,
    value: *mut *mut c_char,
    vallen: *mut usize,
) -> *mut lp_error_t {
    told(|| {
        // SAFETY: the caller's promise.
        unsafe {
            give(None, value, vallen);
            let found = given(transaction)?.get(bytes(key, keylen))?;
            give(found.as_deref(), value, vallen);
        }
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lp_transaction_put(
    transaction: *mut lp_transaction_t,
    key: *const c_char,
    keylen: usize,
    val: *const c_char,
    vallen: usize,
) -> *mut lp_error_t {
    told(|| {
        // SAFETY: the caller's promise.
        unsafe { given(transaction)?.put(bytes(key, keylen), bytes(val, vallen))? };
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lp_transaction_delete(
    transaction: *mut lp_transaction_t,
    key: *const c_char,
    keylen: usize,
) -> *mut lp_error_t {
    told(|| {
        // SAFETY: the caller's promise.
        unsafe { given(transaction)?.delete(bytes(key, keylen))? };
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lp_transaction_set_sync(
    transaction: *mut lp_transaction_t,
    yes: u8,
) -> *mut lp_error_t {
    told(|| {
        // SAFETY: the caller's promise.
        unsafe { given(transaction)? }.sync(yes != 0);
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lp_transaction_iterate(
    transaction: *mut lp_transaction_t,
    start: *const c_char,
    startlen: usize,
    limit: *const c_char,
    limitlen: usize,
    backward: u8,
    state: *mut c_void,
    visit: Visit,
) -> *mut lp_error_t {
    told(|| {
        // SAFETY: the caller's promise.
        let (transaction, bounds) = unsafe {
            (
                given(transaction)?,
                bounds((start, startlen), (limit, limitlen)),
            )
        };
        let visit = visit.ok_or_else(|| is_null("the function that visits"))?;
        let mut range = transaction.range(bounds);
        loop {
            let entry = match backward {
                0 => range.next(),
                _ => range.next_back(),
            };
            let Some((key, value)) = entry.transpose()? else {
                return Ok(());
            };
            let (key_start, value_start) = (key.as_ptr().cast(), value.as_ptr().cast());
            // SAFETY: the caller's function with the object that it is for; the two are as long as is said.
            let goes_on = unsafe { visit(state, key_start, key.len(), value_start, value.len()) };
            if goes_on == 0 {
                return Ok(());
            }
        }
    })
}
