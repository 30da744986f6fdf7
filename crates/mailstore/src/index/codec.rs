//! Little-endian numbers and byte strings, read with every length checked.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A point in time as the file system tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FileTime {
    /// Seconds since 1970.
    pub(crate) seconds: i64,
    /// Nanoseconds.
    pub(crate) nanoseconds: u32,
}

impl FileTime {
    /// A time that no directory has.
    pub(crate) const NEVER: Self = Self {
        seconds: i64::MIN,
        nanoseconds: 0,
    };

    /// How long `self` is after `earlier`; zero if it is before.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        let nanoseconds =
            |time: Self| i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanoseconds);
        let difference = nanoseconds(self).saturating_sub(nanoseconds(earlier));
        Duration::from_nanos(u64::try_from(difference.max(0)).unwrap_or(u64::MAX))
    }
}

impl From<SystemTime> for FileTime {
    fn from(time: SystemTime) -> Self {
        let whole = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Self {
                seconds: whole(after),
                nanoseconds: after.subsec_nanos(),
            },
            // Counted down to the second before, as file systems do.
            Err(before) => match before.duration().subsec_nanos() {
                0 => Self {
                    seconds: -whole(before.duration()),
                    nanoseconds: 0,
                },
                part => Self {
                    seconds: -whole(before.duration()) - 1,
                    nanoseconds: 1_000_000_000 - part,
                },
            },
        }
    }
}

/// Reads from a byte string; every method gives `None` when too little is left.
#[derive(Debug)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(count)?;
        self.0 = tail;
        Some(head)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk()?;
        self.0 = tail;
        Some(*head)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }

    pub(super) fn time(&mut self) -> Option<FileTime> {
        Some(FileTime {
            seconds: self.i64()?,
            nanoseconds: self.u32()?,
        })
    }

    /// A byte string of at most 255 octets after its length.
    pub(super) fn short(&mut self) -> Option<&'a [u8]> {
        let length = self.u8()?;
        self.bytes(usize::from(length))
    }

    /// A byte string of at most 65,535 octets after its length.
    pub(super) fn long(&mut self) -> Option<&'a [u8]> {
        let length = self.u16()?;
        self.bytes(usize::from(length))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Writes to the end of a byte string.
#[derive(Debug, Default)]
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.bytes(&value.to_le_bytes());
    }

    pub(super) fn u64(&mut self, value: u64) {
        self.bytes(&value.to_le_bytes());
    }

    pub(super) fn i64(&mut self, value: i64) {
        self.bytes(&value.to_le_bytes());
    }

    /// A byte string after its length; cut at 65,535 octets.
    pub(super) fn long(&mut self, bytes: &[u8]) {
        let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        self.bytes(&length.to_le_bytes());
        self.bytes(bytes.get(..usize::from(length)).unwrap_or_default());
    }

    pub(super) fn time(&mut self, time: FileTime) {
        self.i64(time.seconds);
        self.u32(time.nanoseconds);
    }

    /// A byte string after its length; cut at 255 octets, which no file name and no keyword has.
    pub(super) fn short(&mut self, bytes: &[u8]) {
        let length = u8::try_from(bytes.len()).unwrap_or(u8::MAX);
        self.u8(length);
        self.bytes(bytes.get(..usize::from(length)).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_1970_count_down() {
        let half = Duration::from_millis(500);
        let time = FileTime::from(UNIX_EPOCH - half);
        assert_eq!((time.seconds, time.nanoseconds), (-1, 500_000_000));
        assert_eq!(FileTime::from(UNIX_EPOCH + half).since(time), half * 2);
        assert_eq!(FileTime::from(UNIX_EPOCH - half * 4).seconds, -2);
        assert_eq!(time.since(FileTime::from(UNIX_EPOCH)), Duration::ZERO);
    }
}
