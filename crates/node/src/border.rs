//! The border to JavaScript: the one module that knows Node-API, and the one with `unsafe`.
//!
//! Promises: a function of this crate is called on the thread of its environment alone, with arguments whose types it asks
//! for; a panic becomes a JavaScript error; nothing that belongs to an environment is touched after that is gone.
//!
//! Must not know: what any function does.
#![allow(unsafe_code)]

mod bell;
mod values;

use std::ffi::{CString, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::null_mut;
use std::rc::Rc;

use napi_sys as sys;

use crate::answer::Answer;
use crate::calls::EXPORTS;
use crate::fault::Fault;
use crate::realm::Realm;

pub use bell::{Loop, Waking};

/// A function that JavaScript can call.
pub type Native = fn(&Call<'_>) -> Result<Answer, Fault>;

/// The most arguments of a function.
const ARGUMENTS: usize = 6;

/// A call from JavaScript.
pub struct Call<'a> {
    env: sys::napi_env,
    arguments: [sys::napi_value; ARGUMENTS],
    pub realm: &'a Realm,
    scratch: &'a [u8],
}

/// What an environment has: the main thread one, and each worker one.
struct Instance {
    realm: Realm,
    /// The memory that JavaScript packs arguments into, and what keeps it.
    scratch: std::cell::Cell<(*const u8, usize)>,
    kept: std::cell::Cell<sys::napi_ref>,
}

/// A function's data.
struct Export {
    instance: Rc<Instance>,
    native: Native,
}

const REFUSED: Fault = Fault::Misuse("an argument is of another type than it must be");

impl<'a> Call<'a> {
    /// # Errors
    /// It is no number.
    pub fn number(&self, at: usize) -> Result<u32, Fault> {
        let mut number = 0;
        // SAFETY: the environment is that of this thread, in which this call runs, and the value is an argument of it; a
        // missing argument is `undefined`.
        let status =
            unsafe { sys::napi_get_value_uint32(self.env, self.arguments[at], &raw mut number) };
        match status {
            sys::Status::napi_ok => Ok(number),
            _ => Err(REFUSED),
        }
    }

    /// # Errors
    /// It is no string.
    pub fn text(&self, at: usize) -> Result<String, Fault> {
        let mut length = 0;
        let value = self.arguments[at];
        // SAFETY: as in `number`; without a buffer the length alone is written.
        let status = unsafe {
            sys::napi_get_value_string_utf8(self.env, value, null_mut(), 0, &raw mut length)
        };
        if status != sys::Status::napi_ok {
            return Err(REFUSED);
        }
        let mut bytes = vec![0_u8; length + 1];
        // SAFETY: as in `number`; the buffer has the length that is told, and room for the zero at the end.
        let status = unsafe {
            let buffer = bytes.as_mut_ptr().cast();
            sys::napi_get_value_string_utf8(self.env, value, buffer, bytes.len(), &raw mut length)
        };
        bytes.truncate(length);
        match status {
            sys::Status::napi_ok => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            _ => Err(REFUSED),
        }
    }

    /// `length` bytes of the scratch buffer, from `start` on.
    ///
    /// # Errors
    /// It is shorter.
    pub fn packed(&self, start: u32, length: u32) -> Result<&'a [u8], Fault> {
        let (start, length) = (start as usize, length as usize);
        let bytes = self
            .scratch
            .get(start..)
            .and_then(|left| left.get(..length));
        bytes.ok_or(Fault::Misuse("the scratch buffer is shorter"))
    }
}

/// Called by Node once for each environment that loads the library.
///
/// # Safety
/// Node alone calls it, with an environment and an object of it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn napi_register_module_v1(
    env: sys::napi_env,
    exports: sys::napi_value,
) -> sys::napi_value {
    #[cfg(windows)]
    // SAFETY: it looks up Node's own functions, before any of them is called.
    unsafe {
        sys::setup();
    }
    let instance = Rc::new(Instance {
        realm: Realm::new(Loop::new(env)),
        scratch: std::cell::Cell::new((std::ptr::NonNull::dangling().as_ptr(), 0)),
        kept: std::cell::Cell::new(null_mut()),
    });
    let own: [(&str, sys::napi_callback); 2] = [("begin", Some(begin)), ("pack", Some(pack))];
    for (name, callback) in own {
        define(
            env,
            exports,
            name,
            callback,
            Rc::as_ptr(&instance).cast_mut().cast(),
        );
    }
    let mut all = Vec::new();
    for (name, native) in EXPORTS {
        let export = Box::into_raw(Box::new(Export {
            instance: Rc::clone(&instance),
            native: *native,
        }));
        all.push(export);
        define(env, exports, name, Some(call), export.cast());
    }
    let owner = Box::into_raw(Box::new((instance, all)));
    // SAFETY: the data is a box of what the finalizer takes; it is called once, when no JavaScript runs any more.
    unsafe { sys::napi_set_instance_data(env, owner.cast(), Some(end), null_mut()) };
    exports
}

type Owner = (Rc<Instance>, Vec<*mut Export>);

/// The environment is gone: gives back all that it had.
unsafe extern "C" fn end(_env: sys::napi_env, data: *mut c_void, _hint: *mut c_void) {
    // SAFETY: `napi_register_module_v1` made it of a box, and this is called once.
    let (instance, exports) = *unsafe { Box::from_raw(data.cast::<Owner>()) };
    // Closing a database may meet any error of a disk; there is nobody left to tell.
    let _ = catch_unwind(AssertUnwindSafe(|| instance.realm.end()));
    for export in exports {
        // SAFETY: made of a box there, and no function is called any more.
        drop(unsafe { Box::from_raw(export) });
    }
}

fn define(
    env: sys::napi_env,
    exports: sys::napi_value,
    name: &str,
    callback: sys::napi_callback,
    data: *mut c_void,
) {
    let Ok(name) = CString::new(name) else { return };
    let mut function = null_mut();
    // SAFETY: the environment and the object are those that Node gave to `napi_register_module_v1`, which calls this; the
    // callback's data lives until `end`.
    unsafe {
        let length = name.as_bytes().len() as isize;
        sys::napi_create_function(
            env,
            name.as_ptr(),
            length,
            callback,
            data,
            &raw mut function,
        );
        sys::napi_set_named_property(env, exports, name.as_ptr(), function);
    }
}

/// The arguments and the data of a call.
///
/// # Safety
/// `info` is that of a call under way in `env`.
unsafe fn arguments(
    env: sys::napi_env,
    info: sys::napi_callback_info,
) -> ([sys::napi_value; ARGUMENTS], *mut c_void) {
    let mut arguments = [null_mut(); ARGUMENTS];
    let (mut count, mut data) = (ARGUMENTS, null_mut());
    // SAFETY: the caller's promise; missing arguments become `undefined`.
    unsafe {
        let to = arguments.as_mut_ptr();
        sys::napi_get_cb_info(env, info, &raw mut count, to, null_mut(), &raw mut data);
    }
    (arguments, data)
}

/// What Node calls for each function of `EXPORTS`.
unsafe extern "C" fn call(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    // SAFETY: Node calls it so.
    let (arguments, data) = unsafe { arguments(env, info) };
    // SAFETY: `napi_register_module_v1` gave the function this data, and it lives until the environment's end.
    let export = unsafe { &*data.cast::<Export>() };
    let (start, length) = export.instance.scratch.get();
    let call = Call {
        env,
        arguments,
        realm: &export.instance.realm,
        // SAFETY: `pack` was told that this is the memory of an ArrayBuffer, which it keeps; nobody but `npm/level-party`
        // has it, and that neither detaches nor resizes it. JavaScript does not run, and so writes nothing, until this call
        // returns.
        scratch: unsafe { std::slice::from_raw_parts(start, length) },
    };
    let made = catch_unwind(AssertUnwindSafe(|| (export.native)(&call)));
    let made = made.unwrap_or(Err(Fault::Misuse("a bug of level-party: a call panicked")));
    // SAFETY: the call is under way in this environment.
    unsafe { values::give(env, made) }
}

/// `begin(wake)`: the function that is called when something is to be drained.
unsafe extern "C" fn begin(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    // SAFETY: Node calls it so.
    let (arguments, data) = unsafe { arguments(env, info) };
    // SAFETY: as in `call`; this function's data is the instance itself.
    let instance = unsafe { &*data.cast::<Instance>() };
    // SAFETY: the call is under way in this environment.
    let begun = unsafe { instance.realm.tasks.of_loop().begin(arguments[0]) };
    // SAFETY: as before.
    unsafe { values::give(env, begun.map(Answer::from)) }
}

/// `pack(buffer)`: the ArrayBuffer that arguments are packed into from here on.
unsafe extern "C" fn pack(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    // SAFETY: Node calls it so.
    let (arguments, data) = unsafe { arguments(env, info) };
    // SAFETY: as in `begin`.
    let instance = unsafe { &*data.cast::<Instance>() };
    let (mut start, mut length, mut kept) = (null_mut(), 0, null_mut());
    // SAFETY: the value is an argument of this call; the reference keeps the buffer until it is deleted.
    let status = unsafe {
        match sys::napi_get_arraybuffer_info(env, arguments[0], &raw mut start, &raw mut length) {
            sys::Status::napi_ok => sys::napi_create_reference(env, arguments[0], 1, &raw mut kept),
            other => other,
        }
    };
    let packed = match status {
        sys::Status::napi_ok if !start.is_null() => {
            instance.scratch.set((start.cast_const().cast(), length));
            let before = instance.kept.replace(kept);
            if !before.is_null() {
                // SAFETY: made by an earlier call of this function, and nothing points into that buffer any more.
                unsafe { sys::napi_delete_reference(env, before) };
            }
            Ok(Answer::Undefined)
        }
        _ => Err(REFUSED),
    };
    // SAFETY: the call is under way in this environment.
    unsafe { values::give(env, packed) }
}
