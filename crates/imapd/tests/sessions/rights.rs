//! The rights that each command needs (RFC 4314 §4): with them it works, without one of them it is
//! refused and nothing has changed, and where the mailbox may not be looked up, it is answered as if
//! there were none.

use std::collections::BTreeMap;

use imapd::command::{AclCommand, Any, Authenticated, Command, NotAuthenticated, Selected};
use imapd::{Limits, grammar};

use crate::sharing::{Shared, state_of};

/// Defines the kinds of commands that have to do with mailboxes, and lists them.
macro_rules! kinds {
    ($($kind:ident),* $(,)?) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum Kind {
            $($kind),*
        }

        const KINDS: &[Kind] = &[$(Kind::$kind),*];
    };
}

kinds![
    Select,
    Examine,
    Create,
    Delete,
    Rename,
    Subscribe,
    Unsubscribe,
    List,
    ListExtended,
    Xlist,
    Lsub,
    Status,
    Append,
    GetMetadata,
    SetMetadata,
    Notify,
    GetQuotaRoot,
    SetAcl,
    DeleteAcl,
    GetAcl,
    ListRights,
    MyRights,
    Check,
    Close,
    Unselect,
    Expunge,
    Search,
    Fetch,
    Store,
    Copy,
    Move,
    Replace,
];

/// What kind of command it is; `None` if it has nothing to do with mailboxes. Whoever adds a command
/// says here which it is, and below which rights it needs.
fn kind(command: &Command) -> Option<Kind> {
    match command {
        Command::Any(Any::Capability | Any::Noop | Any::Logout | Any::Id(_)) => None,
        Command::NotAuthenticated(
            NotAuthenticated::StartTls
            | NotAuthenticated::Authenticate { .. }
            | NotAuthenticated::Login { .. },
        ) => None,
        Command::Authenticated(command) => kind_of_authenticated(command),
        Command::Selected(command) => Some(match command {
            Selected::Check => Kind::Check,
            Selected::Close => Kind::Close,
            Selected::Unselect => Kind::Unselect,
            Selected::Expunge(_) => Kind::Expunge,
            Selected::Search(_) => Kind::Search,
            Selected::Fetch { .. } => Kind::Fetch,
            Selected::Store { .. } => Kind::Store,
            Selected::Copy { .. } => Kind::Copy,
            Selected::Move { .. } => Kind::Move,
            Selected::Replace { .. } => Kind::Replace,
        }),
    }
}

fn kind_of_authenticated(command: &Authenticated) -> Option<Kind> {
    Some(match command {
        Authenticated::Select(..) => Kind::Select,
        Authenticated::Examine(..) => Kind::Examine,
        Authenticated::Create { .. } => Kind::Create,
        Authenticated::Delete(_) => Kind::Delete,
        Authenticated::Rename { .. } => Kind::Rename,
        Authenticated::Subscribe(_) => Kind::Subscribe,
        Authenticated::Unsubscribe(_) => Kind::Unsubscribe,
        Authenticated::List { .. } => Kind::List,
        Authenticated::ListExtended(_) => Kind::ListExtended,
        Authenticated::Xlist { .. } => Kind::Xlist,
        Authenticated::Lsub { .. } => Kind::Lsub,
        Authenticated::Status { .. } => Kind::Status,
        Authenticated::Append(_) => Kind::Append,
        Authenticated::GetMetadata(_) => Kind::GetMetadata,
        Authenticated::SetMetadata(_) => Kind::SetMetadata,
        Authenticated::Notify(_) => Kind::Notify,
        Authenticated::GetQuotaRoot(_) => Kind::GetQuotaRoot,
        Authenticated::Acl(command) => match command {
            AclCommand::Set { .. } => Kind::SetAcl,
            AclCommand::Delete { .. } => Kind::DeleteAcl,
            AclCommand::Get(_) => Kind::GetAcl,
            AclCommand::ListRights { .. } => Kind::ListRights,
            AclCommand::MyRights(_) => Kind::MyRights,
        },
        // Quota roots are the users' own; those of others are for administrators.
        Authenticated::GetQuota(_)
        | Authenticated::SetQuota { .. }
        | Authenticated::Namespace
        | Authenticated::Idle
        | Authenticated::Compress
        | Authenticated::Enable(_)
        | Authenticated::Unauthenticate => return None,
    })
}

/// A command, by whom, and what it needs.
#[derive(Clone, Debug)]
struct Row {
    /// With `@` before the names of mailboxes of the owner.
    line: &'static str,
    by: By,
    /// Mailboxes, each with a colon and the rights; with `?` one of them is enough.
    needs: &'static str,
    /// What it does.
    effect: Effect,
    /// What the lack of a right means, if not that the command is refused for that.
    lacking: Vec<(char, Lacking)>,
}

/// Who sends a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    /// Another user, with no mailbox selected.
    Other,
    /// Another user, with the owner's `Work` selected.
    Selected,
    /// The owner, to whom the same applies but for `l` and `a`.
    Owner,
}

/// Whether a command changes mailboxes, or what is subscribed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    /// It does not.
    Reads,
    /// It does.
    Changes,
}

/// What becomes of a command without a right.
#[derive(Clone, Copy, Debug)]
enum Lacking {
    /// It is refused with an answer that has this.
    Refused(&'static str),
    /// It is carried out without telling this.
    Untold(&'static str),
}

const fn row(line: &'static str, by: By, needs: &'static str, effect: Effect) -> Row {
    let lacking = Vec::new();
    Row {
        line,
        by,
        needs,
        effect,
        lacking,
    }
}

impl Row {
    fn refused(mut self, right: char, text: &'static str) -> Self {
        self.lacking.push((right, Lacking::Refused(text)));
        self
    }

    fn untold(mut self, right: char, text: &'static str) -> Self {
        self.lacking.push((right, Lacking::Untold(text)));
        self
    }

    fn needs(&self) -> Rights {
        let needs = self.needs.split_terminator(' ');
        let needs = needs.map(|need| need.split_once(':').unwrap());
        needs
            .map(|(mailbox, rights)| (mailbox.to_owned(), rights.to_owned()))
            .collect()
    }

    /// What the lack of a right means.
    fn lacking(&self, mailbox: &str, right: char) -> Lacking {
        let found = self.lacking.iter().find(|(it, _)| *it == right);
        match found {
            Some((_, lacking)) => *lacking,
            // A session that may not read ends.
            None if right == 'r' && mailbox == "Work" && self.by == By::Selected => {
                Lacking::Refused("* BYE ")
            }
            None if right == 'l' => Lacking::Refused("x NO [NONEXISTENT] "),
            None => Lacking::Refused("x NO [NOPERM] "),
        }
    }
}

fn in_authenticated_state() -> Vec<Row> {
    use By::Other;
    use Effect::{Changes, Reads};
    vec![
        row("SELECT @Work", Other, "Work:r", Reads),
        row("EXAMINE @Work", Other, "Work:r", Reads),
        row("CREATE @Work/New", Other, "Work:k", Changes),
        row(
            "CREATE @Target/Below/New/New",
            Other,
            "Target/Below:k",
            Changes,
        ),
        row("DELETE @Work", Other, "Work:x", Changes),
        row("DELETE @Target", Other, "Target:x", Changes),
        row(
            "RENAME @Work @Target/New",
            Other,
            "Work:x Target:k",
            Changes,
        ),
        row(
            "RENAME @Plain @Target/New",
            Other,
            "Plain/One:x Plain/Two:x Target:k",
            Changes,
        ),
        row("SUBSCRIBE @Work", Other, "Work:l", Changes),
        row("UNSUBSCRIBE @Work", Other, "", Reads),
        row("LIST \"\" @Work", Other, "Work:l", Reads).untold('l', "* LIST ("),
        row("XLIST \"\" @Work", Other, "Work:l", Reads).untold('l', "* XLIST ("),
        row("LSUB \"\" *", Other, "", Reads),
        row(
            "LIST \"\" @Work RETURN (MYRIGHTS STATUS (MESSAGES))",
            Other,
            "Work:lr",
            Reads,
        )
        .untold('l', "Work\"")
        .untold('r', "* STATUS "),
        row("STATUS @Work (MESSAGES SIZE)", Other, "Work:r", Reads),
        row("APPEND @Work {1+}\r\nx", Other, "Work:i", Changes),
        row(
            "APPEND @Target CATENATE (URL \"/Other%20Users/user@test/Work/;UID=1\")",
            Other,
            "Work:r Target:i",
            Changes,
        )
        .refused('r', "x NO [BADURL "),
        row("GETQUOTAROOT @Work", Other, "Work:r", Reads),
        row("SETACL @Work eve lr", Other, "Work:a", Changes),
        row("DELETEACL @Work bob", Other, "Work:a", Changes),
        row("GETACL @Work", Other, "Work:a", Reads),
        row("LISTRIGHTS @Work eve", Other, "Work:a", Reads),
        row("MYRIGHTS @Work", Other, "Work:?lrikxa", Reads),
    ]
}

fn in_selected_state() -> Vec<Row> {
    use By::Selected;
    use Effect::{Changes, Reads};
    vec![
        row("CHECK", Selected, "Work:r", Reads),
        row("UNSELECT", Selected, "", Reads),
        // What may not be expunged, stays.
        row("CLOSE", Selected, "Work:re", Changes).untold('e', "x BAD"),
        row("EXPUNGE", Selected, "Work:re", Changes),
        row("UID EXPUNGE 2", Selected, "Work:re", Changes),
        row("SEARCH TEXT x", Selected, "Work:r", Reads),
        row("FETCH 3 (FLAGS BODY.PEEK[])", Selected, "Work:r", Reads),
        row("FETCH 3 BODY[]", Selected, "Work:rs", Changes).untold('s', "\\Seen old"),
        row("FETCH 3 BINARY[1]", Selected, "Work:rs", Changes).untold('s', "\\Seen old"),
        row("FETCH 3 RFC822", Selected, "Work:rs", Changes).untold('s', "\\Seen old"),
        row("STORE 3 +FLAGS (\\Seen)", Selected, "Work:rs", Changes),
        row("STORE 3 +FLAGS (\\Deleted)", Selected, "Work:rt", Changes),
        row(
            "UID STORE 2 -FLAGS (\\Deleted)",
            Selected,
            "Work:rt",
            Changes,
        ),
        row("STORE 3 FLAGS (\\Flagged)", Selected, "Work:rw", Changes),
        row("STORE 1 -FLAGS (\\Answered)", Selected, "Work:rw", Changes),
        row("STORE 3 +FLAGS.SILENT (new)", Selected, "Work:rw", Changes),
        row("COPY 3 @Target", Selected, "Work:r Target:i", Changes),
        row("UID COPY 3 @Work", Selected, "Work:ri", Changes),
        row("MOVE 3 @Target", Selected, "Work:rte Target:i", Changes),
        row("UID MOVE 3 INBOX", Selected, "Work:rte", Changes),
        row(
            "REPLACE 3 @Target {1+}\r\nx",
            Selected,
            "Work:rte Target:i",
            Changes,
        ),
        row(
            "UID REPLACE 3 @Work {1+}\r\nx",
            Selected,
            "Work:rtei",
            Changes,
        ),
    ]
}

/// What is for the owner's own mailboxes.
fn of_owners() -> Vec<Row> {
    use By::Owner;
    use Effect::{Changes, Reads};
    let notify = "NOTIFY SET STATUS (MAILBOXES Work (MessageNew MessageExpunge))";
    vec![
        row(
            "GETMETADATA Work /shared/comment",
            Owner,
            "Work:?rswip",
            Reads,
        ),
        row(
            "SETMETADATA Work (/shared/comment \"x\")",
            Owner,
            "Work:?rswip",
            Reads,
        ),
        row(notify, Owner, "Work:r", Reads).untold('r', "* STATUS "),
        row("STATUS Work (MESSAGES)", Owner, "Work:r", Reads),
        row("DELETE Work", Owner, "Work:x", Changes),
        row("RENAME Work Target/New", Owner, "Work:x Target:k", Changes),
        row("APPEND Work {1+}\r\nx", Owner, "Work:i", Changes),
        row("GETQUOTAROOT Work", Owner, "Work:r", Reads),
    ]
}

fn rows() -> Vec<Row> {
    let mut rows = in_authenticated_state();
    rows.extend(in_selected_state());
    rows.extend(of_owners());
    rows
}

/// What somebody may do, by mailbox.
type Rights = BTreeMap<String, String>;

/// The same, with other rights to one mailbox.
fn with(rights: &Rights, mailbox: &str, letters: String) -> Rights {
    let mut rights = rights.clone();
    rights.insert(mailbox.to_owned(), letters);
    rights
}

/// What comes of a command where somebody has these rights: the answer, and whether anything has
/// changed.
fn attempt(line: &str, by: By, rights: &Rights) -> (String, bool) {
    let world = Shared::new();
    let mut owner = world.log_in("user");
    for mailbox in MAILBOXES {
        owner.expect(format!("a CREATE {mailbox}\r\n"), &["a OK …"]);
    }
    for flags in ["\\Answered", "\\Deleted", "old"] {
        let append = format!("a APPEND Work ({flags}) {{3+}}\r\nx\r\n\r\n");
        owner.expect(append, &["a OK …"]);
    }
    owner.send("a SELECT Work\r\na UNSELECT\r\n");
    let whom = if by == By::Owner { "owner" } else { "bob" };
    let mut client = world.log_in(if by == By::Owner { "user" } else { "bob" });
    if by == By::Selected {
        owner.expect("a SETACL Work bob lrswite\r\n", &["a OK …"]);
        let answer = client.send("a SELECT \"Other Users/user@test/Work\"\r\n");
        assert!(answer.contains("a OK [READ-WRITE] "), "{answer}");
    }
    for mailbox in MAILBOXES {
        let letters = rights.get(*mailbox).map_or("", |letters| letters);
        let set = format!("a SETACL {mailbox} {whom} \"{letters}\"\r\n");
        owner.expect(set, &["a OK …"]);
    }
    let above = world.root("user");
    let above = above.parent().unwrap();
    let before = state_of(above);
    let answer = client.send(format!("x {}\r\n", wire(line)));
    (answer, state_of(above) != before)
}

/// A command as it is sent.
fn wire(line: &str) -> String {
    let words = line.split(' ').map(|word| match word.strip_prefix('@') {
        Some(name) => format!("\"Other Users/user@test/{name}\""),
        None => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn every_command_is_in_the_table() {
    let mut missing = KINDS.to_vec();
    for row in rows() {
        // Messages do not come to the grammar.
        let line = row.line.replace("{1+}\r\nx", "CATENATE (URL \"x\")");
        let line = format!("x {}", wire(&line));
        let parsed = grammar::command(line.as_bytes(), &Limits::default());
        let parsed = parsed.unwrap_or_else(|error| panic!("{line}: {error:?}"));
        let kind = kind(&parsed.command).unwrap();
        missing.retain(|it| *it != kind);
    }
    assert_eq!(missing, []);
}

#[test]
fn commands_work_with_the_rights_they_need() {
    for row in rows() {
        for rights in enough(&row) {
            let (answer, changed) = attempt(row.line, row.by, &rights);
            assert!(answer.contains("x OK "), "{row:?} {rights:?}: {answer}");
            assert_eq!(
                changed,
                row.effect == Effect::Changes,
                "{row:?} {rights:?}: {answer}"
            );
            for (_, lacking) in &row.lacking {
                if let Lacking::Untold(text) = lacking
                    && !text.starts_with("x ")
                {
                    assert!(answer.contains(text), "{row:?}: {answer}");
                }
            }
        }
    }
}

/// The sets of rights that are just enough for a command.
fn enough(row: &Row) -> Vec<Rights> {
    let needs = row.needs();
    let mut sets = vec![needs.clone()];
    for (mailbox, rights) in &needs {
        if let Some(one_of) = rights.strip_prefix('?') {
            let each = one_of.chars();
            sets = each
                .map(|right| with(&needs, mailbox, right.to_string()))
                .collect();
        }
    }
    sets
}

#[test]
fn commands_are_refused_without_a_right_they_need() {
    for row in rows() {
        let needs = row.needs();
        for (mailbox, rights) in &needs {
            let (all, lacks) = match rights.strip_prefix('?') {
                Some(one_of) => (one_of, one_of.chars().next().into_iter().collect()),
                None => (rights.as_str(), rights.chars().collect::<Vec<_>>()),
            };
            for right in lacks {
                let left = match rights.starts_with('?') {
                    true => String::new(),
                    false => all.replace(right, ""),
                };
                let seen = if all.contains('l') { "" } else { "l" };
                let lessened = with(&needs, mailbox, format!("{left}{seen}"));
                let (answer, changed) = attempt(row.line, row.by, &lessened);
                let context = format!("{row:?} without {right} to {mailbox}: {answer}");
                assert!(!changed, "{context}");
                match row.lacking(mailbox, right) {
                    Lacking::Refused(text) => assert!(answer.contains(text), "{context}"),
                    Lacking::Untold(text) => {
                        assert!(!answer.contains(text), "{context}");
                        assert!(answer.contains("x OK "), "{context}");
                    }
                }
            }
        }
    }
}

#[test]
fn mailboxes_that_may_not_be_looked_up_seem_not_to_exist() {
    for row in rows().iter().filter(|row| row.by != By::Owner) {
        let needs = row.needs();
        for (mailbox, rights) in &needs {
            let selected = row.by == By::Selected && mailbox == "Work";
            if selected || !row.line.contains(&format!("@{mailbox}")) {
                continue;
            }
            let none = with(&needs, mailbox, String::new());
            let (hidden, changed) = attempt(row.line, row.by, &none);
            assert!(!changed, "{row:?} without {rights} to {mailbox}: {hidden}");
            let elsewhere = row.line.replace(&format!("@{mailbox}"), "@Nothing");
            let (missing, _) = attempt(&elsewhere, row.by, &none);
            assert_eq!(hidden, missing, "{row:?} {mailbox}");
        }
    }
}

/// The owner's mailboxes. `Plain` is only above others.
const MAILBOXES: &[&str] = &["Work", "Target", "Target/Below", "Plain/One", "Plain/Two"];
