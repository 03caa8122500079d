//! Comparators and filter policies: callbacks of the caller.

use std::cmp::Ordering;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::{Arc, Weak};

use party::Comparator;

use crate::border::{Outcome, destroy, guard_or};
use crate::failure::{Failure, Kind};

type Destructor = Option<unsafe extern "C" fn(*mut c_void)>;
type Compare =
    Option<unsafe extern "C" fn(*mut c_void, *const c_char, usize, *const c_char, usize) -> c_int>;
type Name = Option<unsafe extern "C" fn(*mut c_void) -> *const c_char>;
type CreateFilter = Option<
    unsafe extern "C" fn(
        *mut c_void,
        *const *const c_char,
        *const usize,
        c_int,
        *mut usize,
    ) -> *mut c_char,
>;
type KeyMayMatch =
    Option<unsafe extern "C" fn(*mut c_void, *const c_char, usize, *const c_char, usize) -> u8>;

/// A caller's object behind callbacks.
struct State {
    state: *mut c_void,
    destructor: Destructor,
}

// SAFETY: the header asks for callbacks that may be called from any thread; the pointer itself is only handed back to them.
unsafe impl Send for State {}
// SAFETY: as above, at the same time.
unsafe impl Sync for State {}

impl Drop for State {
    fn drop(&mut self) {
        if let Some(destructor) = self.destructor {
            // SAFETY: this is the last use of the caller's object, with the function that came with it.
            unsafe { destructor(self.state) };
        }
    }
}

/// A comparator; databases that are open with it keep its callbacks.
pub struct leveldb_comparator_t {
    inner: Arc<Callbacks>,
}

struct Callbacks {
    state: State,
    compare: Compare,
    /// `None`: there is none, or it is not UTF-8.
    name: Option<String>,
}

/// A comparator as options keep it.
#[derive(Clone)]
pub(crate) struct Chosen(Weak<Callbacks>);

/// A comparator as a database uses it.
pub(crate) struct Used {
    callbacks: Arc<Callbacks>,
    name: String,
    compare: unsafe extern "C" fn(*mut c_void, *const c_char, usize, *const c_char, usize) -> c_int,
}

impl Comparator for Used {
    fn name(&self) -> &str {
        &self.name
    }

    fn compare(&self, a: &[u8], b: &[u8]) -> Ordering {
        let state = self.callbacks.state.state;
        // SAFETY: the object lives, as its callbacks are held here; the two slices are as long as is said.
        let order = unsafe {
            (self.compare)(
                state,
                a.as_ptr().cast(),
                a.len(),
                b.as_ptr().cast(),
                b.len(),
            )
        };
        order.cmp(&0)
    }
}

impl Chosen {
    /// What a database is opened with.
    pub fn used(&self) -> Outcome<Used> {
        let refused = |message: &str| Failure::new(Kind::InvalidArgument, message);
        let callbacks = self
            .0
            .upgrade()
            .ok_or_else(|| refused("the comparator of the options was destroyed"))?;
        let compare = callbacks
            .compare
            .ok_or_else(|| refused("the comparator has no function that compares"))?;
        let name = callbacks.name.clone();
        Ok(Used {
            compare,
            name: name.ok_or_else(|| refused("the comparator's name is missing or not UTF-8"))?,
            callbacks,
        })
    }
}

impl leveldb_comparator_t {
    pub(crate) fn chosen(&self) -> Chosen {
        Chosen(Arc::downgrade(&self.inner))
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn leveldb_comparator_create(
    state: *mut c_void,
    destructor: Destructor,
    compare: Compare,
    name: Name,
) -> *mut leveldb_comparator_t {
    guard_or(std::ptr::null_mut(), || {
        // SAFETY: the caller's function, with the object that it is for.
        let name = name.map(|name| unsafe { name(state) });
        let name = name.filter(|name| !name.is_null());
        // SAFETY: the caller's promise: a string.
        let name = name.map(|name| unsafe { CStr::from_ptr(name) });
        let name = name.and_then(|name| name.to_str().ok()).map(str::to_owned);
        Ok(Box::into_raw(Box::new(leveldb_comparator_t {
            inner: Arc::new(Callbacks {
                state: State { state, destructor },
                compare,
                name,
            }),
        })))
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn leveldb_comparator_destroy(comparator: *mut leveldb_comparator_t) {
    // SAFETY: the caller's promise.
    unsafe { destroy(comparator) };
}

/// A filter policy: ours, or a caller's, which is kept and never asked.
pub struct leveldb_filterpolicy_t {
    pub(crate) bloom_bits_per_key: Option<u32>,
    _state: State,
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn leveldb_filterpolicy_create(
    state: *mut c_void,
    destructor: Destructor,
    _create_filter: CreateFilter,
    _key_may_match: KeyMayMatch,
    _name: Name,
) -> *mut leveldb_filterpolicy_t {
    guard_or(std::ptr::null_mut(), || {
        Ok(Box::into_raw(Box::new(leveldb_filterpolicy_t {
            bloom_bits_per_key: None,
            _state: State { state, destructor },
        })))
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn leveldb_filterpolicy_create_bloom(
    bits_per_key: c_int,
) -> *mut leveldb_filterpolicy_t {
    guard_or(std::ptr::null_mut(), || {
        Ok(Box::into_raw(Box::new(leveldb_filterpolicy_t {
            // As LevelDB, which raises what is too little to a filter of one probe.
            bloom_bits_per_key: Some(u32::try_from(bits_per_key).unwrap_or(0).max(1)),
            _state: State {
                state: std::ptr::null_mut(),
                destructor: None,
            },
        })))
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn leveldb_filterpolicy_destroy(policy: *mut leveldb_filterpolicy_t) {
    // SAFETY: the caller's promise.
    unsafe { destroy(policy) };
}
