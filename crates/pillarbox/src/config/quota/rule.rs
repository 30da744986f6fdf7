//! Dovecot's `quota_rule`, as it stands in the extra fields of a users file.

use mailstore::quota::Limits;

/// The limits in the extra fields of an account: those of `quota_rule` or `userdb_quota_rule` for all
/// mailboxes (`*`). What it does not name is as in `otherwise`. `None` without such a rule, and with
/// one that is not understood.
pub(in crate::config) fn limits(fields: &[String], otherwise: Limits) -> Option<Limits> {
    let rule = written(fields)?;
    let limits = parse(&rule, otherwise);
    if limits.is_none() {
        tracing::warn!(rule, "quota_rule in the users file is not understood");
    }
    limits
}

/// The rule for all mailboxes, if there is one that is not understood.
pub(crate) fn not_understood(fields: &[String]) -> Option<String> {
    written(fields).filter(|rule| parse(rule, Limits::NONE).is_none())
}

/// The rule for all mailboxes, without what says so.
fn written(fields: &[String]) -> Option<String> {
    let rule = |field: &'_ String| {
        let (key, rule) = field.split_once('=')?;
        let key = key.strip_prefix("userdb_").unwrap_or(key);
        (key == "quota_rule").then(|| rule.strip_prefix("*:").map(str::to_owned))?
    };
    fields.iter().find_map(rule)
}

/// `storage=1G:messages=1000`, or `ignore`.
fn parse(rule: &str, mut limits: Limits) -> Option<Limits> {
    for part in rule.split(':') {
        match part.split_once('=') {
            Some(("storage", number)) => limits.storage = limit(octets(number, 10)?),
            Some(("bytes", number)) => limits.storage = limit(octets(number, 0)?),
            Some(("messages", number)) => limits.messages = limit(number.parse().ok()?),
            None if part == "ignore" => limits = Limits::NONE,
            _ => return None,
        }
    }
    Some(limits)
}

/// A number with a unit, or with the one of `shift`.
fn octets(text: &str, shift: u32) -> Option<u64> {
    let units = [('b', 0), ('k', 10), ('m', 20), ('g', 30), ('t', 40)];
    let lower = text.to_ascii_lowercase();
    let unit = units.iter().find_map(|(unit, shift)| {
        let number = lower.strip_suffix(*unit)?;
        Some((number, *shift))
    });
    let (number, shift) = unit.unwrap_or((&lower, shift));
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// 0 is no limit.
fn limit(number: u64) -> Option<u64> {
    (number > 0).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_for_all_mailboxes_are_read() {
        let otherwise = Limits {
            storage: Some(5),
            messages: Some(6),
        };
        let of = |storage, messages| Some(Limits { storage, messages });
        let rows = [
            (
                "userdb_quota_rule=*:storage=1G:messages=1000",
                of(Some(1 << 30), Some(1000)),
            ),
            ("quota_rule=*:storage=100", of(Some(100 << 10), Some(6))),
            ("quota_rule=*:bytes=100", of(Some(100), Some(6))),
            ("quota_rule=*:bytes=2T", of(Some(2 << 40), Some(6))),
            ("quota_rule=*:storage=7B", of(Some(7), Some(6))),
            ("quota_rule=*:messages=0", of(Some(5), None)),
            ("quota_rule=*:ignore", of(None, None)),
            ("quota_rule=Trash:storage=+10%", None),
            ("quota_rule=*:storage=+10%", None),
            ("quota_rule=*:storage=99999999999T", None),
            ("quota_rule2=*:storage=1", None),
            ("quota_rule=", None),
            ("nopassword", None),
        ];
        for (field, expected) in rows {
            assert_eq!(limits(&[field.to_owned()], otherwise), expected, "{field}");
        }
    }
}
