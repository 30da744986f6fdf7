//! Sessions that watch mailboxes which they have not selected.

use super::*;
use crate::Observation;

/// A second mailbox that a session observes beside the first.
fn observed(world: &World) -> (Observation, Observation) {
    let account = world.store.account(&world.root()).unwrap();
    let name = Namespace::default().parse(b"other").unwrap();
    account.create(&name).unwrap();
    let other = account.open(&name).unwrap();
    let waker = || Waker::from(Arc::clone(&world.counter));
    let (first, snapshot) = world.mailbox.observe(waker()).unwrap();
    assert_eq!(snapshot.len(), 1);
    let (second, snapshot) = other.observe(waker()).unwrap();
    assert_eq!(snapshot.len(), 0);
    world.woken();
    (first, second)
}

fn news(observation: &mut Observation) -> Option<usize> {
    observation.news().unwrap().map(|snapshot| snapshot.len())
}

#[test]
fn an_observer_is_woken_and_knows_by_which_mailbox() {
    let world = World::new();
    let (mut first, mut second) = observed(&world);
    news(&mut first);
    news(&mut second);
    assert_eq!((news(&mut first), news(&mut second)), (None, None));
    fs::write(world.path(".other/new/2.second.host"), "x\n").unwrap();
    assert_eq!(world.woken(), 1);
    assert_eq!((news(&mut first), news(&mut second)), (None, Some(1)));
    // What the look has published.
    assert_eq!((world.woken(), news(&mut second)), (1, Some(1)));
    append(second.mailbox());
    assert_eq!((world.woken(), news(&mut second)), (1, Some(2)));
    assert_eq!((news(&mut first), news(&mut second)), (None, None));
}

#[test]
fn an_observer_keeps_no_bytes_of_expunged_messages() {
    let world = World::new();
    let (_first, second) = observed(&world);
    append(second.mailbox());
    let uids = uids(second.mailbox());
    second.mailbox().expunge(&uids).unwrap();
    assert_eq!(fs::read_dir(world.path(".other/tmp")).unwrap().count(), 0);
}

#[test]
fn an_observer_of_a_mailbox_that_goes_away_is_told() {
    let world = World::new();
    let (_first, mut second) = observed(&world);
    let account = world.store.account(&world.root()).unwrap();
    account.delete(second.mailbox().name()).unwrap();
    assert_ne!(world.woken(), 0);
    assert!(matches!(second.news(), Err(Error::NotFound)));
}

#[test]
fn a_mailbox_that_is_observed_and_not_watched_by_the_kernel_is_polled() {
    let world = World::new();
    world.notices.shared().room.store(0, Ordering::SeqCst);
    let (_first, mut second) = observed(&world);
    news(&mut second);
    assert!(second.mailbox().needs_polling());
    fs::write(world.path(".other/new/2.second.host"), "x\n").unwrap();
    assert_eq!((world.woken(), news(&mut second)), (0, None));
    world.store.poll();
    assert_eq!((world.woken(), news(&mut second)), (1, Some(1)));
}

#[test]
fn what_nobody_observes_any_more_is_let_go() {
    let world = World::new();
    let (first, second) = observed(&world);
    let other = Arc::clone(second.mailbox());
    drop((first, second));
    append(&other);
    assert_eq!(world.woken(), 0);
    for _ in 0..2 {
        world.store.poll();
    }
    assert_eq!(world.notices.shared().watched_directories(), 3);
}

#[test]
fn the_unseen_are_counted_for_the_snapshot_that_is_asked_for() {
    let world = World::new();
    let before = world.mailbox.snapshot();
    assert_eq!(world.mailbox.unseen(&before), 1);
    let seen = flags(FlagOp::Add, SystemFlag::Seen);
    let after = world
        .mailbox
        .store_flags(&uids(&world.mailbox), &seen)
        .unwrap();
    assert_eq!(world.mailbox.unseen(&after), 0);
    assert_eq!(world.mailbox.unseen(&after), 0);
    assert_eq!(world.mailbox.unseen(&before), 1);
}
