//! Commands in the one form that the tests compare.

use std::fmt::Write as _;
use std::time::SystemTime;

use mailstore::{FlagChange, FlagOp};

use crate::command::{
    Any, Append, Authenticated, Command, DateOp, ExtendedList, FetchItem, NotAuthenticated, Piece,
    ResultOption, ResultOptions, SearchKey, Seen, SelectParameters, Selected, UnchangedSince,
};
use crate::encode::{fetch_open, string};
use crate::response::FetchData;
use crate::types::{Bound, ByUid, Messages, SeqNum, SequenceSet};

/// All that was parsed, with strings as the encoder writes them.
pub(super) fn tell(command: &Command) -> String {
    match command {
        Command::Any(Any::Id(fields)) => {
            let mut out = "ID".to_owned();
            for (name, value) in fields {
                let value = value.as_deref().map_or("NIL".to_owned(), text);
                write!(out, " {}={value}", text(name)).unwrap();
            }
            out
        }
        Command::Any(command) => format!("{command:?}"),
        Command::NotAuthenticated(NotAuthenticated::Login { user, password }) => {
            format!("Login {} {}", text(user), text(password.expose()))
        }
        Command::NotAuthenticated(NotAuthenticated::Authenticate { mechanism, initial }) => {
            let initial = initial.as_ref().map(|secret| text(secret.expose()));
            format!("Authenticate {mechanism:?} {initial:?}")
        }
        Command::NotAuthenticated(command) => format!("{command:?}"),
        Command::Authenticated(command) => tell_authenticated(command),
        Command::Selected(command) => tell_selected(command),
    }
}

fn tell_authenticated(command: &Authenticated) -> String {
    match command {
        Authenticated::Select(name, parameters) => {
            format!("Select {}{}", text(name), tell_parameters(parameters))
        }
        Authenticated::Examine(name, parameters) => {
            format!("Examine {}{}", text(name), tell_parameters(parameters))
        }
        Authenticated::Create { mailbox, uses } => {
            let uses = uses.iter().flatten().map(|it| format!(" {}", text(it)));
            format!("Create {}{}", text(mailbox), uses.collect::<String>())
        }
        Authenticated::Delete(name) => format!("Delete {}", text(name)),
        Authenticated::Subscribe(name) => format!("Subscribe {}", text(name)),
        Authenticated::Unsubscribe(name) => format!("Unsubscribe {}", text(name)),
        Authenticated::Rename { from, to } => format!("Rename {} {}", text(from), text(to)),
        Authenticated::List { reference, pattern } => {
            format!("List {} {}", text(reference), text(pattern))
        }
        Authenticated::ListExtended(list) => tell_list(list),
        Authenticated::Lsub { reference, pattern } => {
            format!("Lsub {} {}", text(reference), text(pattern))
        }
        Authenticated::Xlist { reference, pattern } => {
            format!("Xlist {} {}", text(reference), text(pattern))
        }
        Authenticated::Status { mailbox, items } => format!("Status {} {items:?}", text(mailbox)),
        Authenticated::Append(append) => tell_append(append),
        Authenticated::Enable(names) => {
            let names: Vec<String> = names.iter().map(|it| text(it)).collect();
            format!("Enable {}", names.join(" "))
        }
        Authenticated::GetQuota(root) => format!("GetQuota {}", text(root)),
        Authenticated::GetQuotaRoot(mailbox) => format!("GetQuotaRoot {}", text(mailbox)),
        Authenticated::SetQuota { root, limits } => {
            let limits = limits.iter();
            let limits: Vec<String> = limits
                .map(|it| format!("{} {}", text(&it.resource), it.limit))
                .collect();
            format!("SetQuota {} ({})", text(root), limits.join(" "))
        }
        Authenticated::Notify(notify) => format!("{notify:?}"),
        Authenticated::Acl(command) => format!("{command:?}"),
        Authenticated::GetMetadata(asked) => format!("{asked:?}"),
        Authenticated::SetMetadata(asked) => format!("{asked:?}"),
        Authenticated::Compress
        | Authenticated::Namespace
        | Authenticated::Idle
        | Authenticated::Unauthenticate => {
            format!("{command:?}")
        }
    }
}

fn tell_list(list: &ExtendedList) -> String {
    let patterns: Vec<String> = list.patterns.iter().map(|it| text(it)).collect();
    format!(
        "List {:?} {} ({}) {:?}",
        list.selection,
        text(&list.reference),
        patterns.join(" "),
        list.returns
    )
}

fn tell_append(append: &Append) -> String {
    let pieces: Vec<String> = append.pieces.iter().map(tell_piece).collect();
    format!("Append {} {}", text(&append.mailbox), pieces.join(" "))
}

/// A piece of an APPEND in short.
pub(super) fn tell_piece(piece: &Piece) -> String {
    match piece {
        Piece::Message {
            flags,
            internal_date,
        } => {
            let date = internal_date.map(|time| {
                let since = time.duration_since(SystemTime::UNIX_EPOCH);
                since.unwrap().as_secs()
            });
            format!("{} {date:?}", tell_change(flags))
        }
        Piece::Octets(octets) => octets.to_string(),
        Piece::AnyOctets(octets) => format!("~{octets}"),
        Piece::Utf8(octets) => format!("UTF8 ~{octets}"),
        Piece::Text(octets) => format!("text {octets}"),
        Piece::Url(url) => url.escape_ascii().to_string(),
        Piece::End => "whole".to_owned(),
    }
}

fn tell_selected(command: &Selected) -> String {
    match command {
        Selected::Expunge(Some(uids)) => format!("Expunge {}", tell_messages(uids)),
        Selected::Check | Selected::Close | Selected::Unselect | Selected::Expunge(None) => {
            format!("{command:?}")
        }
        Selected::Search(search) => {
            let keys = search.keys.as_ref().map(|keys| tell_keys(keys));
            let returns = search.returns.map(tell_returns).unwrap_or_default();
            format!(
                "Search {:?} {returns}{}",
                search.by_uid,
                keys.unwrap_or("unknown charset".to_owned())
            )
        }
        Selected::Fetch {
            messages,
            items,
            changed_since,
        } => {
            let items: Vec<String> = items.iter().map(tell_item).collect();
            let since = changed_since.map(|since| {
                let mod_seq = since.mod_seq.map_or(0, mailstore::ModSeq::get);
                format!(" since {mod_seq} {:?}", since.gone)
            });
            let since = since.unwrap_or_default();
            format!(
                "Fetch {} {}{since}",
                tell_messages(messages),
                items.join(" ")
            )
        }
        Selected::Store {
            messages,
            change,
            echo,
            condition,
        } => {
            let condition = condition.map(|UnchangedSince(since)| {
                format!(" since {}", since.map_or(0, mailstore::ModSeq::get))
            });
            format!(
                "Store {} {} {echo:?}{}",
                tell_messages(messages),
                tell_change(change),
                condition.unwrap_or_default()
            )
        }
        Selected::Copy { messages, mailbox } => {
            format!("Copy {} {}", tell_messages(messages), text(mailbox))
        }
        Selected::Replace { message, append } => {
            format!(
                "Replace {} with {}",
                tell_messages(message),
                tell_append(append)
            )
        }
        Selected::Move { messages, mailbox } => {
            format!("Move {} {}", tell_messages(messages), text(mailbox))
        }
    }
}

fn tell_parameters(parameters: &SelectParameters) -> String {
    let condstore = parameters.condstore.map(|_| " condstore".to_owned());
    let qresync = parameters.qresync.as_ref().map(|known| {
        let uids = known.uids.as_ref().map(tell_set).unwrap_or_default();
        let matches = known.matches.as_ref();
        let matches = matches.map(|(numbers, uids)| format!("{numbers} {uids}"));
        let matches = matches.unwrap_or_default();
        let (validity, mod_seq) = (known.uid_validity, known.mod_seq);
        format!(" qresync {validity} {mod_seq} [{uids}] [{matches}]")
    });
    condstore.into_iter().chain(qresync).collect()
}

fn tell_returns(options: ResultOptions) -> String {
    use ResultOption::{All, Count, Max, Min, Save};
    let given = [Min, Max, Count, All, Save].map(|it| options.has(it).then(|| format!("{it:?} ")));
    format!("=> {}", given.into_iter().flatten().collect::<String>())
}

fn tell_item(item: &FetchItem) -> String {
    let FetchItem::Section(section) = item else {
        return format!("{item:?}");
    };
    let mut out = Vec::new();
    let mut fetch = fetch_open(&mut out, SeqNum::new(1).unwrap());
    fetch.item(&mut out, &FetchData::Section(section.clone(), None));
    let name = String::from_utf8(out).unwrap();
    let name = name.strip_prefix("* 1 FETCH (").unwrap();
    let octets = section
        .partial
        .map_or(String::new(), |partial| format!("{{{}}}", partial.octets));
    let seen = match section.seen {
        Seen::Set => "",
        Seen::Peek => "peek:",
    };
    format!("{seen}{}{octets}", name.strip_suffix(" NIL").unwrap())
}

fn tell_keys(keys: &[SearchKey]) -> String {
    let keys: Vec<String> = keys.iter().map(tell_key).collect();
    keys.join(" ")
}

fn tell_key(key: &SearchKey) -> String {
    let op = |op: &DateOp| format!("{op:?}");
    match key {
        SearchKey::All => "all".to_owned(),
        SearchKey::And(keys) => format!("({})", tell_keys(keys)),
        SearchKey::Or(keys) => format!("[{} | {}]", tell_key(&keys.0), tell_key(&keys.1)),
        SearchKey::Not(key) => format!("!{}", tell_key(key)),
        SearchKey::Flag(flag) => flag.name().to_owned(),
        SearchKey::Keyword(Some(keyword)) => keyword.to_string(),
        SearchKey::Keyword(None) => "never".to_owned(),
        SearchKey::Recent => "\\Recent".to_owned(),
        SearchKey::Messages(messages) => tell_messages(messages),
        SearchKey::ModSeq(since) => {
            format!("modseq:{}", since.map_or(0, mailstore::ModSeq::get))
        }
        SearchKey::Larger(octets) => format!(">{octets}"),
        SearchKey::Smaller(octets) => format!("<{octets}"),
        SearchKey::InternalDate(how, date) => format!("{}:{}", op(how), date.0),
        SearchKey::SaveDate(how, date) => format!("Saved{}:{}", op(how), date.0),
        SearchKey::SaveDateSupported => "saved?".to_owned(),
        SearchKey::EmailId(id) => format!("email:{}", text(id)),
        SearchKey::ThreadId(id) => format!("thread:{}", text(id)),
        SearchKey::SentDate(how, date) => format!("Sent{}:{}", op(how), date.0),
        SearchKey::Header(name, value) => format!("{}:{value:?}", text(name)),
        SearchKey::Body(value) => format!("body:{value:?}"),
        SearchKey::Text(value) => format!("text:{value:?}"),
    }
}

fn tell_change(change: &FlagChange) -> String {
    let sign = match change.op {
        FlagOp::Add => "+",
        FlagOp::Remove => "-",
        FlagOp::Replace | FlagOp::ReplaceOf(_) => "=",
    };
    let system = change.system.system().map(|flag| flag.name().to_owned());
    let keywords = change.keywords.iter().map(ToString::to_string);
    let names: Vec<String> = system.chain(keywords).collect();
    format!("{sign}({})", names.join(" "))
}

fn tell_messages(messages: &Messages) -> String {
    match messages {
        Messages::Seq(set) => tell_set(set),
        Messages::Uid(set) => format!("uid {}", tell_set(set)),
        Messages::Saved(ByUid::No) => "$".to_owned(),
        Messages::Saved(ByUid::Yes) => "uid $".to_owned(),
    }
}

fn tell_set(set: &SequenceSet) -> String {
    let number = |bound: Bound| match bound {
        Bound::Number(number) => number.to_string(),
        Bound::Largest => "*".to_owned(),
    };
    let range = |&(first, second): &(Bound, Bound)| {
        if first == second {
            number(first)
        } else {
            format!("{}:{}", number(first), number(second))
        }
    };
    set.0.iter().map(range).collect::<Vec<_>>().join(",")
}

fn text(octets: &[u8]) -> String {
    let mut out = Vec::new();
    string::astring(&mut out, octets);
    out.escape_ascii().to_string().replace("\\\"", "\"")
}
