//! How many file descriptors this process may have, and how many it has.
//!
//! A process commonly begins with a soft limit of 1,024, which is there for programs that use `select`, and a hard one many
//! times as high, up to which it may raise the soft one by itself (getrlimit(2)).

/// How many files this process may have open at once: the soft limit. `None`: any number, as on Windows.
pub fn limit() -> Option<u64> {
    #[cfg(unix)]
    {
        rustix::process::getrlimit(rustix::process::Resource::Nofile).current
    }
    #[cfg(windows)]
    {
        None
    }
}

/// Raises the soft limit to the hard one, where the system allows it, for the whole process and the children that it
/// starts from now on. Gives the limit in force then, as [`limit`] does.
///
/// ```
/// use level_party_os::descriptors;
/// let before = descriptors::limit();
/// let raised = descriptors::raise_limit();
/// assert_eq!(raised, descriptors::limit());
/// assert!(raised.is_none_or(|limit| before.is_some_and(|before| before <= limit)));
/// ```
pub fn raise_limit() -> Option<u64> {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        let soft_is_lower = match (current, maximum) {
            (Some(soft), Some(hard)) => soft < hard,
            (Some(_), None) => true,
            (None, _) => false,
        };
        // macOS takes no soft limit above OPEN_MAX where the hard one is infinite (setrlimit(2)).
        const OPEN_MAX: u64 = 10_240;
        let at_most = maximum.unwrap_or(OPEN_MAX).min(OPEN_MAX);
        let lesser = (cfg!(target_vendor = "apple") && current.is_some_and(|soft| soft < at_most))
            .then_some(Some(at_most));
        if soft_is_lower {
            for soft in [Some(maximum), lesser].into_iter().flatten() {
                let wanted = Rlimit {
                    current: soft,
                    maximum,
                };
                // Where it is refused the process lives with what it has.
                if setrlimit(Resource::Nofile, wanted).is_ok() {
                    break;
                }
            }
        }
    }
    limit()
}

/// How many descriptors this process has open now. `None`: the system does not tell.
pub fn in_use() -> Option<u64> {
    #[cfg(unix)]
    {
        // Not `/proc` on macOS. The listing itself is one of them.
        let list = match cfg!(target_vendor = "apple") {
            true => "/dev/fd",
            false => "/proc/self/fd",
        };
        let count = std::fs::read_dir(list).ok()?.count() as u64;
        Some(count.saturating_sub(1))
    }
    #[cfg(windows)]
    {
        None
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn an_open_file_counts_and_limit_is_above_it() {
        let files: Vec<_> = (0..20).map(|_| tempfile::tempfile().unwrap()).collect();
        let used = in_use().expect("the system tells");
        assert!(used >= files.len() as u64, "{used}");
        assert!(limit().is_none_or(|limit| limit > used), "{used}");
    }
}
