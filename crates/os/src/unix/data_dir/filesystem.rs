//! Filesystem kinds, told by `statfs`. The rule: what another host, or a program in user space, may
//! answer for is not [`Filesystem::Local`].

use std::io;
use std::os::fd::BorrowedFd;

use crate::identity::Filesystem;

impl Filesystem {
    #[cfg(target_os = "linux")]
    pub(crate) fn of(fd: BorrowedFd<'_>) -> io::Result<Self> {
        // The field's width and sign differ between architectures; magic numbers have 32 bits.
        #[allow(clippy::unnecessary_cast)]
        let magic = rustix::fs::fstatfs(fd)?.f_type as u32;
        Ok(Self::from_magic(magic))
    }

    /// By the numbers of `linux/magic.h` and `statfs(2)`.
    #[cfg(target_os = "linux")]
    pub(crate) fn from_magic(magic: u32) -> Self {
        const NETWORK: &[(u32, &str)] = &[
            (0x6969, "nfs"),
            (0x517B, "smb"),
            (0xFF53_4D42, "cifs"),
            (0xFE53_4D42, "smb2"),
            (0x0102_1997, "9p"),
            (0x564C, "ncp"),
            (0x5346_414F, "afs"),
            (0x6B41_4653, "kafs"),
            (0x7375_7245, "coda"),
            (0x00C3_6400, "ceph"),
            (0x0116_1970, "gfs2"),
            (0x7461_636F, "ocfs2"),
            (0x0BD0_0BD0, "lustre"),
            (0x4750_4653, "gpfs"),
            (0x1983_0326, "beegfs"),
            (0xAAD7_AAEA, "panfs"),
            (0x786F_4256, "vboxsf"),
            (0xBACB_ACBC, "vmhgfs"),
            (0x7C7C_6673, "prl_fs"),
        ];
        const LOCAL: &[(u32, &str)] = &[
            (0xEF53, "ext4"),
            (0x9123_683E, "btrfs"),
            (0x5846_5342, "xfs"),
            (0x0102_1994, "tmpfs"),
            (0x794C_7630, "overlay"),
            (0x2FC1_2FC1, "zfs"),
            (0xF2F5_2010, "f2fs"),
            (0xCA45_1A4E, "bcachefs"),
            (0x4D44, "vfat"),
            (0x2011_BAB0, "exfat"),
            (0x7366_746E, "ntfs3"),
        ];
        const FUSE: u32 = 0x6573_5546;
        let named = |table: &[(u32, &str)]| {
            table
                .iter()
                .find(|(number, _)| *number == magic)
                .map(|(_, name)| (*name).to_owned())
        };
        if magic == FUSE {
            Self::Fuse("fuse".to_owned())
        } else if let Some(name) = named(NETWORK) {
            Self::Network(name)
        } else {
            Self::Local(named(LOCAL).unwrap_or_else(|| format!("unknown ({magic:#x})")))
        }
    }

    #[cfg(target_vendor = "apple")]
    pub(crate) fn of(fd: BorrowedFd<'_>) -> io::Result<Self> {
        let stat = rustix::fs::fstatfs(fd)?;
        let name: String = stat
            .f_fstypename
            .iter()
            .take_while(|c| **c != 0)
            .map(|c| *c as u8 as char)
            .collect();
        Ok(if name.contains("fuse") {
            Self::Fuse(name)
        } else if stat.f_flags & libc::MNT_LOCAL as u32 == 0 || name == "virtiofs" {
            Self::Network(name)
        } else {
            Self::Local(name)
        })
    }
}
