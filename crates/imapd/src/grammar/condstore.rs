//! What CONDSTORE and QRESYNC add to commands (RFC 7162 §7), in the lists of parameters and
//! modifiers of RFC 4466 §2.

use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::tag_no_case;
use nom::character::complete::{char, digit1};
use nom::combinator::{map, map_opt, value, verify};
use nom::error::context;
use nom::sequence::{delimited, preceded, terminated};

use mailstore::{ModSeq, UidValidity};

use crate::command::{
    ChangedSince, Condstore, Gone, Known, SearchKey, SelectParameters, UnchangedSince,
};
use crate::types::{ByUid, Ranges, SequenceSet};

use super::core::{is_atom_char, list1, nz_number, quoted, sequence_set, sp, word};
use super::{Failed, Parsed};

/// `[select-params]`, where `select-params = SP "(" select-param *(SP select-param) ")"`
/// (RFC 4466 §3), each of them once
pub(super) fn select_params(input: &[u8]) -> Parsed<'_, SelectParameters> {
    let mut parameters = SelectParameters::default();
    if !input.starts_with(b" (") {
        return Ok((input, parameters));
    }
    let parameter = |input| {
        let (rest, name) = context("CONDSTORE or QRESYNC", word).parse(input)?;
        match name.as_slice() {
            b"CONDSTORE" if parameters.condstore.is_none() => {
                parameters.condstore = Some(Condstore);
                Ok((rest, ()))
            }
            b"QRESYNC" if parameters.qresync.is_none() => {
                let (rest, known) = preceded(sp, qresync_param).parse(rest)?;
                parameters.qresync = Some(Box::new(known));
                Ok((rest, ()))
            }
            _ => Err(Failed::error(input, "CONDSTORE or QRESYNC, each once")),
        }
    };
    let (input, _) = preceded(sp, list1(parameter)).parse(input)?;
    Ok((input, parameters))
}

/// `"(" uidvalidity SP mod-sequence-value [SP known-uids] [SP seq-match-data] ")"` (RFC 7162 §7)
fn qresync_param(input: &[u8]) -> Parsed<'_, Known> {
    let (input, _) = context("an opening parenthesis", char('(')).parse(input)?;
    let (input, uid_validity) = uidvalidity(input)?;
    let (mut input, mod_seq) = preceded(sp, mod_sequence_value).parse(input)?;
    let mut uids = None;
    if input.starts_with(b" ") && !input.starts_with(b" (") {
        let (rest, known) = preceded(sp, known_uids).parse(input)?;
        (input, uids) = (rest, Some(known));
    }
    let mut matches = None;
    if input.starts_with(b" ") {
        let (rest, data) = preceded(sp, seq_match_data).parse(input)?;
        (input, matches) = (rest, Some(data));
    }
    let (input, _) = context("a closing parenthesis", char(')')).parse(input)?;
    let known = Known {
        uid_validity,
        mod_seq,
        uids,
        matches,
    };
    Ok((input, known))
}

/// `uidvalidity = nz-number` (RFC 7162 §7)
fn uidvalidity(input: &[u8]) -> Parsed<'_, UidValidity> {
    map_opt(nz_number, |number| UidValidity::new(number.get())).parse(input)
}

/// `known-uids = sequence-set` (RFC 7162 §7): without `*`
fn known_uids(input: &[u8]) -> Parsed<'_, SequenceSet> {
    let known = verify(sequence_set, |set: &SequenceSet| !set.names_largest());
    context("UIDs without *", known).parse(input)
}

/// `seq-match-data = "(" known-sequence-set SP known-uid-set ")"` (RFC 7162 §7): without `*`, both
/// in ascending order, and one for each of the other
fn seq_match_data(input: &[u8]) -> Parsed<'_, (Ranges, Ranges)> {
    let sets = (terminated(ascending, sp), ascending);
    let sets = verify(sets, |(numbers, uids): &(Ranges, Ranges)| {
        numbers.count() == uids.count()
    });
    context(
        "as many sequence numbers as UIDs, in parentheses",
        delimited(char('('), sets, char(')')),
    )
    .parse(input)
}

/// A `sequence-set` in ascending order, without `*`
fn ascending(input: &[u8]) -> Parsed<'_, Ranges> {
    context(
        "ascending numbers without *",
        map_opt(known_uids, |set| set.ascending()),
    )
    .parse(input)
}

/// `[fetch-modifiers]`, where `fetch-modifiers = SP "(" fetch-modifier *(SP fetch-modifier) ")"`
/// (RFC 4466 §3): CHANGEDSINCE (RFC 7162 §3.1.4.1), and VANISHED only with it and in UID FETCH
/// (RFC 7162 §3.2.6)
pub(super) fn fetch_modifiers(by_uid: ByUid, input: &[u8]) -> Parsed<'_, Option<ChangedSince>> {
    if !input.starts_with(b" (") {
        return Ok((input, None));
    }
    let (mut since, mut gone) = (None, Gone::Untold);
    let modifier = |input| {
        let (rest, name) = context("CHANGEDSINCE or VANISHED", word).parse(input)?;
        match name.as_slice() {
            b"CHANGEDSINCE" if since.is_none() => {
                let (rest, mod_seq) = preceded(sp, chgsince_lenient).parse(rest)?;
                since = Some(mod_seq);
                Ok((rest, ()))
            }
            b"VANISHED" if gone == Gone::Untold && by_uid == ByUid::Yes => {
                gone = Gone::Told;
                Ok((rest, ()))
            }
            _ => Err(Failed::error(
                input,
                "CHANGEDSINCE, or VANISHED in UID FETCH",
            )),
        }
    };
    let (rest, _) = preceded(sp, list1(modifier)).parse(input)?;
    match since {
        Some(mod_seq) => Ok((rest, Some(ChangedSince { mod_seq, gone }))),
        None => Err(Failed::error(input, "CHANGEDSINCE with VANISHED")),
    }
}

/// `mod-sequence-value`, or 0.
///
/// Interop: iOS Mail sends `CHANGEDSINCE 0` for a mailbox that it has not seen before.
fn chgsince_lenient(input: &[u8]) -> Parsed<'_, Option<ModSeq>> {
    mod_sequence_valzer(input)
}

/// `[store-modifiers SP]`, where `store-modifiers = "(" store-modifier *(SP store-modifier) ")"`
/// (RFC 4466 §3) and `store-modifier =/ "UNCHANGEDSINCE" SP mod-sequence-valzer`: only one
/// (RFC 7162 §7)
pub(super) fn store_modifiers(input: &[u8]) -> Parsed<'_, Option<UnchangedSince>> {
    if !input.starts_with(b"(") {
        return Ok((input, None));
    }
    let name = context("UNCHANGEDSINCE", tag_no_case("UNCHANGEDSINCE "));
    let modifier = map(preceded(name, mod_sequence_valzer), UnchangedSince);
    let closing = context("a closing parenthesis", char(')'));
    map(
        terminated(delimited(char('('), modifier, closing), sp),
        Some,
    )
    .parse(input)
}

/// `[search-modseq-ext] SP mod-sequence-valzer` (RFC 7162 §7, `search-modsequence`), behind MODSEQ.
/// One mod-sequence stands for all flags of a message, so `search-modseq-ext` is ignored
/// (RFC 7162 §3.1.5).
pub(super) fn search_modsequence(input: &[u8]) -> Parsed<'_, SearchKey> {
    let (mut input, _) = sp(input)?;
    if input.starts_with(b"\"") {
        (input, _) = (entry_name, sp, entry_type_req, sp).parse(input)?;
    }
    map(mod_sequence_valzer, SearchKey::ModSeq).parse(input)
}

/// `entry-flag-name = DQUOTE "/flags/" attr-flag DQUOTE` (RFC 7162 §7)
fn entry_name(input: &[u8]) -> Parsed<'_, ()> {
    let is_flag = |name: &[u8]| {
        let (head, flag) = name.split_at_checked("/flags/".len())?;
        let atom = flag.strip_prefix(b"\\").unwrap_or(flag);
        let is_atom = !atom.is_empty() && atom.iter().all(|&octet| is_atom_char(octet));
        (head.eq_ignore_ascii_case(b"/flags/") && is_atom).then_some(())
    };
    let name = map_opt(quoted, |name: Vec<u8>| is_flag(&name));
    context("the name of a flag such as \"/flags/$MDNSent\"", name).parse(input)
}

/// `entry-type-req = entry-type-resp / "all"`, `entry-type-resp = "priv" / "shared"` (RFC 7162 §7)
fn entry_type_req(input: &[u8]) -> Parsed<'_, ()> {
    let types = ["priv", "shared", "all"].map(tag_no_case::<_, &[u8], Failed<'_>>);
    let [private, shared, all] = types;
    context(
        "priv, shared or all",
        value((), alt((private, shared, all))),
    )
    .parse(input)
}

/// `mod-sequence-valzer = "0" / mod-sequence-value` (RFC 7162 §7); `None` is 0
fn mod_sequence_valzer(input: &[u8]) -> Parsed<'_, Option<ModSeq>> {
    let zero = verify(digit1, |digits: &[u8]| {
        digits.iter().all(|digit| *digit == b'0')
    });
    alt((value(None, zero), map(mod_sequence_value, Some))).parse(input)
}

/// `mod-sequence-value = 1*DIGIT` (RFC 7162 §7): `1 <= n <= 9,223,372,036,854,775,807`
fn mod_sequence_value(input: &[u8]) -> Parsed<'_, ModSeq> {
    let value = map_opt(digit1, |digits| {
        ModSeq::new(str::from_utf8(digits).ok()?.parse().ok()?)
    });
    context("a mod-sequence from 1 to 2^63-1", value).parse(input)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether `rule` takes all of `input`, and what it makes of it.
    fn whole<'a, T>(rule: impl FnOnce(&'a [u8]) -> Parsed<'a, T>, input: &'a str) -> Option<T> {
        let (rest, value) = rule(input.as_bytes()).ok()?;
        rest.is_empty().then_some(value)
    }

    #[test]
    fn mod_sequences_have_63_bits() {
        let table = [
            ("0", None, Some(None)),
            ("1", Some(1), Some(Some(1))),
            ("007", Some(7), Some(Some(7))),
            (
                "9223372036854775807",
                Some(i64::MAX as u64),
                Some(Some(i64::MAX as u64)),
            ),
            ("9223372036854775808", None, None),
            ("18446744073709551616", None, None),
            ("-1", None, None),
            ("", None, None),
        ];
        for (input, value, valzer) in table {
            assert_eq!(
                whole(mod_sequence_value, input).map(ModSeq::get),
                value,
                "{input}"
            );
            let found = whole(mod_sequence_valzer, input);
            assert_eq!(found.map(|it| it.map(ModSeq::get)), valzer, "{input}");
        }
    }

    #[test]
    fn parameters_of_select_are_parsed() {
        assert_eq!(whole(select_params, ""), Some(SelectParameters::default()));
        let condstore = whole(select_params, " (condstore)").unwrap();
        assert_eq!(condstore.condstore, Some(Condstore));
        let both = " (QRESYNC (67890007 20050715194045000 41,43:211 (2:3 5,7)) CONDSTORE)";
        let both = whole(select_params, both).unwrap();
        assert!(both.condstore.is_some());
        let known = both.qresync.unwrap();
        assert_eq!(
            (known.uid_validity.get(), known.mod_seq.get()),
            (67_890_007, 20_050_715_194_045_000)
        );
        assert_eq!(known.uids.unwrap().resolve(0).to_string(), "41,43:211");
        let (numbers, uids) = known.matches.unwrap();
        assert_eq!(
            (numbers.to_string(), uids.to_string()),
            ("2:3".to_owned(), "5,7".to_owned())
        );
        for accepted in [
            "(1 1)",
            "(1 1 1)",
            "(1 1 (1 1))",
            "(1 1 9:1 (1:2,5 3,9:10))",
        ] {
            assert!(whole(qresync_param, accepted).is_some(), "{accepted}");
        }
        let refused = [
            "()",
            "(1)",
            "(0 1)",
            "(1 0)",
            "(1 9223372036854775808)",
            "(1 1 1:*)",
            "(1 1 *)",
            "(1 1 1 (1:2 1))",
            "(1 1 1 (2,1 1,2))",
            "(1 1 1 (1,1 1,2))",
            "(1 1 1 (2:1 1:2))",
            "(1 1 1 (1 *))",
            "(1 1 1 1)",
            "(1 1 (1 1) 1)",
            "(1 1 1",
        ];
        for refused in refused {
            assert!(whole(qresync_param, refused).is_none(), "{refused}");
        }
        for refused in [
            " ()",
            " (IDLE)",
            " (CONDSTORE CONDSTORE)",
            " (CONDSTORE 1)",
            " (QRESYNC)",
        ] {
            assert!(whole(select_params, refused).is_none(), "{refused}");
        }
    }

    #[test]
    fn vanished_comes_with_changedsince_in_uid_fetch_only() {
        let parsed = |input, by_uid| whole(|input| fetch_modifiers(by_uid, input), input);
        let since = |mod_seq, gone| Some(Some(ChangedSince { mod_seq, gone }));
        let five = ModSeq::new(5);
        let table = [
            ("", ByUid::No, Some(None)),
            (" (CHANGEDSINCE 5)", ByUid::No, since(five, Gone::Untold)),
            (" (changedsince 0)", ByUid::No, since(None, Gone::Untold)),
            (
                " (CHANGEDSINCE 5 VANISHED)",
                ByUid::Yes,
                since(five, Gone::Told),
            ),
            (
                " (VANISHED CHANGEDSINCE 5)",
                ByUid::Yes,
                since(five, Gone::Told),
            ),
            (" (CHANGEDSINCE 5 VANISHED)", ByUid::No, None),
            (" (VANISHED)", ByUid::Yes, None),
            (" (CHANGEDSINCE)", ByUid::Yes, None),
            (" (CHANGEDSINCE 5 CHANGEDSINCE 6)", ByUid::Yes, None),
            (" (CHANGEDSINCE 5 VANISHED VANISHED)", ByUid::Yes, None),
            (" ()", ByUid::Yes, None),
        ];
        for (input, by_uid, expected) in table {
            assert_eq!(parsed(input, by_uid), expected, "{input:?}");
        }
    }

    #[test]
    fn one_condition_of_store_is_parsed() {
        let since = |value| Some(Some(UnchangedSince(ModSeq::new(value))));
        let table = [
            ("", Some(None)),
            ("(UNCHANGEDSINCE 12121230045) ", since(12_121_230_045)),
            ("(unchangedsince 0) ", since(0)),
            ("(UNCHANGEDSINCE 1)", None),
            ("(UNCHANGEDSINCE) ", None),
            ("(UNCHANGEDSINCE 1 UNCHANGEDSINCE 1) ", None),
            ("(CHANGEDSINCE 1) ", None),
        ];
        for (input, expected) in table {
            assert_eq!(whole(store_modifiers, input), expected, "{input:?}");
        }
    }

    #[test]
    fn names_of_metadata_are_read_over() {
        let accepted = [
            " 620162338",
            " \"/flags/\\\\draft\" all 620162338",
            " \"/flags/$MDNSent\" priv 620162338",
            " \"/FLAGS/$mdnsent\" SHARED 620162338",
        ];
        let expected = SearchKey::ModSeq(ModSeq::new(620_162_338));
        for input in accepted {
            assert_eq!(
                whole(search_modsequence, input),
                Some(expected.clone()),
                "{input}"
            );
        }
        assert_eq!(
            whole(search_modsequence, " 0"),
            Some(SearchKey::ModSeq(None))
        );
        let refused = [
            "",
            " ",
            " x",
            " \"/flags/\\\\draft\" 1",
            " \"/flags/\\\\draft\" some 1",
            " \"/flags/\" all 1",
            " \"/comment\" all 1",
            " /flags/x all 1",
            " \"/flags/a b\" all 1",
        ];
        for input in refused {
            assert_eq!(whole(search_modsequence, input), None, "{input}");
        }
    }
}
