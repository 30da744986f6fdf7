//! The arguments of GETQUOTA, GETQUOTAROOT and SETQUOTA (RFC 9208 §7).

use nom::Parser;
use nom::combinator::{map, verify};
use nom::error::context;
use nom::sequence::{preceded, separated_pair};

use crate::command::{Authenticated, ResourceLimit};

use super::Parsed;
use super::core::{astring, atom, list1, number64, sp};
use super::mailbox::mailbox;

/// `getquota = "GETQUOTA" SP quota-root-name` (RFC 9208 §7), behind the name, where
/// `quota-root-name = astring`
pub(super) fn getquota(input: &[u8]) -> Parsed<'_, Authenticated> {
    map(preceded(sp, astring), Authenticated::GetQuota).parse(input)
}

/// `getquotaroot = "GETQUOTAROOT" SP mailbox` (RFC 9208 §7), behind the name
pub(super) fn getquotaroot(input: &[u8]) -> Parsed<'_, Authenticated> {
    map(preceded(sp, mailbox), Authenticated::GetQuotaRoot).parse(input)
}

/// `setquota = "SETQUOTA" SP quota-root-name SP setquota-list` (RFC 9208 §7), behind the name
pub(super) fn setquota(input: &[u8]) -> Parsed<'_, Authenticated> {
    let arguments = separated_pair(astring, sp, setquota_list);
    let command = |(root, limits)| Authenticated::SetQuota { root, limits };
    map(preceded(sp, arguments), command).parse(input)
}

/// `setquota-list = "(" [setquota-resource *(SP setquota-resource)] ")"` (RFC 9208 §7)
fn setquota_list(input: &[u8]) -> Parsed<'_, Vec<ResourceLimit>> {
    match input.strip_prefix(b"()") {
        Some(rest) => Ok((rest, Vec::new())),
        None => list1(setquota_resource)(input),
    }
}

/// `setquota-resource = resource-name SP resource-limit` (RFC 9208 §7), where
/// `resource-limit = number64` has 63 bits (RFC 9051 §9)
fn setquota_resource(input: &[u8]) -> Parsed<'_, ResourceLimit> {
    let limit = context(
        "a number below 2^63",
        verify(number64, |limit| *limit < 1 << 63),
    );
    map(separated_pair(atom, sp, limit), |(resource, limit)| {
        ResourceLimit {
            resource: resource.to_ascii_uppercase().into_bytes(),
            limit,
        }
    })
    .parse(input)
}
