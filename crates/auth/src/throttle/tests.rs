//! Tests of delays by address and by account, of their bounds, and of what a restart keeps.

use std::net::Ipv4Addr;
use std::time::SystemTime;

use proptest::prelude::*;

use super::*;

/// A fixed start; tests only add to it.
fn start() -> Instant {
    #[expect(
        clippy::disallowed_methods,
        reason = "any instant will do, and std has no other"
    )]
    Instant::now()
}

fn throttle(delays: Delays) -> Throttle {
    Throttle::new(delays, &|| 7)
}

fn usual() -> Throttle {
    throttle(Delays::default())
}

fn v4(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

/// Another address for each number.
fn anywhere(number: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 | number))
}

/// Failures at `account` from this many addresses, once each.
fn attack(throttle: &mut Throttle, account: &str, addresses: u32, now: Instant) {
    for number in 0..addresses {
        throttle.failed(account, anywhere(number), now, 0);
    }
}

const ANN: &str = "ann@example.org";
const BOB: &str = "bob@example.org";
const SECOND: Duration = Duration::from_secs(1);
const WINDOW: Duration = Duration::from_mins(15);
const NO_WAIT: Option<Duration> = Some(Duration::ZERO);

#[test]
fn failures_grow_up_to_the_limit() {
    let now = start();
    let mut throttle = usual();
    let delays: Vec<u64> = (0..7)
        .map(|_| throttle.failed(ANN, v4(1), now, 0).as_secs())
        .collect();
    assert_eq!(delays, [1, 2, 4, 8, 15, 15, 15]);
}

#[test]
fn guesses_at_many_accounts_from_one_address_grow_too() {
    let now = start();
    let mut throttle = usual();
    let delays: Vec<u64> = (0..5)
        .map(|number| {
            let account = format!("user{number}@example.org");
            throttle.failed(&account, v4(1), now, 0).as_secs()
        })
        .collect();
    assert_eq!(delays, [1, 2, 4, 8, 15]);
}

#[test]
fn the_first_failure_waits_one_to_two_seconds() {
    let now = start();
    for chance in [0, 1, 999_999_999, 1_000_000_000, u64::MAX / 3, u64::MAX] {
        let delay = usual().failed(ANN, v4(1), now, chance);
        assert!((SECOND..2 * SECOND).contains(&delay), "{delay:?}");
    }
    let half = usual().failed(ANN, v4(1), now, 500_000_000);
    assert_eq!(half, Duration::from_millis(1_500));
}

#[test]
fn other_addresses_do_not_wait() {
    let now = start();
    let mut throttle = usual();
    for _ in 0..100 {
        throttle.begin(ANN, v4(1), now);
        throttle.failed(ANN, v4(1), now, 0);
    }
    assert_eq!(throttle.begin(BOB, v4(2), now), NO_WAIT);
    assert_eq!(throttle.failed(BOB, v4(2), now, 0), SECOND);
    // Nor for the same account: one address alone slows down nobody else.
    assert_eq!(throttle.begin(ANN, v4(3), now), NO_WAIT);
}

#[test]
fn success_forgives_the_failures_of_its_account_and_no_others() {
    let now = start();
    let mut throttle = usual();
    for _ in 0..5 {
        throttle.failed(ANN, v4(1), now, 0);
    }
    let later = now + SECOND;
    assert_eq!(throttle.begin(BOB, v4(1), later), NO_WAIT);
    throttle.succeeded(BOB, v4(1), later);
    assert_eq!(throttle.failed(ANN, v4(1), later, 0), 15 * SECOND);
    let later = later + SECOND;
    assert_eq!(throttle.begin(ANN, v4(1), later), NO_WAIT);
    throttle.succeeded(ANN, v4(1), later);
    for _ in 0..2 {
        assert_eq!(
            throttle.begin(ANN, v4(1), later),
            NO_WAIT,
            "no queue is left"
        );
    }
    assert_eq!(throttle.failed(ANN, v4(1), later, 0), SECOND);
}

#[test]
fn success_does_not_empty_the_queue() {
    let now = start();
    let mut throttle = usual();
    throttle.failed(ANN, v4(1), now, 0);
    let waits: Vec<Duration> = (0..20)
        .filter_map(|_| {
            let wait = throttle.begin(ANN, v4(1), now);
            throttle.succeeded(ANN, v4(1), now);
            wait
        })
        .collect();
    assert_eq!(waits.last(), Some(&(20 * INTERVAL)));
    let delay = throttle.failed(ANN, v4(1), now, 0);
    assert_eq!(delay, SECOND, "the growth is reset");
}

#[test]
fn failures_are_forgotten_in_time() {
    let now = start();
    let mut throttle = usual();
    throttle.failed(ANN, v4(1), now, 0);
    throttle.failed(ANN, v4(1), now, 0);
    // Others who share the address do not keep the memory of them alive.
    for minute in 1..=16 {
        let at = now + Duration::from_mins(minute);
        throttle.begin(BOB, v4(1), at);
        throttle.succeeded(BOB, v4(1), at);
    }
    let later = now + WINDOW + SECOND;
    assert_eq!(throttle.failed(ANN, v4(1), later, 0), SECOND);
}

#[test]
fn many_connections_guess_no_faster_than_ten_a_second() {
    let now = start();
    let mut throttle = usual();
    throttle.begin(ANN, v4(1), now);
    throttle.failed(ANN, v4(1), now, 0);
    // 1,000 attempts at the same moment: their answers come 100 ms apart, and what would come
    // after 15 s is refused without being looked at.
    let waits: Vec<Duration> = (0..1_000)
        .filter_map(|_| throttle.begin(ANN, v4(1), now))
        .collect();
    assert_eq!(waits.len(), 150);
    for pair in waits.windows(2) {
        assert_eq!(pair[1] - pair[0], INTERVAL);
    }
    assert_eq!(throttle.begin(ANN, v4(1), now), None);
    // The queue moves on.
    assert!(throttle.begin(ANN, v4(1), now + SECOND).is_some());
}

#[test]
fn addresses_without_failures_never_queue() {
    let now = start();
    let mut throttle = usual();
    for _ in 0..1_000 {
        assert_eq!(throttle.begin(ANN, v4(1), now), NO_WAIT);
        throttle.succeeded(ANN, v4(1), now);
    }
}

#[test]
fn an_account_under_attack_is_slow_for_strangers_and_never_refuses_them() {
    let now = start();
    let mut throttle = usual();
    throttle.succeeded(ANN, v4(1), now);
    attack(&mut throttle, ANN, FREE, now);
    assert_eq!(
        throttle.begin(ANN, v4(2), now),
        NO_WAIT,
        "typing errors are free"
    );
    attack(&mut throttle, ANN, FREE + 3, now);
    assert_eq!(throttle.begin(ANN, v4(2), now), Some(15 * SECOND));
    // However many come: she waits, but she is looked at, and where she is known she does not wait.
    attack(&mut throttle, ANN, 5_000, now);
    assert_eq!(throttle.begin(ANN, v4(2), now), Some(15 * SECOND));
    assert_eq!(throttle.begin(ANN, v4(1), now), NO_WAIT);
    throttle.succeeded(ANN, v4(2), now);
    assert_eq!(throttle.begin(ANN, v4(2), now), NO_WAIT, "known by now");
    // Others are not concerned, and it passes.
    assert_eq!(throttle.begin(BOB, v4(3), now), NO_WAIT);
    let later = now + WINDOW + SECOND;
    assert_eq!(throttle.begin(ANN, v4(3), later), NO_WAIT);
}

/// S24
#[test]
fn accounts_that_do_not_exist_are_slow_in_the_same_way() {
    let now = start();
    let mut throttle = usual();
    // Ann exists: somebody has proved her password.
    throttle.succeeded(ANN, v4(1), now);
    for account in [ANN, "nobody@example.org", "../../etc/passwd"] {
        let mut seen = Vec::new();
        let mut copy = usual();
        copy.restore(&saved(&mut throttle, now), now, wall())
            .unwrap();
        for number in 0..40 {
            seen.push(copy.begin(account, anywhere(number), now));
            seen.push(Some(copy.failed(account, anywhere(number), now, 0)));
        }
        let mut fresh = usual();
        let mut expected = Vec::new();
        for number in 0..40 {
            expected.push(fresh.begin(BOB, anywhere(number), now));
            expected.push(Some(fresh.failed(BOB, anywhere(number), now, 0)));
        }
        assert_eq!(seen, expected, "{account}");
    }
}

#[test]
fn a_known_address_is_forgotten_in_time_and_there_are_few_for_each_account() {
    let now = start();
    let mut throttle = usual();
    throttle.succeeded(ANN, v4(1), now);
    attack(&mut throttle, ANN, 100, now);
    let later = now + Delays::default().known_for + SECOND;
    attack(&mut throttle, ANN, 100, later);
    assert!(throttle.begin(ANN, v4(1), later) > NO_WAIT);
    for number in 0..=16 {
        throttle.succeeded(ANN, v4(number), later);
    }
    assert!(throttle.begin(ANN, v4(0), later) > NO_WAIT, "the oldest");
    assert_eq!(throttle.begin(ANN, v4(1), later), NO_WAIT);
    assert_eq!(throttle.begin(ANN, v4(16), later), NO_WAIT);
}

#[test]
fn ipv6_counts_by_64_and_mapped_ipv4_as_ipv4() {
    let now = start();
    let mut throttle = usual();
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    throttle.failed(ANN, address("2001:db8:1:2::1"), now, 0);
    let same = throttle.failed(ANN, address("2001:db8:1:2:ffff::9"), now, 0);
    assert_eq!(same, 2 * SECOND);
    let other = throttle.failed(ANN, address("2001:db8:1:3::1"), now, 0);
    assert_eq!(other, SECOND);
    throttle.failed(BOB, v4(1), now, 0);
    let mapped = throttle.failed(BOB, address("::ffff:192.0.2.1"), now, 0);
    assert_eq!(mapped, 2 * SECOND);
}

#[test]
fn memory_is_bounded_and_keeps_the_latest() {
    let mut now = start();
    let mut throttle = throttle(Delays {
        entries: 10,
        ..Delays::default()
    });
    let sizes = |throttle: &Throttle| {
        [
            throttle.addresses.iter().len(),
            throttle.pairs.iter().len(),
            throttle.accounts.iter().len(),
            throttle.known.iter().len(),
        ]
    };
    for last in 0..=200 {
        now += Duration::from_millis(1);
        throttle.failed(&format!("{last}"), v4(last), now, 0);
        throttle.succeeded(&format!("s{last}"), v4(last), now);
        assert!(sizes(&throttle).iter().all(|&size| size <= 10));
    }
    assert_eq!(throttle.failed("200", v4(200), now, 0), 2 * SECOND);
    assert_eq!(throttle.failed("0", v4(0), now, 0), SECOND);
    // All at the same moment: room is made all the same.
    for last in 0..=200 {
        throttle.failed(&format!("{last}"), v4(last), now, 0);
        assert!(sizes(&throttle).iter().all(|&size| size <= 10));
    }
}

#[test]
fn guesses_push_no_known_address_out() {
    let mut now = start();
    let mut throttle = throttle(Delays {
        entries: 100,
        ..Delays::default()
    });
    throttle.succeeded(ANN, v4(1), now);
    for number in 0..10_000 {
        now += Duration::from_millis(1);
        throttle.failed(&format!("{number}"), anywhere(number), now, 0);
        throttle.failed(ANN, anywhere(number), now, 0);
    }
    assert_eq!(throttle.begin(ANN, v4(1), now), NO_WAIT);
    // Nor is the attack itself forgotten, in all that noise.
    assert_eq!(throttle.begin(ANN, v4(2), now), Some(15 * SECOND));
}

#[test]
fn no_delays_means_none() {
    let now = start();
    let mut throttle = throttle(Delays::NONE);
    for _ in 0..1_000 {
        assert_eq!(throttle.begin(ANN, v4(1), now), NO_WAIT);
        assert_eq!(throttle.failed(ANN, v4(1), now, u64::MAX), Duration::ZERO);
    }
}

/// The wall clock at the start.
fn wall() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000)
}

fn saved(throttle: &mut Throttle, now: Instant) -> Vec<u8> {
    throttle.changed_again();
    throttle.save(now, wall()).unwrap()
}

/// A throttle that begins with what was kept, on a machine whose monotonic clock is elsewhere.
fn restarted(kept: &[u8], now: Instant, wall: SystemTime) -> Throttle {
    let mut throttle = Throttle::new(Delays::default(), &|| 99);
    throttle.restore(kept, now, wall).unwrap();
    throttle
}

#[test]
fn a_restart_forgets_nothing_within_the_window() {
    let now = start();
    let mut before = usual();
    before.succeeded(ANN, v4(1), now);
    attack(&mut before, ANN, 20, now);
    for _ in 0..3 {
        before.failed(BOB, v4(9), now, 0);
    }
    for _ in 0..50 {
        before.begin(BOB, v4(9), now);
    }
    let kept = saved(&mut before, now);
    let elsewhere = now + Duration::from_hours(100);
    let mut after = restarted(&kept, elsewhere, wall() + SECOND);
    assert_eq!(after.begin(ANN, v4(1), elsewhere), NO_WAIT);
    assert_eq!(after.begin(ANN, v4(2), elsewhere), Some(15 * SECOND));
    let queued = after.begin(BOB, v4(9), elsewhere).unwrap();
    assert_eq!(queued, 51 * INTERVAL - SECOND, "the queue has moved on");
    assert_eq!(after.failed(BOB, v4(9), elsewhere, 0), 8 * SECOND);
    // What it keeps is what was kept.
    let again = saved(&mut restarted(&kept, elsewhere, wall()), elsewhere);
    assert_eq!(again.len(), kept.len());
    // When the window is over, it is over.
    let mut late = restarted(&kept, elsewhere, wall() + WINDOW + 2 * SECOND);
    assert_eq!(late.begin(ANN, v4(2), elsewhere), NO_WAIT);
    assert_eq!(late.failed(BOB, v4(9), elsewhere, 0), SECOND);
}

#[test]
fn a_wall_clock_that_jumps_makes_nothing_last() {
    let now = start();
    let mut before = usual();
    for _ in 0..3 {
        before.failed(BOB, v4(9), now, 0);
    }
    for _ in 0..50 {
        before.begin(BOB, v4(9), now);
    }
    let kept = saved(&mut before, now);
    // Back to 1970, as on a machine whose clock has no battery: they count from now.
    let mut back = restarted(&kept, now, SystemTime::UNIX_EPOCH);
    assert_eq!(back.failed(BOB, v4(9), now, 0), 8 * SECOND);
    let mut back = restarted(&kept, now, SystemTime::UNIX_EPOCH);
    assert!(back.begin(BOB, v4(9), now).unwrap() <= 51 * INTERVAL);
    assert_eq!(back.begin(BOB, v4(9), now + WINDOW + SECOND), NO_WAIT);
    // Ahead by years: forgotten.
    let ahead = wall() + Duration::from_hours(24 * 3_000);
    assert_eq!(
        restarted(&kept, now, ahead).failed(BOB, v4(9), now, 0),
        SECOND
    );
}

#[test]
fn only_changes_are_kept_and_neither_names_nor_addresses() {
    let now = start();
    let mut throttle = usual();
    assert_eq!(throttle.save(now, wall()), None);
    throttle.begin(ANN, v4(1), now);
    assert_eq!(throttle.save(now, wall()), None);
    throttle.failed("the name itself", v4(1), now, 0);
    let kept = throttle.save(now, wall()).unwrap();
    assert_eq!(throttle.save(now, wall()), None);
    throttle.succeeded(ANN, v4(1), now);
    assert!(throttle.save(now, wall()).is_some());
    throttle.succeeded(ANN, v4(1), now + SECOND);
    assert_eq!(throttle.save(now, wall()), None, "known already");
    for secret in [b"the name".as_slice(), &[192, 0, 2, 1], b"192.0.2.1"] {
        assert!(kept.windows(secret.len()).all(|part| part != secret));
    }
    assert_eq!(format!("{:?}", throttle.key), "Key(..)");
}

#[test]
fn damage_is_found_wherever_it_is() {
    let now = start();
    let mut throttle = usual();
    throttle.succeeded(ANN, v4(1), now);
    attack(&mut throttle, BOB, 3, now);
    let kept = saved(&mut throttle, now);
    let refused = |kept: &[u8]| usual().restore(kept, now, wall()).is_err();
    for length in 0..kept.len() {
        assert!(refused(&kept[..length]), "cut after {length}");
    }
    for at in 0..kept.len() {
        let mut damaged = kept.clone();
        damaged[at] ^= 0x10;
        assert!(refused(&damaged), "damaged at {at}");
    }
    assert!(!refused(&kept));
}

proptest! {
    /// Also what has a sound sum, as if somebody had written it on purpose.
    #[test]
    fn any_octets_never_panic(body in proptest::collection::vec(any::<u8>(), 0..300), sound in any::<bool>()) {
        let mut kept = b"pillarbox throttle 1\n".to_vec();
        kept.extend_from_slice(&body);
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &kept);
        if sound {
            kept.extend_from_slice(hash.as_ref());
        }
        let now = start();
        let mut throttle = usual();
        if throttle.restore(&kept, now, wall()).is_ok() {
            throttle.begin(ANN, v4(1), now);
            throttle.failed(ANN, v4(1), now, 0);
        }
    }
}
