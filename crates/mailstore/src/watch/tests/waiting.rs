//! Who is woken when, and that nobody is forgotten.

use super::*;
use crate::lock::FileLock;
use crate::mailbox::LOCK;

#[test]
fn an_overflow_has_every_mailbox_looked_at() {
    let world = World::new();
    let most = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let most: usize = most.trim().parse().unwrap();
    assert!(most < 1 << 18, "the test would take long");
    let name = |number: usize| world.path(&format!("new/{number}.flood.host"));
    // Four notices each.
    for number in 0..=most / 4 {
        fs::write(name(0), "x\n").unwrap();
        fs::rename(name(0), name(number + 1)).unwrap();
        fs::remove_file(name(number + 1)).unwrap();
    }
    fs::write(name(7), "x\n").unwrap();
    assert_eq!(world.woken(), 1);
    assert!(world.mailbox.needs_polling());
    assert_eq!(world.look(), 2);
    assert!(!world.mailbox.needs_polling());
}

#[test]
fn under_a_flood_looks_rest_as_long_as_they_took() {
    let world = World::new();
    fs::write(world.path("new/2.second.host"), "x\n").unwrap();
    assert_eq!((world.woken(), world.look()), (1, 2));
    // The look took 10 ms; no time has passed since.
    let back = || world.clock.fetch_sub(20, Ordering::SeqCst);
    back();
    world.woken();
    fs::write(world.path("new/3.third.host"), "x\n").unwrap();
    back();
    assert_eq!(world.woken(), 0);
    world.rest();
    assert_eq!(world.woken(), 1);
    assert_eq!(world.look(), 3);
    // Whoever asks is answered at once, and nobody is woken for it later.
    back();
    world.woken();
    fs::write(world.path("new/4.fourth.host"), "x\n").unwrap();
    back();
    assert_eq!((world.woken(), world.look()), (0, 4));
    assert_eq!(
        world.counter.0.swap(0, Ordering::SeqCst),
        1,
        "by what was published"
    );
    world.rest();
    assert_eq!(world.woken(), 0);
}

#[test]
fn the_thread_wakes_sessions_and_ends_when_told() {
    let world = World::new();
    let (tell, told) = std::sync::mpsc::channel();
    struct Tell(std::sync::mpsc::Sender<()>);
    impl Wake for Tell {
        fn wake(self: Arc<Self>) {
            self.0.send(()).unwrap();
        }
    }
    let _watch = world.mailbox.watch(Waker::from(Arc::new(Tell(tell))));
    let notices = world.notices.clone();
    let running = thread::spawn(move || notices.run());
    fs::write(world.path("new/2.second.host"), "x\n").unwrap();
    told.recv_timeout(Duration::from_secs(60)).unwrap();
    world.notices.stop();
    running.join().unwrap();
    assert_eq!(world.look(), 2);
    assert!(world.mailbox.needs_polling(), "nobody attends any more");
}

/// Another process has the lock for longer than a session waits for it.
#[test]
fn a_look_that_was_locked_out_is_made_up_for() {
    let world = World::new();
    let lock = FileLock::acquire(&world.path(LOCK), Duration::ZERO).unwrap();
    fs::write(world.path("new/2.second.host"), "x\n").unwrap();
    assert_eq!((world.woken(), world.look()), (1, 1));
    drop(lock);
    assert_eq!(world.woken(), 0, "not at once");
    world.rest();
    assert_eq!((world.woken(), world.look_woken()), (1, 2));
    world.woken();
    world.rest();
    assert_eq!(world.woken(), 0);
}

/// Two files that are one message, or two: that shows only later.
#[test]
fn a_look_that_was_not_calm_is_repeated() {
    let world = World::new();
    fs::write(world.path("cur/1.first.host:2,S"), "Subject: 1\n\n").unwrap();
    assert_eq!((world.woken(), world.look()), (1, 1));
    world.woken();
    fs::remove_file(world.path("cur/1.first.host:2,S")).unwrap();
    world.rest();
    assert_ne!(world.woken(), 0);
    world.look();
    fs::write(world.path("cur/2.second.host:2,"), "x\n").unwrap();
    fs::write(world.path("cur/2.second.host:2,S"), "x\n").unwrap();
    world.look();
    world.woken();
    for _ in 0..3 {
        world.rest();
        assert_eq!(world.woken(), 1, "without a notice, and without polling");
        world.look();
        world.woken();
    }
}

/// What another process did may be in the notices or in its index, and times are too young.
#[test]
fn what_notices_leave_open_is_looked_at_again() {
    let world = World::new();
    let other = store(&Arc::default());
    let theirs = open(&other, &world.root());
    append(&theirs);
    assert_eq!((world.woken(), world.look()), (1, 2));
    assert!(world.mailbox.needs_polling());
    world.woken();
    world.rest();
    assert_eq!(world.woken(), 1);
}

#[test]
fn a_session_woken_by_what_was_published_does_not_look() {
    let world = World::new();
    append(&world.mailbox);
    assert_eq!(world.woken(), 1);
    let looks = world.mailbox.looks_begun();
    assert_eq!(world.look_woken(), 2);
    assert_eq!(world.mailbox.looks_begun(), looks);
    fs::write(world.path("cur/3.third.host:2,"), "x\n").unwrap();
    assert_eq!((world.woken(), world.look_woken()), (1, 3));
}

/// The session of another client has the mailbox, for as long as it takes.
#[test]
fn a_session_that_is_woken_waits_for_nobody() {
    let world = World::new();
    append(&world.mailbox);
    world.look();
    world.woken();
    let first = uids(&world.mailbox).split_off(1);
    let meanwhile = || {
        fs::write(world.path("cur/3.third.host:2,"), "x\n").unwrap();
        assert_eq!(world.woken(), 0, "left to the one at work");
        assert_eq!(world.look_woken(), 2, "what is known");
    };
    world.mailbox.remove_while(&first, meanwhile).unwrap();
    assert_ne!(world.woken(), 0);
    assert_eq!(world.look_woken(), 2);
    assert_eq!(world.mailbox.snapshot().uid_next().get(), 4);
}

/// The same on a mailbox that the kernel does not watch: nothing but the wake says that there may be
/// something to see.
#[test]
fn what_was_left_to_others_is_not_forgotten() {
    let world = World::unseen();
    world.notices.shared().room.store(0, Ordering::SeqCst);
    world.look();
    let looks = world.mailbox.looks_begun();
    let meanwhile = || assert_eq!(world.look_woken(), 1);
    world.mailbox.remove_while(&[], meanwhile).unwrap();
    assert_eq!(world.mailbox.looks_begun(), looks);
    assert_eq!((world.woken(), world.look_woken()), (1, 1));
    assert_eq!(world.mailbox.looks_begun(), looks + 1);
}

#[test]
fn a_session_that_is_woken_rests_like_all_others() {
    let world = World::new();
    fs::write(world.path("new/2.second.host"), "x\n").unwrap();
    assert_eq!((world.woken(), world.look()), (1, 2));
    let back = || world.clock.fetch_sub(20, Ordering::SeqCst);
    back();
    world.woken();
    fs::write(world.path("new/3.third.host"), "x\n").unwrap();
    back();
    assert_eq!(world.woken(), 0);
    back();
    assert_eq!(world.look_woken(), 2, "woken by what was published");
    world.rest();
    assert_eq!((world.woken(), world.look_woken()), (1, 3));
}
