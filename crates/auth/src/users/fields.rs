//! What stands behind the seventh colon of a line: extra fields of Dovecot's, with blanks between.

use super::{Account, accounts};
use crate::Name;

/// The extra fields of each account that has any. Lines that are malformed, and fields that are not
/// UTF-8, are left out.
pub fn extra_fields(text: &[u8], default_domain: Option<&str>) -> Vec<(Name, Vec<String>)> {
    let of_line = |(_, line)| {
        let account = Account::parse(line, default_domain).ok()?;
        // Behind the hash come uid, gid, gecos, home and shell.
        let extra = account.rest.splitn(6, |&octet| octet == b':').nth(5)?;
        let fields = extra.split(u8::is_ascii_whitespace);
        let fields = fields.filter_map(|field| str::from_utf8(field).ok());
        let fields = fields.filter(|field| !field.is_empty()).map(str::to_owned);
        let fields: Vec<String> = fields.collect();
        (!fields.is_empty()).then_some((account.name, fields))
    };
    accounts(text).filter_map(of_line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extra_fields_may_have_colons() {
        let text = b"# nobody:{PLAIN}x::::::a=b\n\
            ann:{PLAIN}x:1:2:Ann:/home/ann:/bin/sh:userdb_quota_rule=*:storage=1G  nopassword\n\
            bob:{PLAIN}x\n\
            cy:{PLAIN}x::::::\n\
            dan::::::::a=b\n\
            eve:{PLAIN}x::::::\xff b=c\r\n";
        let found = extra_fields(text, Some("example.org"));
        let found: Vec<(&str, Vec<&str>)> = found
            .iter()
            .map(|(name, fields)| (name.as_str(), fields.iter().map(String::as_str).collect()))
            .collect();
        let ann = vec!["userdb_quota_rule=*:storage=1G", "nopassword"];
        let expected = [("ann@example.org", ann), ("eve@example.org", vec!["b=c"])];
        assert_eq!(found, expected);
    }
}
