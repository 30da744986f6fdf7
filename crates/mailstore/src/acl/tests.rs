//! What lists mean, how they are kept, and what damage does.

use std::fs;

use proptest::prelude::*;

use super::*;

fn acl(text: &str) -> Acl {
    file::parse(text.as_bytes()).expect(text)
}

fn rights(text: &str, who: Who<'_>) -> String {
    acl(text).rights_of(who).to_string()
}

const ANN: Who<'_> = Who::Owner("ann");
const BOB: Who<'_> = Who::Other("bob");
const CAT: Who<'_> = Who::Other("cat");

/// The rights of the owner, of bob and of cat.
#[test]
fn lists_mean_what_they_mean_to_dovecot() {
    let all = "lrwsipkxtea";
    for (text, ann, bob, cat) in [
        ("", all, "", ""),
        ("# nothing\n\n", all, "", ""),
        ("anyone lr\n", all, "lr", "lr"),
        ("anonymous lr\n", all, "lr", "lr"),
        ("authenticated lr\n", all, "lr", "lr"),
        ("user=bob lrs\n", all, "lrs", ""),
        // The most special one holds, and not the sum.
        ("anyone lrw\nuser=bob l\n", all, "l", "lrw"),
        ("user=bob l\nanyone lrw\n", all, "l", "lrw"),
        ("anyone lr\nuser=bob \n", all, "", "lr"),
        ("anyone lr\nuser=bob\n", all, "", "lr"),
        // What is taken away.
        ("anyone lrw\n-user=bob w\n", all, "lr", "lrw"),
        ("-anyone w\nuser=bob lrw\n", all, "lr", ""),
        ("-anyone w\nuser=bob lrws\n-user=bob s\n", all, "lrw", ""),
        // The owner.
        ("owner lrs\n", "lrsa", "", ""),
        ("owner \n", "la", "", ""),
        ("-owner lrwsipkxtea\n", "la", "", ""),
        ("owner lrs\nuser=ann lrw\n", "lrwa", "", ""),
        ("anyone l\n-anyone r\n", all, "l", "l"),
        // Groups, of which nobody is known to be a member.
        ("group=staff lr\n", all, "", ""),
        ("anyone lrws\ngroup=guests lr\n", all, "lr", "lr"),
        ("anyone lrws\n-group=guests w\n", all, "lrs", "lrs"),
        ("user=bob lrws\ngroup-override=gone \n", all, "", ""),
        ("user=bob lrws\ngroup=staff lr\n", all, "lrws", ""),
        // Names, spaces and quotes.
        ("user=bob :lookup read,write-seen\n", all, "lrs", ""),
        ("user=bob \t lr \t :write\n", all, "lrw", ""),
        ("user=bob lr:write\n", all, "lrw", ""),
        ("user=bob lr :own-right\n", all, "lr", ""),
        ("\"user=bob\" lr\n", all, "lr", ""),
        ("\"user=b\\ob\" lr", all, "lr", ""),
        ("user=BOB lr\n", all, "lr", ""),
    ] {
        assert_eq!(rights(text, ANN), ann, "{text:?}");
        assert_eq!(rights(text, BOB), bob, "{text:?}");
        assert_eq!(rights(text, CAT), cat, "{text:?}");
    }
}

#[test]
fn damage_closes_the_mailbox_for_all_but_the_owner() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE);
    for (line, bytes) in [
        (1, &b"bob lr\n"[..]),
        (1, b"user= lr\n"),
        (2, b"anyone lr\nuser=bob lrq\n"),
        (2, b"anyone lr\nuser=bob lR\n"),
        (1, b"user=bob lr w\n"),
        (1, b"\"user=bob lr\n"),
        (1, b"\"user=bob\"lr\n"),
        (1, b"\"user=bob\\"),
        (1, b"user=b\xfc lr\n"),
        (1, b"anyone lr\r\n"),
        (3, b"anyone lr\n#\nanyone l\n"),
        (1, b" \n"),
        (1, b"\0\0\0\0"),
    ] {
        let damage = file::parse(bytes).map_err(|damage| damage.line);
        assert_eq!(damage, Err(line), "{}", bytes.escape_ascii());
        fs::write(&path, bytes).unwrap();
        let found = Acl::load(directory.path());
        assert!(matches!(found, Err(Error::Corrupt { .. })));
        assert_eq!(Acl::rights_in(directory.path(), ANN), Rights::ALL);
        assert_eq!(Acl::rights_in(directory.path(), BOB), Rights::NONE);
    }
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
    assert_eq!(Acl::rights_in(directory.path(), BOB), Rights::NONE);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert_eq!(Acl::rights_in(directory.path(), BOB), Rights::NONE);
    assert_eq!(Acl::rights_in(directory.path(), ANN), Rights::ALL);
}

#[test]
fn changes_are_those_of_setacl_and_deleteacl() {
    let bob = || (Identifier::User("bob".to_owned()), Sign::Positive);
    let minus = || (Identifier::User("bob".to_owned()), Sign::Negative);
    let own = || (Identifier::Owner, Sign::Positive);
    let letters = |text: &str| {
        let each = text.chars().map(|it| Rights::from_letter(it).unwrap());
        each.fold(Rights::NONE, Rights::union)
    };
    let mut list = acl("user=bob lr :odd\n");
    let mut change = |to, combine, rights, expected: &str| {
        list.change("ann", to, combine, letters(rights));
        assert_eq!(file::format(&list), expected);
    };
    change(bob(), Combine::Add, "ws", "user=bob lrws :odd\n");
    change(bob(), Combine::Remove, "rs", "user=bob lw :odd\n");
    change(bob(), Combine::Replace, "l", "user=bob l :odd\n");
    change(minus(), Combine::Remove, "l", "user=bob l :odd\n");
    change(minus(), Combine::Add, "l", "user=bob l :odd\n-user=bob l\n");
    change(minus(), Combine::Replace, "", "user=bob l :odd\n");
    // The owner has everything where nothing is said, and never less than what is kept.
    change(
        own(),
        Combine::Remove,
        "wa",
        "owner lrsipkxtea\nuser=bob l :odd\n",
    );
    change(own(), Combine::Replace, "", "owner la\nuser=bob l :odd\n");
    list.remove("ann", bob());
    list.remove("ann", own());
    assert_eq!(file::format(&list), "owner la\n");
    list.remove("ann", minus());
    // An entry for the owner's name is one for the owner.
    let mut list = acl("owner lr\nuser=Ann lrs\nuser=bob lr\n");
    let owner = (Identifier::Owner, Sign::Positive, letters("lrsa"));
    assert_eq!(list.entries("ann")[0], owner);
    list.change("ann", own(), Combine::Add, letters("w"));
    assert_eq!(file::format(&list), "owner lrwsa\nuser=bob lr\n");
}

#[test]
fn names_with_spaces_and_quotes_are_read_again() {
    for name in [
        "a b", "a\"b", "\\", "a\\ \"b", "-", "#", "=", "\u{fc}", "a:b", "'",
    ] {
        let mut list = Acl::default();
        let user = Identifier::User(name.to_owned());
        for sign in [Sign::Positive, Sign::Negative] {
            list.change("ann", (user.clone(), sign), Combine::Add, Rights::READ);
        }
        let text = file::format(&list);
        assert_eq!(file::parse(text.as_bytes()), Ok(list), "{text}");
    }
}

#[test]
fn grantees_are_those_with_rights() {
    let list = acl("owner lr\nanyone \nuser=bob l\n-user=cat l\ngroup=x r\n");
    let names: Vec<String> = list.grantees().map(ToString::to_string).collect();
    assert_eq!(names, ["group=x", "user=bob"]);
}

proptest! {
    #[test]
    fn nothing_in_a_file_does_harm(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(list) = file::parse(&bytes) {
            let text = file::format(&list);
            prop_assert_eq!(file::parse(text.as_bytes()), Ok(list));
        }
    }

    #[test]
    fn no_list_gives_others_more_than_it_names(
        lines in prop::collection::vec(
            "-?(anyone|owner|authenticated|user=(ann|bob)|group=g|group-override=g) [lrws]{0,4}",
            0..6,
        )
    ) {
        let text = lines.join("\n");
        if let Ok(list) = file::parse(text.as_bytes()) {
            let named = lines.iter().any(|line| line.starts_with('a') || line.starts_with("user=bob"));
            prop_assert!(named || list.rights_of(BOB).is_empty());
            prop_assert!(list.rights_of(ANN).has(Acl::KEPT));
        }
    }
}
