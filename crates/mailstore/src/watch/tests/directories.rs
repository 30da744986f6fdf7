//! Directories that come and go, and what can be watched at all.

use super::*;

#[test]
fn without_room_for_watches_the_store_polls() {
    let world = World::unseen();
    world.notices.shared().room.store(2, Ordering::SeqCst);
    world.look();
    assert_eq!(world.mailbox.notices().standing(), Standing::Unsure);
    assert!(world.mailbox.needs_polling());
    fs::write(world.path("new/2.second.host"), "x\n").unwrap();
    assert_eq!(world.woken(), 0, "what could be watched is let go");
    world.store.poll();
    assert_eq!((world.mailbox.snapshot().len(), world.woken()), (2, 1));
    // There is room again, but the kernel is not asked at once.
    world.notices.shared().room.store(3, Ordering::SeqCst);
    let next = world.mailbox.watch(Waker::from(Arc::clone(&world.counter)));
    world.look();
    assert!(world.mailbox.needs_polling(), "not asked again and again");
    drop((next, world.watch));
    world.mailbox.rest();
    world.mailbox.rest();
    let _next = world.mailbox.watch(Waker::from(Arc::clone(&world.counter)));
    age(&world.temporary.path().join("Maildir"));
    world.mailbox.refresh().unwrap();
    assert!(!world.mailbox.needs_polling());
}

#[test]
fn the_watches_go_with_the_last_session() {
    let world = World::new();
    let second = world.mailbox.watch(Waker::from(Arc::clone(&world.counter)));
    drop(world.watch);
    fs::write(
        world.temporary.path().join("Maildir/new/2.second.host"),
        "x\n",
    )
    .unwrap();
    world.notices.attend();
    assert_eq!(world.counter.0.swap(0, Ordering::SeqCst), 1);
    drop(second);
    world.mailbox.rest();
    assert_eq!(
        world.notices.shared().watched_directories(),
        3,
        "for a session that comes soon"
    );
    world.mailbox.rest();
    assert_eq!(world.notices.shared().watched_directories(), 0);
    fs::write(
        world.temporary.path().join("Maildir/new/3.third.host"),
        "x\n",
    )
    .unwrap();
    assert_eq!(world.mailbox.refresh().unwrap().len(), 3);
}

#[test]
fn a_session_that_is_never_told_costs_no_watches() {
    let world = World::new();
    drop(world.watch);
    world.mailbox.rest();
    world.mailbox.rest();
    let _watch = world.mailbox.hold();
    world.mailbox.refresh().unwrap();
    assert_eq!(world.notices.shared().watched_directories(), 0);
}

#[test]
fn a_session_that_comes_soon_after_another_reads_no_directory() {
    let world = World::new();
    // Too young for its time to be believed.
    fs::write(world.path("new/2.second.host"), "x\n").unwrap();
    world.mailbox.refresh().unwrap();
    let scans = || world.mailbox.notices().scans.load(Ordering::SeqCst);
    let before = scans();
    drop(world.watch);
    world.mailbox.rest();
    let waker = || Waker::from(Arc::clone(&world.counter));
    for _ in 0..3 {
        let watch = world.mailbox.watch(waker());
        assert_eq!(world.mailbox.refresh().unwrap().len(), 2);
        drop(watch);
    }
    assert_eq!(scans(), before);
    let path = world.temporary.path().join("Maildir/new/3.third.host");
    fs::write(path, "x\n").unwrap();
    let _watch = world.mailbox.watch(waker());
    assert_eq!(world.mailbox.refresh().unwrap().len(), 3);
    assert_eq!(scans(), before + 1);
}

#[test]
fn a_directory_that_is_replaced_is_watched_anew() {
    let world = World::new();
    fs::rename(world.path("new"), world.path("new.old")).unwrap();
    fs::create_dir(world.path("new")).unwrap();
    assert_eq!(world.woken(), 1);
    assert!(world.mailbox.needs_polling());
    world.look();
    world.woken();
    age(&world.root());
    world.look();
    fs::write(world.path("new/2.second.host"), "x\n").unwrap();
    assert_eq!((world.woken(), world.look()), (1, 2));
    assert_eq!(world.notices.shared().watched_directories(), 3);
}

#[test]
fn a_directory_that_is_missing_for_a_time_is_waited_for() {
    let world = World::new();
    fs::remove_dir(world.path("new")).unwrap();
    assert_eq!(world.woken(), 1);
    assert!(matches!(
        world.mailbox.refresh(),
        Err(Error::Corrupt { .. })
    ));
    world.woken();
    fs::create_dir(world.path("new")).unwrap();
    assert_eq!(world.woken(), 1);
    assert_eq!(world.look(), 1);
    fs::write(world.path("new/2.second.host"), "x\n").unwrap();
    assert_ne!(world.woken(), 0);
    assert_eq!(world.look(), 2);
    fs::remove_dir(world.path("tmp")).unwrap();
    fs::remove_file(world.path("new/2.second.host")).unwrap();
    fs::remove_dir(world.path("new")).unwrap();
    world.mailbox.refresh().unwrap_err();
    world.woken();
    fs::remove_dir_all(world.root()).unwrap();
    assert_ne!(world.woken(), 0, "also while it is broken");
    assert!(matches!(world.mailbox.refresh(), Err(Error::NotFound)));
}

#[test]
fn a_mailbox_that_goes_away_ends() {
    let world = World::new();
    fs::rename(world.root(), world.temporary.path().join("elsewhere")).unwrap();
    assert_eq!(world.woken(), 1);
    assert!(matches!(world.mailbox.refresh(), Err(Error::NotFound)));
    let world = World::new();
    fs::remove_dir_all(world.root()).unwrap();
    assert_ne!(world.woken(), 0);
    assert!(matches!(world.mailbox.refresh(), Err(Error::NotFound)));
}
