//! Flags and keywords, in names and in the index.

use super::*;

#[test]
fn flags_go_to_the_name_and_foreign_letters_stay() {
    let maildir = Maildir::new();
    maildir.write("cur/1.host:2,PS,U=7", "a");
    let mailbox = maildir.open();
    let add = change(FlagOp::Add, &[SystemFlag::Flagged], &["$Later"]);
    let snapshot = mailbox.store_flags(&[uid(1), uid(9)], &add).unwrap();
    assert_eq!(maildir.names("cur"), ["1.host:2,FPSa,U=7"]);
    assert_eq!(
        fs::read_to_string(maildir.root.join("dovecot-keywords")).unwrap(),
        "0 $Later\n"
    );
    let message = snapshot.get(0).unwrap();
    assert!(message.flags().has_keyword(0));
    assert!(message.mod_seq() > ModSeq::MIN);
    let replace = change(FlagOp::Replace, &[SystemFlag::Draft], &[]);
    mailbox.store_flags(&[uid(1)], &replace).unwrap();
    assert_eq!(maildir.names("cur"), ["1.host:2,DP,U=7"]);
    let later = mailbox.snapshot();
    let again = mailbox.store_flags(&[uid(1)], &replace).unwrap();
    assert_eq!(again.highest_mod_seq(), later.highest_mod_seq());
}

#[test]
fn keywords_past_the_letters_live_in_the_index() {
    let maildir = Maildir::new();
    let mailbox = maildir.open();
    append(&mailbox, "a", &[]);
    let names: Vec<String> = (0..Keywords::MAX)
        .map(|number| format!("k{number}"))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    mailbox
        .store_flags(&[uid(1)], &change(FlagOp::Add, &[], &names))
        .unwrap();
    assert!(maildir.names("cur")[0].ends_with(":2,abcdefghijklmnopqrstuvwxyz"));
    let extra = change(FlagOp::Add, &[SystemFlag::Seen], &["k1", "more"]);
    assert!(matches!(
        mailbox.store_flags(&[uid(1)], &extra),
        Err(Error::Limit(_))
    ));
    drop(mailbox);
    let mailbox = maildir.open();
    let snapshot = mailbox.snapshot();
    let flags = snapshot.get(0).unwrap().flags();
    assert!(flags.has_keyword(58) && !flags.has(SystemFlag::Seen));
    let position = snapshot.keywords().position(&Keyword::new("K40").unwrap());
    assert_eq!(position, Some(40));
}

#[test]
fn a_letter_without_a_name_gets_one() {
    let maildir = Maildir::new();
    maildir.write("cur/1.host:2,c", "a");
    maildir.write("dovecot-keywords", "0 First\n");
    let snapshot = maildir.open().snapshot();
    assert_eq!(snapshot.keywords().get(0).unwrap().as_str(), "First");
    assert_eq!(snapshot.keywords().get(2).unwrap().as_str(), "unknown-2");
    assert!(snapshot.get(0).unwrap().flags().has_keyword(2));
}

#[test]
fn flags_that_others_have_taken_away_are_set_again() {
    let maildir = Maildir::new();
    maildir.write("cur/1.host:2,S", "a");
    maildir.write("cur/2.host:2,S", "b");
    let mailbox = maildir.open();
    maildir.rename("cur/1.host:2,S", "cur/1.host:2,");
    fs::remove_file(maildir.root.join("cur/2.host:2,S")).unwrap();
    let add = change(FlagOp::Add, &[SystemFlag::Seen], &[]);
    let snapshot = mailbox.store_flags(&[uid(1), uid(2)], &add).unwrap();
    assert_eq!(maildir.names("cur"), ["1.host:2,S"]);
    assert_eq!(uids(&snapshot), [1]);
}

#[test]
fn a_refused_change_of_flags_gives_the_names_back() {
    let maildir = Maildir::new();
    maildir.write("cur/1.host:2,", "a");
    let mailbox = maildir.open();
    let changed = mailbox.transact(|transaction| {
        let (from, to) = ("cur/1.host:2,", "cur/1.host:2,S");
        maildir.rename(from, to);
        let (from, to) = (maildir.root.join(from), maildir.root.join(to));
        transaction.renamed.push((from, to));
        transaction.undo_renames();
        Err::<(), _>(Error::NoSpace)
    });
    assert!(matches!(changed, Err(Error::NoSpace)));
    assert_eq!(maildir.names("cur"), ["1.host:2,"]);
    assert_eq!(text(&mailbox, &mailbox.refresh().unwrap(), 1), "a");
}

#[test]
fn flags_in_flight_at_a_power_cut_are_touched_again() {
    let maildir = Maildir::new();
    let store = Store::new(options(Fsync::Optimized));
    let mailbox = maildir.open_in(&store);
    append(&mailbox, "a", &[]);
    mailbox
        .store_flags(&[uid(1)], &change(FlagOp::Add, &[SystemFlag::Seen], &[]))
        .unwrap();
    let seen = mailbox.snapshot().highest_mod_seq();
    // What another boot of the machine would find.
    let lost = mailbox.transact(|transaction| {
        let mod_seq = transaction.index.state.reserve.mod_seq;
        assert!(mod_seq > seen.get());
        let entry = crate::index::Entry::Reserve { mod_seq, boot: 1 };
        transaction.index.append(&[entry], Force::Now)
    });
    lost.unwrap();
    let after = maildir.open().snapshot();
    assert!(after.get(0).unwrap().mod_seq() > seen);
    assert_eq!(after.uid_validity(), mailbox.snapshot().uid_validity());
    let touched = after.highest_mod_seq();
    assert_eq!(maildir.open().snapshot().highest_mod_seq(), touched);
}

#[test]
fn an_orderly_end_touches_nothing() {
    let maildir = Maildir::new();
    let store = Store::new(options(Fsync::Optimized));
    let mailbox = maildir.open_in(&store);
    append(&mailbox, "a", &[]);
    let snapshot = mailbox.store_flags(&[uid(1)], &change(FlagOp::Add, &[SystemFlag::Seen], &[]));
    let highest = snapshot.unwrap().highest_mod_seq();
    drop((mailbox, store));
    let (index, _) = Index::load(&maildir.root).unwrap().unwrap();
    assert_eq!(index.state.reserve, crate::index::Reserve::default());
    assert_eq!(index.state.snapshot.highest_mod_seq(), highest);
}
