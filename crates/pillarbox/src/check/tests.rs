//! Tests of what `check` finds.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::{chown, symlink};
use std::thread;
use std::time::Duration;

use super::*;

/// A directory with everything that a server needs, and nothing wrong.
struct World(tempfile::TempDir);

impl World {
    fn new() -> Self {
        let world = Self(tempfile::tempdir().unwrap());
        world.write(
            "p.toml",
            &format!(
                "mail = \"{}/mail/{{domain}}/{{local}}\"\n\
                 users = \"users\"\ncertificate = \"c.pem\"\nkey = \"k.pem\"\nstate_dir = \".\"\n\
                 [[listeners]]\nprotocol = \"imap\"\naddress = \"127.0.0.1:0\"\n",
                world.0.path().display()
            ),
        );
        world.write(
            "users",
            "ann@example.org:$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5\n",
        );
        world.make_certificate("c.pem", "k.pem");
        fs::create_dir(world.0.path().join("mail")).unwrap();
        world
    }

    /// Writes a file that only we can read.
    fn write(&self, name: &str, text: &str) {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        self.set_mode(name, 0o600);
    }

    fn set_mode(&self, name: &str, mode: u32) {
        let permissions = fs::Permissions::from_mode(mode);
        fs::set_permissions(self.0.path().join(name), permissions).unwrap();
    }

    fn make_certificate(&self, certificate: &str, key: &str) {
        self.make_certificate_with(certificate, key, |_| {});
    }

    fn make_certificate_with(
        &self,
        certificate: &str,
        key: &str,
        change: impl FnOnce(&mut rcgen::CertificateParams),
    ) {
        let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        change(&mut params);
        let pair = rcgen::KeyPair::generate().unwrap();
        self.write(certificate, &params.self_signed(&pair).unwrap().pem());
        self.write(key, &pair.serialize_pem());
    }

    /// Adds to the configuration, above its listeners.
    fn prepend(&self, text: &str) {
        let old = fs::read_to_string(self.0.path().join("p.toml")).unwrap();
        self.write("p.toml", &format!("{text}{old}"));
    }

    fn report(&self) -> Report {
        // 3 February 2026, 12:00.
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_770_120_000);
        examine(&self.0.path().join("p.toml"), Purpose::Check, now).1
    }

    /// Everything that is found.
    fn found(&self) -> String {
        let dir = self.0.path().display().to_string();
        self.report().to_string().replace(&dir, "DIR")
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.0.path().join(name)).unwrap();
    }
}

#[test]
fn a_sound_server_has_no_findings() {
    let world = World::new();
    assert_eq!(world.found(), "");
    let (settings, _) = settings_to_serve_by(&world.0.path().join("p.toml"));
    assert!(settings.users.ends_with("users"));
}

#[test]
fn certificates_that_do_not_work_are_told() {
    let world = World::new();
    world.make_certificate("other.pem", "k.pem");
    assert_eq!(
        world.found(),
        "error: DIR/k.pem: does not belong to the certificate in DIR/c.pem\n  set at DIR/p.toml:4\n  \
         fix: let `certificate` and `key` name files that were made together"
    );
    world.write("k.pem", "not a key\n");
    assert_eq!(
        world.found(),
        "error: DIR/k.pem: holds no unencrypted private key in PEM\n  set at DIR/p.toml:4\n  \
         fix: let `key` name the file with the private key, without a passphrase"
    );
    world.write("c.pem", "not a certificate\n");
    assert_eq!(
        world.found(),
        "error: DIR/c.pem: holds no certificate in PEM\n  set at DIR/p.toml:3\n  \
         fix: let `certificate` name the file with the certificate and its chain\n\
         error: DIR/k.pem: holds no unencrypted private key in PEM\n  set at DIR/p.toml:4\n  \
         fix: let `key` name the file with the private key, without a passphrase"
    );
    world.remove("c.pem");
    world.remove("k.pem");
    assert_eq!(
        world.found(),
        "error: DIR/c.pem: cannot be read: No such file or directory (os error 2)\n  set at DIR/p.toml:3\n  \
         fix: correct `certificate`, or give every listener tls = \"none\"\n\
         error: DIR/k.pem: cannot be read: No such file or directory (os error 2)\n  set at DIR/p.toml:4\n  \
         fix: correct `key`, or give every listener tls = \"none\""
    );
}

#[test]
fn certificate_and_key_in_each_others_place_are_told() {
    let world = World::new();
    world.make_certificate("k.pem", "c.pem");
    world.set_mode("k.pem", 0o644);
    assert_eq!(
        world.found(),
        "error: DIR/c.pem: holds no certificate in PEM\n  set at DIR/p.toml:3\n  \
         fix: let `certificate` name the file with the certificate and its chain\n\
         error: DIR/k.pem: holds no unencrypted private key in PEM\n  set at DIR/p.toml:4\n  \
         fix: let `key` name the file with the private key, without a passphrase"
    );
}

#[test]
fn certificates_that_clients_will_refuse_are_warned_of() {
    let told = |change: &dyn Fn(&mut rcgen::CertificateParams)| {
        let world = World::new();
        world.make_certificate_with("c.pem", "k.pem", change);
        assert!(!world.report().has_errors());
        world.found()
    };
    let ends = |year, month, day| {
        told(&|params| params.not_after = rcgen::date_time_ymd(year, month, day))
    };
    let warning = |problem: &str, fix: &str| {
        format!("warning: DIR/c.pem: {problem}\n  set at DIR/p.toml:3\n  fix: {fix}")
    };
    let renew = "renew it, and send SIGHUP to the server";
    assert_eq!(ends(2025, 12, 31), warning("expired 34 days ago", renew));
    assert_eq!(
        ends(2026, 2, 3),
        warning("expired less than a day ago", renew)
    );
    assert_eq!(ends(2026, 2, 5), warning("expires in 1 day", renew));
    assert_eq!(ends(2026, 2, 17), warning("expires in 13 days", renew));
    assert_eq!(ends(2026, 2, 18), "");
    assert_eq!(
        told(&|params| params.not_before = rcgen::date_time_ymd(2026, 2, 4)),
        warning("is not valid yet", "set the clock of this machine, or wait")
    );
    assert_eq!(
        told(
            &|params| params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth]
        ),
        warning(
            "is not meant for servers",
            "get one for server authentication"
        )
    );
}

#[test]
fn a_certificate_for_another_name_is_warned_of() {
    let world = World::new();
    world.prepend("hostname = \"mail.example.org\"\n");
    let names = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|&name| name.into()).collect();
        world.make_certificate_with("c.pem", "k.pem", |params| {
            params.subject_alt_names = rcgen::CertificateParams::new(names)
                .unwrap()
                .subject_alt_names;
        });
        world.found()
    };
    let fix = "get one for mail.example.org, or let `hostname` be the name that clients connect to";
    assert_eq!(
        names(&["www.example.org", "127.0.0.1"]),
        format!(
            "warning: DIR/c.pem: does not cover mail.example.org, only www.example.org, 127.0.0.1\n  \
             set at DIR/p.toml:4\n  fix: {fix}"
        )
    );
    assert_eq!(
        names(&[]),
        format!(
            "warning: DIR/c.pem: does not cover any name\n  \
             set at DIR/p.toml:4\n  fix: {fix}"
        )
    );
    assert_eq!(names(&["*.example.org"]), "");
    assert_eq!(names(&["mail.example.org"]), "");
}

#[test]
fn settings_that_were_not_set_have_no_line() {
    let world = World::new();
    let text = fs::read_to_string(world.0.path().join("p.toml")).unwrap();
    world.write("p.toml", &text.replace("certificate = \"c.pem\"\n", ""));
    let found = world.found();
    let first = found.split("error: ").nth(1).unwrap();
    assert!(
        first.starts_with("/etc/pillarbox/certificate.pem: "),
        "{found}"
    );
    assert!(!first.contains("set at"), "{found}");
}

#[test]
fn certificates_are_not_wanted_without_tls() {
    let world = World::new();
    world.remove("c.pem");
    world.remove("k.pem");
    let text = fs::read_to_string(world.0.path().join("p.toml")).unwrap();
    world.write(
        "p.toml",
        &format!("{text}tls = \"none\"\nplaintext_auth = true\n"),
    );
    assert_eq!(world.found(), "");
}

#[test]
fn files_that_others_can_read_are_warned_of() {
    let world = World::new();
    world.set_mode("k.pem", 0o644);
    world.set_mode("users", 0o604);
    assert_eq!(
        world.found(),
        "warning: DIR/k.pem: other users of this machine can read the private key\n  set at DIR/p.toml:4\n  \
         fix: chmod o-rwx DIR/k.pem\n\
         warning: DIR/users: other users of this machine can read the password hashes\n  set at DIR/p.toml:2\n  \
         fix: chmod o-rwx DIR/users"
    );
    assert!(!world.report().has_errors());
    world.set_mode("k.pem", 0o640);
    world.set_mode("users", 0o660);
    assert_eq!(world.found(), "");
}

#[test]
fn every_line_of_the_users_file_is_looked_at() {
    let world = World::new();
    world.write("users", "ann\n# fine\nbob@example.org:\n");
    assert_eq!(
        world.found(),
        "error: DIR/users:1: no ':' between name and password hash\n  \
         fix: correct the line, or remove it\n\
         error: DIR/users:3: password hash is empty\n  \
         fix: correct the line, or remove it"
    );
    world.write(
        "users",
        "ann@example.org:{PLAIN}x\nbroken\nbob:{PLAIN}y\n carol:z\ndave@example.org:{PLAIN}z::::::nologin\n",
    );
    assert_eq!(
        world.found(),
        "warning: DIR/users:1: password is stored in plain text; replace it with `pillarbox user passwd`\n  \
         fix: pillarbox user passwd ann@example.org\n\
         error: DIR/users:2: no ':' between name and password hash\n  \
         fix: correct the line, or remove it\n\
         warning: DIR/users:3: password is stored in plain text; replace it with `pillarbox user passwd`\n  \
         fix: pillarbox user passwd bob\n\
         warning: DIR/users:3: bob can never log in: it has no domain, and `mail` wants one\n  \
         fix: write the domain behind the name, set `default_domain` in [auth], or write {user} instead of {domain} in `mail`\n\
         error: DIR/users:4: name holds white space\n  \
         fix: correct the line, or remove it\n\
         warning: DIR/users:5: password is stored in plain text; replace it with `pillarbox user passwd`\n  \
         fix: pillarbox user passwd dave@example.org\n\
         warning: DIR/users:5: field nologin has no effect here: the account can log in from everywhere\n  \
         fix: remove the line if the account must not log in"
    );
    world.write("users", "# nobody\n");
    assert_eq!(
        world.found(),
        "warning: DIR/users: there are no accounts\n  set at DIR/p.toml:2\n  \
         fix: make one with `pillarbox user add NAME`"
    );
    world.remove("users");
    assert_eq!(
        world.found(),
        "error: DIR/users: cannot be read: No such file or directory (os error 2)\n  set at DIR/p.toml:2\n  \
         fix: make it with `pillarbox user add NAME`, or correct `users`"
    );
}

#[test]
fn quotas_in_the_users_file_are_understood() {
    let world = World::new();
    let old = fs::read_to_string(world.0.path().join("users")).unwrap();
    let line = old.lines().count() + 1;
    let found = |rule: &str| {
        let eve = "eve@example.org:{ARGON2ID}$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$\
                   IoEsn7QSdSfONEAlnzlkmh0bqHNcMoTSgCaVm7P8OwA";
        world.write(
            "users",
            &format!("{old}{eve}::::::userdb_quota_rule={rule}\n"),
        );
        world.found()
    };
    assert_eq!(found("*:storage=1G"), "");
    assert_eq!(
        found("*:storage=1X"),
        format!(
            "warning: DIR/users:{line}: the quota of eve@example.org is not understood: \
             \"storage=1X\"\n  fix: write for example userdb_quota_rule=*:storage=1G:messages=1000"
        )
    );
}

#[test]
fn users_in_the_configuration_have_accounts() {
    let world = World::new();
    let old = fs::read_to_string(world.0.path().join("p.toml")).unwrap();
    let line = old.lines().count();
    let nobody = "users = [\"nobody@example.org\"]";
    let found = |rule: &str| {
        world.write("p.toml", &format!("{old}{rule}\n"));
        world.found()
    };
    let warning = |problem: &str, line: usize, place: &str| {
        format!(
            "warning: DIR/p.toml:{line}: {problem}, who has no account\n  \
             fix: correct the name in {place}"
        )
    };
    assert_eq!(
        found(&format!(
            "[[capabilities.clients]]\nhide = [\"IDLE\"]\n{nobody}"
        )),
        warning(
            "something is hidden from \"nobody@example.org\"",
            line + 1,
            "[[capabilities.clients]]"
        )
    );
    assert_eq!(
        found(&format!("[[quota.users]]\n{nobody}\nstorage = \"1 GiB\"")),
        warning(
            "there is a quota for \"nobody@example.org\"",
            line + 1,
            "[[quota.users]]"
        )
    );
    assert_eq!(
        found("[quota]\nadministrators = [\"nobody@example.org\"]"),
        warning(
            "quotas may be set by \"nobody@example.org\"",
            line + 1,
            "`administrators`"
        )
    );
}

#[test]
fn upgrades_that_cannot_be_are_warned_of() {
    let world = World::new();
    let text = fs::read_to_string(world.0.path().join("p.toml")).unwrap();
    world.write("p.toml", &format!("{text}[auth]\nupgrade_hashes = true\n"));
    assert_eq!(world.found(), "");
    // A place where nobody can write, root included; the file there is empty for us.
    world.remove("users");
    symlink("/proc/self/oom_score_adj", world.0.path().join("users")).unwrap();
    let found = world.found();
    let told = "DIR/users: cannot be replaced, so that `upgrade_hashes` has no effect: /proc/";
    assert!(found.contains(told), "{found}");
}

#[test]
fn a_mail_root_that_cannot_be_used_is_told() {
    let world = World::new();
    let mail = world.0.path().join("mail");
    fs::remove_dir(&mail).unwrap();
    assert_eq!(
        world.found(),
        "error: DIR/mail: the root of the mail does not exist\n  set at DIR/p.toml:1\n  \
         fix: mkdir -p DIR/mail, and let it belong to the user that Pillarbox runs as"
    );
    fs::write(&mail, "").unwrap();
    assert_eq!(
        world.found(),
        "error: DIR/mail: the root of the mail is not a directory\n  set at DIR/p.toml:1\n  fix: correct `mail`"
    );
    fs::remove_file(&mail).unwrap();
    // A place where nobody can write, root included.
    symlink("/proc/self", &mail).unwrap();
    let found = world.found();
    assert!(
        found.starts_with("error: DIR/mail: the root of the mail cannot be written: "),
        "{found}"
    );
    assert!(
        found.ends_with(
            "  set at DIR/p.toml:1\n  fix: let DIR/mail belong to the user that Pillarbox runs as"
        ),
        "{found}"
    );
}

#[test]
fn the_default_in_place_of_a_wrong_setting_is_not_looked_at() {
    let world = World::new();
    let text = fs::read_to_string(world.0.path().join("p.toml")).unwrap();
    let text = text.replace("{domain}", "{domian}");
    world.write("p.toml", &text.replace("\"users\"", "5"));
    let report = world.report();
    let lines: Vec<_> = report
        .findings()
        .iter()
        .map(|finding| finding.line)
        .collect();
    assert_eq!(lines, [Some(1), Some(2)], "{report}");
}

/// A user whom no machine knows.
const STRANGER: u32 = 4711;

/// Runs `look` as somebody who is not root: as [`STRANGER`] if we are root.
fn not_as_root<T: Send>(look: impl FnOnce() -> T + Send) -> T {
    use rustix::process::{Gid, Uid, geteuid};
    use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

    thread::scope(|scope| {
        let became = scope.spawn(|| {
            if geteuid().is_root() {
                let (user, group) = (Uid::from_raw(STRANGER), Gid::from_raw(STRANGER));
                // Of this thread alone.
                set_thread_groups(&[]).unwrap();
                set_thread_res_gid(group, group, group).unwrap();
                set_thread_res_uid(user, user, user).unwrap();
            }
            look()
        });
        became.join().unwrap()
    })
}

impl World {
    /// Gives all that there is to whom [`not_as_root`] is, if we may.
    fn give_away(&self) {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        for name in ["", "p.toml", "users", "c.pem", "k.pem", "mail"] {
            let path = self.0.path().join(name);
            chown(path, Some(STRANGER), Some(STRANGER)).unwrap();
        }
    }

    /// Makes a directory as root would: nobody else may enter it.
    fn make_closed(&self, name: &str) {
        fs::create_dir_all(self.0.path().join(name)).unwrap();
        let mode = if rustix::process::geteuid().is_root() {
            0o700
        } else {
            0o000
        };
        self.set_mode(name, mode);
    }
}

#[test]
fn directories_that_cannot_be_used_are_told() {
    let world = World::new();
    world.give_away();
    assert_eq!(not_as_root(|| world.found()), "", "none is there yet");
    let hash = "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5";
    let names = ["ann@example.org", "bob@example.org", "carol@example.net"];
    let lines = names.map(|name| format!("{name}:{hash}\n"));
    world.write("users", &lines.concat());
    fs::create_dir(world.0.path().join("mail/example.net")).unwrap();
    fs::write(world.0.path().join("mail/example.net/carol"), "").unwrap();
    world.make_closed("mail/example.org");
    let told = not_as_root(|| world.found());
    assert!(
        told.starts_with("error: DIR/mail/example.org: ")
            && told.contains(
                " cannot read and write the mail in it\n  set at DIR/p.toml:1\n  fix: chown -R "
            ),
        "{told}"
    );
    assert_eq!(told.matches("example.org").count(), 2, "once: {told}");
    assert!(
        told.contains("error: DIR/mail/example.net/carol: is in the place of a directory of mail"),
        "{told}"
    );
    let path = world.0.path().join("p.toml");
    let (_, served) = not_as_root(|| settings_to_serve_by(&path));
    assert_eq!(served.count(Severity::Warning), 2, "{served}");
    assert!(!served.has_errors(), "the others are served: {served}");
    world.set_mode("mail/example.org", 0o555);
    let told = not_as_root(|| world.found());
    assert!(
        told.contains(" cannot make directories of mail in it\n"),
        "{told}"
    );
}

#[test]
fn directories_in_a_mailbox_that_cannot_be_used_are_told() {
    let world = World::new();
    world.give_away();
    let home = "mail/example.org/ann";
    world.make_closed(&format!("{home}/cur"));
    for open in ["mail/example.org", home] {
        world.set_mode(open, 0o777);
    }
    let told = not_as_root(|| world.found());
    assert!(
        told.starts_with("error: DIR/mail/example.org/ann: ")
            && told.contains(" cannot read and write the mail in it\n")
            && told.ends_with(" DIR/mail/example.org/ann"),
        "{told}"
    );
    world.set_mode(&format!("{home}/cur"), 0o777);
    assert_eq!(not_as_root(|| world.found()), "");
    world.make_closed(&format!("{home}/.Sent/new"));
    world.set_mode(&format!("{home}/.Sent"), 0o777);
    let told = not_as_root(|| world.found());
    assert!(
        told.contains(" cannot read and write the mail in it\n"),
        "{told}"
    );
}

#[test]
fn what_another_server_did_differently_is_guessed_once() {
    let world = World::new();
    let hash = "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5";
    let names = ["ann@example.org", "bob@example.org", "carol@example.org"];
    let lines = names.map(|name| format!("{name}:{hash}\n"));
    world.write("users", &lines.concat());
    for name in ["ann", "bob", "carol"] {
        for part in ["cur", "new", ".B\u{f6}x/cur", ".B\u{f6}x/new"] {
            let home = world.0.path().join("mail/example.org").join(name);
            fs::create_dir_all(home.join(part)).unwrap();
        }
    }
    let told = world.found();
    assert_eq!(
        told,
        "warning: DIR/mail/example.org/ann/.B\u{f6}x: this mailbox has a UTF-8 name, but \
         `directory_names` is \"utf7\": clients will not see it (so in 2 more accounts)\n  \
         fix: directory_names = \"utf8\" in [storage], as Courier 5 writes them"
    );
    world.prepend("storage.directory_names = \"utf8\"\n");
    assert_eq!(world.found(), "");
}

#[test]
fn root_is_warned_of_the_mail_of_others() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let world = World::new();
    world.give_away();
    fs::create_dir_all(world.0.path().join("mail/example.org/ann")).unwrap();
    assert_eq!(
        world.found(),
        "warning: DIR/mail: the root of the mail belongs to the user 4711, but this runs as root: \
         what root makes there, the user 4711 cannot read\n  set at DIR/p.toml:1\n  \
         fix: run `pillarbox serve` and `pillarbox check` as the user 4711\n\
         warning: DIR/mail/example.org: belongs to root, so that the user 4711 cannot use it\n  \
         set at DIR/p.toml:1\n  fix: chown -R 4711:4711 DIR/mail/example.org"
    );
}

#[test]
fn the_probe_of_the_mail_root_leaves_nothing() {
    let world = World::new();
    assert_eq!(world.found(), "");
    assert_eq!(
        fs::read_dir(world.0.path().join("mail")).unwrap().count(),
        0
    );
}

#[test]
fn a_port_in_use_is_told() {
    let world = World::new();
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address: SocketAddr = taken.local_addr().unwrap();
    let text = fs::read_to_string(world.0.path().join("p.toml")).unwrap();
    world.write("p.toml", &text.replace("127.0.0.1:0", &address.to_string()));
    let port = address.port();
    assert_eq!(
        world.found(),
        format!(
            "error: DIR/p.toml:8: cannot listen on {address}: Address already in use (os error 98)\n  \
             fix: stop what listens there (`ss -ltnp 'sport = :{port}'` shows it), unless it is this server"
        )
    );
    let left = settings_to_serve_by(&world.0.path().join("p.toml"));
    assert!(!left.1.has_errors(), "serving finds out by itself");
    drop(taken);
    assert_eq!(world.found(), "", "and the probe gives the port back");
    assert_eq!(world.found(), "");
}

#[test]
fn a_port_in_use_is_told_once_for_all_its_addresses() {
    let world = World::new();
    let taken = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let text = fs::read_to_string(world.0.path().join("p.toml")).unwrap();
    let addresses = format!("[\"127.0.0.1:{port}\", \"127.0.0.2:{port}\", \"192.0.2.1:{port}\"]");
    world.write("p.toml", &text.replace("\"127.0.0.1:0\"", &addresses));
    let found = world.found();
    let told = format!(
        "error: DIR/p.toml:8: cannot listen on 127.0.0.1:{port} and 127.0.0.2:{port}: Address already in use"
    );
    assert!(found.starts_with(&told), "{found}");
    assert_eq!(found.matches("error: ").count(), 2, "{found}");
}

#[test]
fn an_address_of_another_machine_is_told() {
    let world = World::new();
    let text = fs::read_to_string(world.0.path().join("p.toml")).unwrap();
    world.write("p.toml", &text.replace("127.0.0.1:0", "192.0.2.1:0"));
    assert_eq!(
        world.found(),
        "error: DIR/p.toml:8: cannot listen on 192.0.2.1:0: Cannot assign requested address (os error 99)\n  \
         fix: correct the address: it is none of this machine"
    );
}

#[test]
fn everything_is_told_at_once() {
    let world = World::new();
    world.prepend("hostnam = \"x\"\n");
    world.remove("c.pem");
    world.write("users", "ann\n");
    fs::remove_dir(world.0.path().join("mail")).unwrap();
    let report = world.report();
    assert_eq!(report.count(Severity::Error), 4, "{report}");
    let (_, served) = settings_to_serve_by(&world.0.path().join("p.toml"));
    assert_eq!(served.count(Severity::Error), 4, "{served}");
    let mut shown = Vec::new();
    print(Path::new("p.toml"), &report, &mut shown).unwrap();
    let shown = String::from_utf8(shown).unwrap();
    assert!(shown.ends_with("\np.toml: 4 errors\n"), "{shown}");
}

#[test]
fn without_a_configuration_nothing_else_is_told() {
    let world = World::new();
    world.remove("p.toml");
    assert_eq!(
        world.found(),
        "error: DIR/p.toml: cannot be read: No such file or directory (os error 2)\n  \
         fix: make it from conf/pillarbox.toml, or name another one with --config"
    );
}

#[test]
fn only_errors_fail_the_check() {
    let world = World::new();
    let run = || format!("{:?}", run(&world.0.path().join("p.toml")));
    let (good, bad) = (
        format!("{:?}", ExitCode::SUCCESS),
        format!("{:?}", ExitCode::FAILURE),
    );
    assert_eq!(run(), good);
    world.set_mode("k.pem", 0o644);
    assert_eq!(run(), good);
    world.remove("k.pem");
    assert_eq!(run(), bad);
}

#[test]
fn a_state_that_cannot_be_kept_is_warned_of() {
    let world = World::new();
    let set = |to: &str| {
        let old = fs::read_to_string(world.0.path().join("p.toml")).unwrap();
        let line = |line: &str| match line.strip_prefix("state_dir = ") {
            Some(_) => format!("state_dir = {to:?}\n"),
            None => format!("{line}\n"),
        };
        world.write("p.toml", &old.lines().map(line).collect::<String>());
    };
    set("gone");
    assert_eq!(
        world.found(),
        "warning: DIR/gone: a restart forgets which logins have failed: there is no such directory\n  \
         set at DIR/p.toml:5\n  \
         fix: mkdir -p DIR/gone, and let it belong to the user that Pillarbox runs as; or write \
         state_dir = \"\" if nothing is to be kept"
    );
    set("users");
    assert!(world.found().contains("failed: not a directory\n"));
    set("");
    assert_eq!(world.found(), "");
    set(".");
    world.write("throttle", "");
    assert_eq!(world.found(), "");
    world.set_mode("throttle", 0o644);
    assert!(
        world.found().ends_with("fix: chmod 600 DIR/./throttle"),
        "{}",
        world.found()
    );
}

#[test]
fn what_tokens_are_checked_with_must_be_of_use() {
    let world = World::new();
    let add = |lines: &str| {
        let text = fs::read_to_string(world.0.path().join("p.toml")).unwrap();
        world.write("q.toml", &format!("{text}[oauth]\n{lines}"));
        let (_, report) = examine(
            &world.0.path().join("q.toml"),
            Purpose::Serve,
            Source::system().wall(),
        );
        report
            .to_string()
            .replace(&world.0.path().display().to_string(), "DIR")
    };
    let signed = "issuer = \"https://id.example.org\"\naudience = [\"mail\"]\n\
                  jwks = \"keys.json\"\nca = \"c.pem\"\n";
    let told = add(signed);
    assert!(
        told.starts_with("error: DIR/keys.json: cannot be read: No such file"),
        "{told}"
    );
    world.write("keys.json", "{\"keys\": []}");
    let told = add(signed);
    assert!(told.contains("it has no key that can be used"), "{told}");
    world.write(
        "keys.json",
        r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#,
    );
    assert_eq!(add(signed), "");
    let told = add(&signed.replace("c.pem", "users"));
    assert!(
        told.starts_with("error: DIR/users: `ca` in [oauth]: no PEM certificate in DIR/users"),
        "{told}"
    );
    let asked = "introspection = \"https://id.example.org\"\nclient_id = \"mail\"\n\
                 client_secret = \"secret\"\nca = \"c.pem\"\n";
    let told = add(asked);
    assert!(
        told.starts_with("error: DIR/secret: `client_secret` in [oauth]: cannot read DIR/secret"),
        "{told}"
    );
    world.write("secret", "\n");
    let told = add(asked);
    assert!(told.contains("DIR/secret is empty"), "{told}");
    world.write("secret", "hunter2\n");
    assert_eq!(add(asked), "");
    world.set_mode("secret", 0o644);
    assert_eq!(
        add(asked),
        "warning: DIR/secret: other users of this machine can read the secret\n  \
         set at DIR/q.toml:9\n  fix: chmod o-rwx DIR/secret"
    );
}

#[cfg(feature = "sql")]
#[test]
fn what_is_wrong_with_a_database_is_told_with_its_line() {
    let world = World::new();
    let old = fs::read_to_string(world.0.path().join("p.toml")).unwrap();
    let line = old.lines().count() + 1;
    let table = "[accounts]\nbackend = \"sqlite\"\nconnection = \"gone.db\"\npassword_file = \"secret\"\n\
                 query = \"SELECT password FROM accounts WHERE name = :user\"\n";
    world.write("p.toml", &format!("{old}{table}"));
    world.write("secret", "hunter2\n");
    world.set_mode("secret", 0o644);
    let found = world.found();
    let warning = format!(
        "warning: DIR/secret: other users of this machine can read the password of the database\n  \
         set at DIR/p.toml:{line}\n  fix: chmod o-rwx DIR/secret"
    );
    assert!(found.contains(&warning), "{found}");
    let error = format!("error: DIR/p.toml:{line}: SQLite database ");
    assert!(found.contains(&error), "{found}");
}
