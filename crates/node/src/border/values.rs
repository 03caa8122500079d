//! Answers as JavaScript values.

use std::ffi::CStr;
use std::ptr::null_mut;

use napi_sys as sys;

use crate::answer::{Answer, Format, Parts};
use crate::fault::Fault;

/// The result of a call: its value, or an exception that is thrown.
///
/// # Safety
/// A call of JavaScript is under way in `env`.
pub unsafe fn give(env: sys::napi_env, made: Result<Answer, Fault>) -> sys::napi_value {
    let to = To { env };
    match made {
        Ok(answer) => to.value(answer),
        Err(fault) => {
            let error = to.error(&fault);
            // SAFETY: the caller's promise.
            unsafe { sys::napi_throw(env, error) };
            null_mut()
        }
    }
}

/// Makes values in an environment in which a call is under way: only `give` makes one.
struct To {
    env: sys::napi_env,
}

/// Calls a function of Node-API that makes a value. What fails (no memory is left, or an exception is pending) gives null, which
/// Node takes for `undefined`.
macro_rules! made {
    ($to:ident . $function:ident ( $($argument:expr),* )) => {{
        let mut value = null_mut();
        // SAFETY: `To` exists during a call in its environment alone; pointers and lengths are those of one slice.
        unsafe { sys::$function($to.env, $($argument,)* &mut value) };
        value
    }};
}

impl To {
    fn value(&self, answer: Answer) -> sys::napi_value {
        match answer {
            Answer::Undefined => self.undefined(),
            Answer::Flag(flag) => self.flag(flag),
            Answer::Ticket(number) | Answer::Object(number) => self.number(number),
            Answer::Text(text) => self.text(text.as_bytes()),
            Answer::Value(value, format) => self.bytes(value.as_deref(), format),
            Answer::Values(values, format) => {
                self.array(values, |value| self.bytes(value.as_deref(), format))
            }
            Answer::Flags(flags) => self.array(flags, |flag| self.flag(flag)),
            Answer::Parts(parts) => self.parts(&parts),
            Answer::List(answers) => self.array(answers, |answer| self.value(answer)),
            Answer::Fault(fault) => self.error(&fault),
        }
    }

    fn undefined(&self) -> sys::napi_value {
        made!(self.napi_get_undefined())
    }

    fn flag(&self, flag: bool) -> sys::napi_value {
        made!(self.napi_get_boolean(flag))
    }

    fn number(&self, number: u32) -> sys::napi_value {
        made!(self.napi_create_uint32(number))
    }

    /// A string of bytes that should be UTF-8.
    fn text(&self, bytes: &[u8]) -> sys::napi_value {
        if bytes.is_ascii() {
            let start = bytes.as_ptr().cast();
            return made!(self.napi_create_string_latin1(start, bytes.len() as isize));
        }
        let text = String::from_utf8_lossy(bytes);
        made!(self.napi_create_string_utf8(text.as_ptr().cast(), text.len() as isize))
    }

    fn bytes(&self, bytes: Option<&[u8]>, format: Format) -> sys::napi_value {
        match (bytes, format) {
            (None, _) => self.undefined(),
            (Some(bytes), Format::Utf8) => self.text(bytes),
            // A copy: not every host of Node-API takes memory that is not its own.
            (Some(bytes), Format::Buffer) => {
                let start = bytes.as_ptr().cast();
                made!(self.napi_create_buffer_copy(bytes.len(), start, null_mut()))
            }
        }
    }

    fn array<T>(
        &self,
        items: Vec<T>,
        mut value: impl FnMut(T) -> sys::napi_value,
    ) -> sys::napi_value {
        let array = made!(self.napi_create_array_with_length(items.len()));
        for (at, item) in items.into_iter().enumerate() {
            self.set(array, at, value(item));
        }
        array
    }

    fn set(&self, array: sys::napi_value, at: usize, value: sys::napi_value) {
        // SAFETY: as in `made`; the array and the value are of this call.
        unsafe { sys::napi_set_element(self.env, array, at as u32, value) };
    }

    /// Keys, values or both in turn, and behind them whether nothing comes after.
    fn parts(&self, parts: &Parts) -> sys::napi_value {
        let each = usize::from(parts.keys.is_some()) + usize::from(parts.values.is_some());
        let length = parts.entries.len() * each;
        let array = made!(self.napi_create_array_with_length(length + 1));
        let mut at = 0;
        for (key, value) in &parts.entries {
            for (bytes, format) in [(key, parts.keys), (value, parts.values)] {
                if let Some(format) = format {
                    self.set(array, at, self.bytes(Some(bytes), format));
                    at += 1;
                }
            }
        }
        self.set(array, length, self.flag(parts.is_end));
        array
    }

    /// An `Error` with `code`, and of the database's with `kind`, `retryable` and `hadNoEffect`.
    fn error(&self, fault: &Fault) -> sys::napi_value {
        let code = self.text(fault.code().as_bytes());
        let message = self.text(fault.message().as_bytes());
        let error = made!(self.napi_create_error(code, message));
        if let Some(party) = fault.party() {
            let kind = self.text(party.kind().as_str().as_bytes());
            self.name(error, c"kind", kind);
            self.name(error, c"retryable", self.flag(party.is_retryable()));
            self.name(error, c"hadNoEffect", self.flag(party.had_no_effect()));
        }
        error
    }

    fn name(&self, object: sys::napi_value, name: &CStr, value: sys::napi_value) {
        // SAFETY: as in `set`.
        unsafe { sys::napi_set_named_property(self.env, object, name.as_ptr(), value) };
    }
}
