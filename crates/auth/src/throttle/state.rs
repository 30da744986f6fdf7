//! What is kept of a [`Throttle`] over restarts.
//!
//! Format, all numbers little-endian: [`MAGIC`]; the key; when it was written; then addresses, pairs
//! and accounts with failures, and accounts with the addresses that they know, each a count of 4
//! octets and so many records; then the SHA-256 of all that. A record begins with an id of 8 octets.
//! Times are milliseconds since 1970 on the wall clock, because the monotonic one starts anew with
//! the machine.
//!
//! If the wall clock has gone back since, the time in between counts as none; if it has jumped
//! ahead, failures are forgotten early. In neither case does anything count for longer than it
//! should.

use std::time::{Duration, Instant, SystemTime};

use aws_lc_rs::digest::{SHA256, digest};

use super::id::{Id, KEY_SIZE, Key};
use super::{Address, Failures, INTERVAL, Throttle};

impl Throttle {
    /// What is to be kept, if anything has changed since this was last asked.
    pub(crate) fn save(&mut self, now: Instant, wall: SystemTime) -> Option<Vec<u8>> {
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        let mut writer = Writer {
            out: MAGIC.to_vec(),
            now,
            wall: millis(wall),
        };
        writer.out.extend_from_slice(self.key.octets());
        writer.number(writer.wall);
        writer.count(self.addresses.iter().len());
        for (id, address) in self.addresses.iter() {
            writer.failures(id, &address.failures);
            writer.time(address.next);
        }
        for table in [&self.pairs, &self.accounts] {
            writer.count(table.iter().len());
            for (id, failures) in table.iter() {
                writer.failures(id, failures);
            }
        }
        writer.count(self.known.iter().len());
        for (id, known) in self.known.iter() {
            writer.number(id.0);
            writer.count(known.all.len());
            for (address, at) in &known.all {
                writer.number(address.0);
                writer.time(*at);
            }
        }
        let hash = digest(&SHA256, &writer.out);
        writer.out.extend_from_slice(hash.as_ref());
        Some(writer.out)
    }

    /// Goes on with what was kept. If it is damaged, nothing changes.
    pub(crate) fn restore(
        &mut self,
        kept: &[u8],
        now: Instant,
        wall: SystemTime,
    ) -> Result<(), Damaged> {
        let (body, hash) = kept.split_last_chunk::<32>().ok_or(Damaged)?;
        if digest(&SHA256, body).as_ref() != hash {
            return Err(Damaged);
        }
        let rest = body.strip_prefix(MAGIC).ok_or(Damaged)?;
        let (key, rest) = rest.split_first_chunk::<KEY_SIZE>().ok_or(Damaged)?;
        let mut reader = Reader { rest, now, wall: 0 };
        // A clock that has gone back since then stands still instead.
        reader.wall = reader.number()?.max(millis(wall));
        let mut new = Self::new(self.delays, &|| 0);
        new.key = Key::from_octets(*key);
        new.read(&mut reader)?;
        *self = new;
        Ok(())
    }

    fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), Damaged> {
        let longest = self.delays.max + INTERVAL;
        for _ in 0..reader.count()? {
            let (id, failures) = reader.failures()?;
            let next = reader.now + reader.ahead()?.min(longest);
            self.addresses.insert(id, Address { failures, next });
        }
        for table in [&mut self.pairs, &mut self.accounts] {
            for _ in 0..reader.count()? {
                let (id, failures) = reader.failures()?;
                table.insert(id, failures);
            }
        }
        for _ in 0..reader.count()? {
            let account = Id(reader.number()?);
            for _ in 0..reader.count()? {
                let address = Id(reader.number()?);
                self.known.insert(account, address, reader.time()?);
            }
        }
        if reader.rest.is_empty() {
            Ok(())
        } else {
            Err(Damaged)
        }
    }
}

/// What was kept is not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damaged;

struct Writer {
    out: Vec<u8>,
    now: Instant,
    wall: u64,
}

impl Writer {
    fn number(&mut self, number: u64) {
        self.out.extend_from_slice(&number.to_le_bytes());
    }

    fn count(&mut self, count: usize) {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.out.extend_from_slice(&count.to_le_bytes());
    }

    fn time(&mut self, time: Instant) {
        let wall = Duration::from_millis(self.wall);
        let wall = if time > self.now {
            wall.saturating_add(time.duration_since(self.now))
        } else {
            wall.saturating_sub(self.now.duration_since(time))
        };
        self.number(u64::try_from(wall.as_millis()).unwrap_or(u64::MAX));
    }

    fn failures(&mut self, id: Id, failures: &Failures) {
        self.number(id.0);
        self.out.extend_from_slice(&failures.count.to_le_bytes());
        self.time(failures.last);
    }
}

struct Reader<'k> {
    rest: &'k [u8],
    now: Instant,
    wall: u64,
}

impl Reader<'_> {
    fn octets<const N: usize>(&mut self) -> Result<[u8; N], Damaged> {
        let (octets, rest) = self.rest.split_first_chunk::<N>().ok_or(Damaged)?;
        self.rest = rest;
        Ok(*octets)
    }

    fn number(&mut self) -> Result<u64, Damaged> {
        self.octets().map(u64::from_le_bytes)
    }

    fn count(&mut self) -> Result<u32, Damaged> {
        self.octets().map(u32::from_le_bytes)
    }

    /// A time that has passed.
    fn time(&mut self) -> Result<Instant, Damaged> {
        let age = Duration::from_millis(self.wall.saturating_sub(self.number()?));
        // A machine that has not run for so long may have no such instant.
        Ok(self.now.checked_sub(age).unwrap_or(self.now))
    }

    /// How far ahead a time is.
    fn ahead(&mut self) -> Result<Duration, Damaged> {
        Ok(Duration::from_millis(
            self.number()?.saturating_sub(self.wall),
        ))
    }

    fn failures(&mut self) -> Result<(Id, Failures), Damaged> {
        let id = Id(self.number()?);
        let (count, last) = (self.count()?, self.time()?);
        Ok((id, Failures { count, last }))
    }
}

/// Milliseconds since 1970.
fn millis(wall: SystemTime) -> u64 {
    let since = wall.duration_since(SystemTime::UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

/// What such a file begins with.
const MAGIC: &[u8] = b"pillarbox throttle 1\n";
