//! Mail programs that remember what they have, from one server to the next.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use pillarbox_tests::program::{output, run};

/// An `mbsync` that keeps the whole account the same here and there.
#[derive(Debug)]
pub(crate) struct Mbsync {
    home: PathBuf,
}

/// What a run of it has changed: messages added, flagged and expunged, on the server and here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) far: [u32; 3],
    pub(crate) near: [u32; 3],
}

impl Changes {
    /// Nothing at all.
    pub(crate) const NONE: Self = Self {
        far: [0; 3],
        near: [0; 3],
    };

    /// Changes here and none on the server.
    pub(crate) const fn near(near: [u32; 3]) -> Self {
        Self { far: [0; 3], near }
    }
}

impl Mbsync {
    /// One that knows nothing yet.
    pub(crate) fn new(dir: &Path) -> Self {
        let home = dir.join("mbsync");
        fs::create_dir_all(home.join("mail")).unwrap();
        Self { home }
    }

    /// Makes both sides the same.
    pub(crate) fn run(&self, server: SocketAddr) -> Changes {
        let config = self.home.join("rc");
        let text = format!(
            "FSync no\n\nIMAPAccount far\nHost 127.0.0.1\nPort {port}\nUser ann\nPass pw\n\
             SSLType None\nAuthMechs LOGIN\n\nIMAPStore far\nAccount far\n\n\
             MaildirStore near\nPath {mail}/\nInbox {mail}/INBOX\nSubFolders Verbatim\n\n\
             Channel all\nFar :far:\nNear :near:\nPatterns *\nCreate Both\nRemove Both\n\
             Expunge Both\nSync All\nCopyArrivalDate yes\nSyncState *\n",
            port = server.port(),
            mail = self.home.join("mail").display(),
        );
        fs::write(&config, text).unwrap();
        let before = self.files();
        // It counts only where it believes somebody to look on.
        let command = format!("mbsync -c {} -a", config.display());
        let output = run(Command::new("script")
            .args(["-q", "-e", "-c", &command, "/dev/null"])
            .env("HOME", &self.home));
        let said = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        let changes = Changes {
            far: counts(&said, "F: "),
            near: counts(&said, "N: "),
        };
        // Its word alone is not enough.
        if changes.near == [0; 3] {
            assert_eq!(before, self.files(), "{said}");
        }
        changes
    }

    /// Its files and when they were changed; not its own notes.
    fn files(&self) -> BTreeMap<PathBuf, std::time::SystemTime> {
        let mut found = BTreeMap::new();
        let mut directories = vec![self.home.join("mail")];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let entry = entry.unwrap();
                let metadata = entry.metadata().unwrap();
                if metadata.is_dir() {
                    directories.push(entry.path());
                } else if !entry.file_name().to_string_lossy().starts_with('.') {
                    found.insert(entry.path(), metadata.modified().unwrap());
                }
            }
        }
        found
    }
}

/// The last `+1 *2 #3` after this word.
fn counts(said: &str, side: &str) -> [u32; 3] {
    let (_, last) = said.rsplit_once(side).expect(said);
    let mut words = last.split_whitespace();
    ['+', '*', '#'].map(|mark| {
        let word = words
            .next()
            .and_then(|word| word.strip_prefix(mark))
            .expect(said);
        word.split('/').next().unwrap().parse().expect(said)
    })
}

/// A `fetchmail` that leaves messages on the server and remembers their unique-ids.
#[derive(Debug)]
pub(crate) struct Fetchmail {
    home: PathBuf,
}

impl Fetchmail {
    /// One that knows nothing yet.
    pub(crate) fn new(dir: &Path) -> Self {
        let home = dir.join("fetchmail");
        fs::create_dir_all(home.join("out")).unwrap();
        Self { home }
    }

    /// Fetches what is new; says how many messages that were.
    pub(crate) fn run(&self, server: SocketAddr) -> usize {
        let out = self.home.join("out");
        let rc = self.home.join("rc");
        let text = format!(
            "set no bouncemail\npoll localhost service {} protocol pop3 uidl\n  \
             user ann password pw sslproto '' keep no rewrite no forcecr\n  mda \"cat > {}/$$\"\n",
            server.port(),
            out.display()
        );
        fs::write(&rc, text).unwrap();
        fs::set_permissions(&rc, fs::Permissions::from_mode(0o600)).unwrap();
        let before = fs::read_dir(&out).unwrap().count();
        let output = output(
            Command::new("fetchmail")
                .arg("--fetchmailrc")
                .arg(&rc)
                .arg("--idfile")
                .arg(self.home.join("ids"))
                .arg("--pidfile")
                .arg(self.home.join("pid"))
                .env("HOME", &self.home)
                .env("FETCHMAILHOME", &self.home),
        );
        let fetched = fs::read_dir(&out).unwrap().count() - before;
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        // 1 is: nothing was new.
        let status = i32::from(fetched == 0);
        assert_eq!(output.status.code(), Some(status), "{said}");
        fetched
    }
}
