//! Account names, and the template that turns one into the root of its mail.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::prepare::{self, Unprepared};

/// The canonical name of an account: `local@domain` or `local`, each part prepared by SASLprep
/// (RFC 4013) and in lower case in ASCII.
///
/// What SASLprep does to text is done to the whole, so that no character becomes an `@` later; its
/// rules about what may stand there are those of each part, because an address may well join
/// letters from right to left with a domain from left to right.
///
/// Invariant: neither part is empty, starts with `.`, holds `..`, `/`, `:` or a control character,
/// or is longer than [`MAX_PART`] octets; so a part is always one plain component of a path, and
/// the name always fits into one line of a users file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    text: String,
    local: usize,
}

/// Why a name was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing before or nothing after the `@`.
    #[error("name is empty or has an empty part")]
    Empty,
    /// A part that could be a hidden or a parent directory.
    #[error("name has a part that starts with '.' or holds '..'")]
    Dots,
    /// `/`, which would leave the directory, or `:`, which the users file cannot hold.
    #[error("name holds '/' or ':'")]
    Separator,
    /// A control character, NUL included.
    #[error("name holds a control character")]
    Control,
    /// A part is longer than [`MAX_PART`] octets.
    #[error("name has a part longer than {MAX_PART} octets")]
    TooLong,
    /// SASLprep refuses a part (RFC 4013 §2.3, §2.4).
    #[error("name {0}")]
    Unprepared(Unprepared),
}

impl Name {
    /// Reads a name; one without a domain gets `default_domain`, if there is one.
    ///
    /// # Errors
    /// Says why this can never be a name.
    pub fn parse(text: &str, default_domain: Option<&str>) -> Result<Self, NameError> {
        let text = folded(text);
        let default_domain = default_domain.map(folded);
        let (local, domain) = match text.rsplit_once('@') {
            Some((local, domain)) => (local, Some(domain)),
            None => (&*text, default_domain.as_deref()),
        };
        check_part(local)?;
        let mut text = local.to_owned();
        if let Some(domain) = domain {
            check_part(domain)?;
            text.push('@');
            text.push_str(domain);
        }
        Ok(Self {
            text,
            local: local.len(),
        })
    }

    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What is before the `@`.
    pub fn local(&self) -> &str {
        self.text.get(..self.local).unwrap_or_default()
    }

    /// What is after the `@`, if there is one.
    pub fn domain(&self) -> Option<&str> {
        self.text.get(self.local + 1..)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Text as SASLprep maps and normalizes it, in lower case in ASCII.
fn folded(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let mut text = prepare::mapped(text);
    text.make_ascii_lowercase();
    // A mark may be one with a small letter where it is apart from the capital: "H\u{331}".
    prepare::mapped(&text)
}

/// Checks what must hold for each part of a name.
fn check_part(part: &str) -> Result<(), NameError> {
    if part.is_empty() {
        Err(NameError::Empty)
    } else if part.len() > MAX_PART {
        Err(NameError::TooLong)
    } else if part.chars().any(char::is_control) {
        Err(NameError::Control)
    } else if part.contains(['/', ':']) {
        Err(NameError::Separator)
    } else if part.starts_with('.') || part.contains("..") {
        Err(NameError::Dots)
    } else {
        prepare::query(part)
            .map(drop)
            .map_err(NameError::Unprepared)
    }
}

/// Where the mail of an account is: a path with `{user}`, `{domain}` and `{local}` in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailTemplate {
    text: String,
    pieces: Vec<Piece>,
}

/// A part of a [`MailTemplate`].
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    /// Text that stands for itself.
    Literal(String),
    /// `{user}`: the whole name.
    User,
    /// `{domain}`: what is after the `@`.
    Domain,
    /// `{local}`: what is before the `@`.
    Local,
}

/// Why a template was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The path depends on where the server was started.
    #[error("path is not absolute; start it with '/'")]
    Relative,
    /// All accounts would share one tree.
    #[error("path is the same for all users; put {{user}}, or {{domain}} and {{local}}, into it")]
    Shared,
    /// A word in braces that is none of ours.
    #[error("{{{0}}} is not known; use {{user}}, {{domain}} or {{local}}")]
    Unknown(String),
    /// A brace without its partner.
    #[error("a brace is not closed")]
    Brace,
    /// A `..` in the path, or a control character.
    #[error("path holds '..' or a control character")]
    Unsafe,
}

impl MailTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        if !text.starts_with('/') {
            return Err(TemplateError::Relative);
        }
        if text.chars().any(char::is_control) || text.split('/').any(|level| level == "..") {
            return Err(TemplateError::Unsafe);
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((literal, after)) = rest.split_once('{') {
            let (word, after) = after.split_once('}').ok_or(TemplateError::Brace)?;
            pieces.push(Piece::Literal(literal.to_owned()));
            pieces.push(match word {
                "user" => Piece::User,
                "domain" => Piece::Domain,
                "local" => Piece::Local,
                other => return Err(TemplateError::Unknown(other.to_owned())),
            });
            rest = after;
        }
        pieces.push(Piece::Literal(rest.to_owned()));
        if pieces
            .iter()
            .any(|piece| matches!(piece, Piece::Literal(literal) if literal.contains('}')))
        {
            return Err(TemplateError::Brace);
        }
        if !pieces
            .iter()
            .any(|piece| matches!(piece, Piece::User | Piece::Local))
        {
            return Err(TemplateError::Shared);
        }
        Ok(Self {
            text: text.to_owned(),
            pieces,
        })
    }

    /// The root of the mail of `name`; `None` if the template wants a domain and there is none, or
    /// if a component would be too long.
    ///
    /// The result is always below [`MailTemplate::root`]: the parts of a [`Name`] are plain
    /// components and never `..` (S34).
    pub fn expand(&self, name: &Name) -> Option<PathBuf> {
        let mut path = String::with_capacity(self.text.len() + name.as_str().len());
        for piece in &self.pieces {
            path.push_str(match piece {
                Piece::Literal(literal) => literal,
                Piece::User => name.as_str(),
                Piece::Domain => name.domain()?,
                Piece::Local => name.local(),
            });
        }
        let fits = path
            .split('/')
            .all(|level| level != ".." && level.len() <= MAX_COMPONENT);
        fits.then(|| PathBuf::from(path))
    }

    /// The deepest directory that all accounts share.
    pub fn root(&self) -> &Path {
        let fixed = match self.pieces.first() {
            Some(Piece::Literal(literal)) => literal.as_str(),
            Some(Piece::User | Piece::Domain | Piece::Local) | None => "/",
        };
        match fixed.rsplit_once('/') {
            Some(("", _)) | None => Path::new("/"),
            Some((directory, _)) => Path::new(directory),
        }
    }

    /// The template as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// The longest part of a name, in octets (RFC 4616 §2 wants 255 of the whole at least).
pub const MAX_PART: usize = 255;

/// The longest component of a path, in octets (`NAME_MAX` of the usual file systems).
const MAX_COMPONENT: usize = 255;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_folded_and_get_the_default_domain() {
        for (text, domain, expected) in [
            ("Ann@Example.ORG", None, "ann@example.org"),
            ("ann", Some("Example.org"), "ann@example.org"),
            ("ann", None, "ann"),
            ("a@b@example.org", Some("x"), "a@b@example.org"),
            ("J\u{d6}RG@x", None, "j\u{d6}rg@x"),
            ("JO\u{308}RG@x", None, "j\u{d6}rg@x"),
            ("H\u{331}AMZA@x", None, "\u{1e96}amza@x"),
            (
                "\u{ff41}nn\u{ff20}example.org",
                Some("x"),
                "ann@example.org",
            ),
            ("a\u{ad}nn@exam\u{200b}ple.org", None, "ann@exam ple.org"),
            ("שלום@example.org", None, "שלום@example.org"),
            ("ann", Some("bu\u{308}cher.example"), "ann@bücher.example"),
        ] {
            let name = Name::parse(text, domain).unwrap();
            assert_eq!(name.as_str(), expected);
        }
        let name = Name::parse("a@b@example.org", None).unwrap();
        assert_eq!((name.local(), name.domain()), ("a@b", Some("example.org")));
        assert_eq!(Name::parse("ann", None).unwrap().domain(), None);
    }

    #[test]
    fn names_that_could_leave_their_root_are_refused() {
        let long = "a".repeat(256);
        for (text, expected) in [
            ("", NameError::Empty),
            ("@", NameError::Empty),
            ("ann@", NameError::Empty),
            ("@example.org", NameError::Empty),
            (".", NameError::Dots),
            ("..", NameError::Dots),
            ("..@..", NameError::Dots),
            ("ann@..", NameError::Dots),
            (".ann@example.org", NameError::Dots),
            ("ann@.example.org", NameError::Dots),
            ("a..b@example.org", NameError::Dots),
            ("../ann@example.org", NameError::Separator),
            ("ann/../bob@example.org", NameError::Separator),
            ("/etc@example.org", NameError::Separator),
            ("ann:x@example.org", NameError::Separator),
            ("ann\0@example.org", NameError::Control),
            ("ann\n@example.org", NameError::Control),
            ("ann\u{85}@example.org", NameError::Control),
            ("\u{2025}/ann@example.org", NameError::Separator),
            ("\u{2025}@example.org", NameError::Dots),
            ("ann\u{ff0f}b@example.org", NameError::Separator),
            ("ann\u{fe55}b@example.org", NameError::Separator),
            ("\u{ad}@example.org", NameError::Empty),
            (
                "ann\u{202e}@example.org",
                NameError::Unprepared(Unprepared::Prohibited),
            ),
            (
                "\u{627}1@example.org",
                NameError::Unprepared(Unprepared::Direction),
            ),
            (&long, NameError::TooLong),
        ] {
            assert_eq!(Name::parse(text, None), Err(expected), "{text:?}");
        }
    }

    #[test]
    fn templates_expand() {
        let ann = Name::parse("ann@example.org", None).unwrap();
        for (template, path, root) in [
            (
                "/srv/mail/{domain}/{local}",
                "/srv/mail/example.org/ann",
                "/srv/mail",
            ),
            (
                "/srv/{user}/Maildir",
                "/srv/ann@example.org/Maildir",
                "/srv",
            ),
            ("/home/u-{local}", "/home/u-ann", "/home"),
            ("/{user}", "/ann@example.org", "/"),
        ] {
            let template = MailTemplate::parse(template).unwrap();
            assert_eq!(template.expand(&ann), Some(PathBuf::from(path)));
            assert_eq!(template.root(), Path::new(root));
        }
        let template = MailTemplate::parse("/srv/{domain}/{local}").unwrap();
        assert_eq!(template.expand(&Name::parse("ann", None).unwrap()), None);
        let long = Name::parse(&format!("{0}@{0}", "a".repeat(200)), None).unwrap();
        assert_eq!(MailTemplate::parse("/{user}").unwrap().expand(&long), None);
    }

    #[test]
    fn bad_templates_are_refused() {
        for (template, expected) in [
            ("mail/{user}", TemplateError::Relative),
            ("", TemplateError::Relative),
            ("/srv/mail", TemplateError::Shared),
            ("/srv/{domain}", TemplateError::Shared),
            ("/srv/{name}", TemplateError::Unknown("name".into())),
            ("/srv/{user", TemplateError::Brace),
            ("/srv/user}/{user}", TemplateError::Brace),
            ("/srv/{user}}", TemplateError::Brace),
            ("/srv/../{user}", TemplateError::Unsafe),
            ("/srv/\0{user}", TemplateError::Unsafe),
        ] {
            assert_eq!(MailTemplate::parse(template), Err(expected), "{template:?}");
        }
    }

    proptest! {
        #[test]
        fn no_name_leaves_the_root(text in "[a-zA-Z./@:\\x00~ ]{0,12}|.{0,20}") {
            for template in ["/srv/mail/{domain}/{local}", "/srv/mail/{user}", "/srv/mail/x{local}"] {
                let template = MailTemplate::parse(template).unwrap();
                let Ok(name) = Name::parse(&text, Some("example.org")) else { continue };
                let Some(path) = template.expand(&name) else { continue };
                prop_assert!(path.starts_with("/srv/mail"));
                let below = path.strip_prefix("/srv/mail").unwrap();
                prop_assert!(below.components().count() >= 1);
                prop_assert!(
                    below.components().all(|part| matches!(part, std::path::Component::Normal(_)))
                );
            }
        }

        #[test]
        fn a_name_stands_for_itself(text in "[hjtHJT\u{30c}\u{331}\u{308}@]{1,6}|.{0,20}") {
            if let Ok(name) = Name::parse(&text, Some("x")) {
                prop_assert_eq!(Name::parse(name.as_str(), None), Ok(name));
            }
        }

        #[test]
        fn any_template_never_panics(text in ".{0,40}|/[{}a-z./]{0,30}") {
            let _template = MailTemplate::parse(&text);
        }
    }
}
