//! How another thread has JavaScript look at what is done.

use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::Arc;
use std::task::Wake;

use level_party_locks::Mutex;
use napi_sys as sys;

use crate::fault::Fault;

/// The tasks that were woken, and the rope to the loop. One call has JavaScript come for all of them.
pub struct Bell {
    woken: Mutex<Vec<u32>>,
    /// Null before it is hung up, and once the environment is gone.
    rope: Mutex<Rope>,
}

struct Rope(sys::napi_threadsafe_function);

// SAFETY: it is Node's handle for other threads; `Bell` uses it under its lock, and not after its finalizer took it away.
unsafe impl Send for Rope {}

impl Bell {
    /// `task` wants to be polled.
    fn ring(&self, task: u32) {
        let mut woken = self.woken.lock();
        woken.push(task);
        let is_first = woken.len() == 1;
        drop(woken);
        if is_first {
            self.pull();
        }
    }

    fn pull(&self) {
        let mut rope = self.rope.lock();
        if rope.0.is_null() {
            return;
        }
        let mode = sys::ThreadsafeFunctionCallMode::nonblocking;
        // SAFETY: the function was not finalized: its finalizer takes it out under this lock.
        let status = unsafe { sys::napi_call_threadsafe_function(rope.0, null_mut(), mode) };
        if status == sys::Status::napi_closing {
            rope.0 = null_mut();
        }
    }

    /// Whoever was woken since the last time.
    pub fn take_woken(&self) -> Vec<u32> {
        std::mem::take(&mut *self.woken.lock())
    }
}

/// The waker of a task.
pub struct Waking {
    pub task: u32,
    pub bell: Arc<Bell>,
}

impl Wake for Waking {
    fn wake(self: Arc<Self>) {
        self.bell.ring(self.task);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.bell.ring(self.task);
    }
}

/// The loop of an environment. Of its thread alone.
pub struct Loop {
    env: sys::napi_env,
    pub bell: Arc<Bell>,
}

impl Loop {
    pub fn new(env: sys::napi_env) -> Self {
        let bell = Bell {
            woken: Mutex::new(Vec::new()),
            rope: Mutex::new(Rope(null_mut())),
        };
        Loop {
            env,
            bell: Arc::new(bell),
        }
    }

    /// Hangs up the bell: `wake` is called when it rings. By itself it does not keep the loop alive.
    ///
    /// # Errors
    /// `wake` is no function.
    ///
    /// # Safety
    /// A call of JavaScript is under way in this environment, and `wake` is a value of it.
    pub unsafe fn begin(&self, wake: sys::napi_value) -> Result<(), Fault> {
        let (mut name, mut made) = (null_mut(), null_mut());
        let bell = Arc::into_raw(Arc::clone(&self.bell)).cast_mut();
        // SAFETY: the caller's promise. The finalizer gets the bell's reference, once.
        let status = unsafe {
            sys::napi_create_string_utf8(self.env, c"level-party".as_ptr(), 11, &raw mut name);
            sys::napi_create_threadsafe_function(
                self.env,
                wake,
                null_mut(),
                name,
                0,
                1,
                bell.cast(),
                Some(cut),
                null_mut(),
                None,
                &raw mut made,
            )
        };
        if status != sys::Status::napi_ok {
            // SAFETY: no finalizer will get it.
            drop(unsafe { Arc::from_raw(bell) });
            return Err(Fault::Misuse("`wake` is no function"));
        }
        // SAFETY: it was just made.
        unsafe { sys::napi_unref_threadsafe_function(self.env, made) };
        self.bell.rope.lock().0 = made;
        Ok(())
    }

    /// The loop stays alive until `release`.
    pub fn hold(&self) {
        let rope = self.bell.rope.lock();
        if !rope.0.is_null() {
            // SAFETY: it was not finalized, and `Loop` is not `Send`, so this is the loop's thread.
            unsafe { sys::napi_ref_threadsafe_function(self.env, rope.0) };
        }
    }

    /// The loop may end.
    pub fn release(&self) {
        let rope = self.bell.rope.lock();
        if !rope.0.is_null() {
            // SAFETY: as in `hold`.
            unsafe { sys::napi_unref_threadsafe_function(self.env, rope.0) };
        }
    }
}

/// The environment is ending: the rope must not be pulled any more.
unsafe extern "C" fn cut(_env: sys::napi_env, bell: *mut c_void, _hint: *mut c_void) {
    // SAFETY: `begin` gave it this reference, and it is called once.
    let bell = unsafe { Arc::from_raw(bell.cast_const().cast::<Bell>()) };
    bell.rope.lock().0 = null_mut();
}
