//! What kind of file system mail is on.
//!
//! On one that other machines or other programs change behind the kernel's back, the kernel
//! notices no changes (inotify(7)), and times are those of another clock.

use std::path::Path;
use std::time::Duration;

use rustix::fs::StatVfsMountFlags;

/// Who may change the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Nobody but this machine.
    Local,
    /// Others too; also if that cannot be told.
    Remote,
}

impl Reach {
    /// Who may change what is in `directory`.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(crate) fn of(directory: &Path) -> Self {
        let Ok(found) = rustix::fs::statfs(directory) else {
            return Self::Remote;
        };
        let kind = i128::from(found.f_type) & 0xffff_ffff;
        if REMOTE.iter().any(|(magic, _)| i128::from(*magic) == kind) {
            Self::Remote
        } else {
            Self::Local
        }
    }

    /// Elsewhere there are no notices, and it makes no difference.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub(crate) fn of(_: &Path) -> Self {
        Self::Local
    }

    /// How long a directory's time must have stood to be believed: at least 3 seconds on a network
    /// file system, whose server and clients may remember times for that long.
    pub(crate) fn guard(self, setting: Duration) -> Duration {
        match self {
            Self::Local => setting,
            Self::Remote => setting.max(REMOTE_GUARD),
        }
    }
}

/// Whether nothing can be written to the file system of `directory`; not if that cannot be told.
pub(crate) fn is_read_only(directory: &Path) -> bool {
    let found = rustix::fs::statvfs(directory);
    found.is_ok_and(|found| found.f_flag.contains(StatVfsMountFlags::RDONLY))
}

/// See [`Reach::guard`].
const REMOTE_GUARD: Duration = Duration::from_secs(3);

/// The file systems, by the numbers of statfs(2).
#[cfg(any(target_os = "linux", target_os = "android"))]
const REMOTE: [(u32, &str); 19] = [
    (0x6969, "nfs"),
    (0x517b, "smb"),
    (0xff53_4d42, "cifs"),
    (0xfe53_4d42, "smb2"),
    // Also sshfs, glusterfs, s3fs, JuiceFS and virtiofs.
    (0x6573_5546, "fuse"),
    (0x00c3_6400, "ceph"),
    (0x0116_1970, "gfs2"),
    (0x7461_636f, "ocfs2"),
    (0x0bd0_0bd0, "lustre"),
    (0x0102_1997, "9p"),
    (0x5346_414f, "afs"),
    (0x6b41_4653, "kafs"),
    (0x7375_7245, "coda"),
    (0x564c, "ncp"),
    (0x4750_4653, "gpfs"),
    (0x1983_0326, "beegfs"),
    (0x2003_0528, "orangefs"),
    (0x786f_4256, "vboxsf"),
    (0xbacb_acbc, "vmhgfs"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_above_the_guard_of_network_file_systems_counts() {
        let seconds = Duration::from_secs;
        assert_eq!(Reach::Local.guard(seconds(1)), seconds(1));
        assert_eq!(Reach::Remote.guard(seconds(1)), seconds(3));
        assert_eq!(Reach::Remote.guard(seconds(10)), seconds(10));
    }

    #[test]
    fn what_cannot_be_told_counts_as_remote() {
        let temporary = tempfile::tempdir().unwrap();
        assert_eq!(Reach::of(temporary.path()), Reach::Local);
        let missing = temporary.path().join("missing");
        assert_eq!(Reach::of(&missing), Reach::Remote);
    }
}
