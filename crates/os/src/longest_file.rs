//! How long this process may make a file.

/// How long a file of this process may become, in bytes: the soft limit `RLIMIT_FSIZE`, beyond which a write ends the process
/// by `SIGXFSZ` where it does not ignore that (setrlimit(2)). `u64::MAX` without a limit, as on Windows.
///
/// ```
/// assert!(level_party_os::longest_file() > 0);
/// ```
pub fn longest_file() -> u64 {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit};
        getrlimit(Resource::Fsize).current.unwrap_or(u64::MAX)
    }
    #[cfg(windows)]
    {
        u64::MAX
    }
}
