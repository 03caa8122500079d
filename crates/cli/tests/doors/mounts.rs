//! Filesystems of the tests' own.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A mount that goes with the value.
pub struct Mount(pub PathBuf);

impl Mount {
    /// `None` where mounting is not allowed.
    pub fn new(options: &[&str], from: &Path, to: &Path) -> Option<Self> {
        std::fs::create_dir_all(to).expect("it can be made");
        let mut mount = Command::new("mount");
        let done = mount.args(options).arg(from).arg(to).output();
        done.is_ok_and(|done| done.status.success())
            .then(|| Mount(to.to_owned()))
    }

    /// Whether it has another option from now on.
    pub fn remount(&self, option: &str) -> bool {
        let options = format!("remount,{option}");
        let mut mount = Command::new("mount");
        let done = mount.args(["-o", &options]).arg(&self.0).output();
        done.is_ok_and(|done| done.status.success())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).output();
    }
}
