//! Accounts and addresses as numbers that tell neither.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use aws_lc_rs::hmac;
use zeroize::Zeroizing;

/// What stands for an account, an address, or a pair of both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Id(pub(super) u64);

/// What an attempt is counted under.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ids {
    pub(super) account: Id,
    pub(super) address: Id,
    pub(super) pair: Id,
}

/// Makes [`Id`]s. Whoever does not know it can neither turn them back nor make two that are equal.
#[derive(Clone)]
pub(super) struct Key(Zeroizing<[u8; KEY_SIZE]>);

/// Octets of a key.
pub(super) const KEY_SIZE: usize = 32;

impl Key {
    /// A new key.
    pub(super) fn new(random: &dyn Fn() -> u64) -> Self {
        let mut key = Zeroizing::new([0; KEY_SIZE]);
        for part in key.chunks_exact_mut(8) {
            part.copy_from_slice(&random().to_le_bytes());
        }
        Self(key)
    }

    /// A key that was kept.
    pub(super) fn from_octets(octets: [u8; KEY_SIZE]) -> Self {
        Self(Zeroizing::new(octets))
    }

    /// The key as it is kept.
    pub(super) fn octets(&self) -> &[u8; KEY_SIZE] {
        &self.0
    }

    /// The account of this name.
    pub(super) fn account(&self, name: &str) -> Id {
        self.id(b'n', name.as_bytes())
    }

    /// What one attacker shares: an IPv4 address, or the /64 of an IPv6 one.
    pub(super) fn address(&self, address: IpAddr) -> Id {
        match address.to_canonical() {
            IpAddr::V4(address) => self.id(b'4', &address.octets()),
            IpAddr::V6(address) => {
                let network = Ipv6Addr::from_bits(address.to_bits() >> 64 << 64);
                self.id(b'6', &network.octets())
            }
        }
    }

    /// Everything that an attempt is counted under.
    pub(super) fn ids(&self, account: &str, address: IpAddr) -> Ids {
        let (account, address) = (self.account(account), self.address(address));
        let mut both = [0; 16];
        let (first, second) = both.split_at_mut(8);
        first.copy_from_slice(&account.0.to_le_bytes());
        second.copy_from_slice(&address.0.to_le_bytes());
        Ids {
            account,
            address,
            pair: self.id(b'p', &both),
        }
    }

    fn id(&self, kind: u8, octets: &[u8]) -> Id {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.as_slice());
        let mut code = hmac::Context::with_key(&key);
        code.update(&[kind]);
        code.update(octets);
        let mut id = [0; 8];
        let code = code.sign();
        id.iter_mut()
            .zip(code.as_ref())
            .for_each(|(to, from)| *to = *from);
        Id(u64::from_le_bytes(id))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}
