//! The query of an account, with parameters by name.
//!
//! What a client sends never becomes a part of the query's text: each `:user`, `:local` and
//! `:domain` becomes a placeholder, and the values go to the database beside it.

use auth::Name;

/// A query with its parameters taken out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Query {
    text: String,
    parameters: Vec<Parameter>,
}

/// What is put into a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parameter {
    /// `:user`: the whole name.
    User,
    /// `:local`: what is before the `@`.
    Local,
    /// `:domain`: what is after the `@`; NULL if there is none.
    Domain,
}

/// Why a query was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum QueryError {
    /// A `:word` that is no parameter.
    #[error("has the parameter :{0}, which is not known")]
    Unknown(String),
    /// Neither `:user` nor `:local` is in it.
    #[error("has neither :user nor :local, and so finds the same account for everybody")]
    SameForAll,
    /// A quotation mark or a comment is not closed.
    #[error("has {0} that is not closed")]
    Open(&'static str),
    /// There is a `?` or `$1`, which would be mixed up with the placeholders that we put in.
    #[error("has the placeholder {0:?}")]
    Placeholder(char),
}

/// How a database writes placeholders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placeholders {
    /// `$1`
    Dollar,
    /// `?1`
    Question,
}

impl Query {
    /// Reads a query.
    pub(crate) fn parse(text: &str, placeholders: Placeholders) -> Result<Self, QueryError> {
        let mut query = Self {
            text: String::with_capacity(text.len()),
            parameters: Vec::new(),
        };
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let escaped = placeholders == Placeholders::Dollar && is_escape(&query.text);
            let length = match first {
                '\'' if escaped => quoted_with_backslashes(rest)?,
                '\'' => quoted(rest, '\'', "a '")?,
                '"' => quoted(rest, '"', "a \"")?,
                '`' if placeholders == Placeholders::Question => quoted(rest, '`', "a `")?,
                '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
                '/' if rest.starts_with("/*") => comment(rest)?,
                ':' if rest.starts_with("::") => 2,
                ':' => query.take_parameter(rest, placeholders)?,
                '$' => dollar_quoted(rest)?,
                '?' if placeholders == Placeholders::Question => {
                    return Err(QueryError::Placeholder('?'));
                }
                other => other.len_utf8(),
            };
            let (taken, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
            if first != ':' || taken == "::" || taken == ":" {
                query.text.push_str(taken);
            }
            rest = after;
        }
        let names = [Parameter::User, Parameter::Local];
        if query.parameters.iter().any(|found| names.contains(found)) {
            Ok(query)
        } else {
            Err(QueryError::SameForAll)
        }
    }

    /// Takes a `:word` for a placeholder; how long it is. A lone colon stays.
    fn take_parameter(
        &mut self,
        rest: &str,
        placeholders: Placeholders,
    ) -> Result<usize, QueryError> {
        let after = rest.strip_prefix(':').unwrap_or(rest);
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let length = after.find(|c| !is_word(c)).unwrap_or(after.len());
        let word = after.get(..length).unwrap_or_default();
        // `a[1:2]` is a slice of an array.
        if !word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            return Ok(1);
        }
        let parameter = match word {
            "user" => Parameter::User,
            "local" => Parameter::Local,
            "domain" => Parameter::Domain,
            other => return Err(QueryError::Unknown(other.to_owned())),
        };
        let known = self.parameters.iter().position(|&known| known == parameter);
        let place = known.unwrap_or_else(|| {
            self.parameters.push(parameter);
            self.parameters.len() - 1
        });
        let sign = match placeholders {
            Placeholders::Dollar => '$',
            Placeholders::Question => '?',
        };
        self.text.push_str(&format!("{sign}{}", place + 1));
        Ok(length + 1)
    }

    /// The query as the database gets it.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// What goes into its placeholders for `name`.
    pub(crate) fn values<'n>(&self, name: &'n Name) -> Vec<Option<&'n str>> {
        let value = |parameter: &Parameter| match parameter {
            Parameter::User => Some(name.as_str()),
            Parameter::Local => Some(name.local()),
            Parameter::Domain => name.domain(),
        };
        self.parameters.iter().map(value).collect()
    }
}

/// Whether a text ends with the E of an `E'…'`.
fn is_escape(text: &str) -> bool {
    let mut last = text.chars().rev();
    matches!(last.next(), Some('e' | 'E')) && !last.next().is_some_and(char::is_alphanumeric)
}

/// How long a quotation is that ends with `mark`, which is doubled inside; a doubled one is two
/// quotations one after the other.
fn quoted(rest: &str, mark: char, name: &'static str) -> Result<usize, QueryError> {
    let inside = rest.get(1..).unwrap_or_default();
    let end = inside.find(mark).ok_or(QueryError::Open(name))?;
    Ok(end + 2)
}

/// How long a string is in which a backslash escapes what follows (`E'…'` in PostgreSQL).
fn quoted_with_backslashes(rest: &str) -> Result<usize, QueryError> {
    let mut characters = rest.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        match character {
            '\'' => return Ok(at + 1),
            '\\' => drop(characters.next()),
            _ => {}
        }
    }
    Err(QueryError::Open("a '"))
}

/// How long a comment is; comments may be inside comments.
fn comment(rest: &str) -> Result<usize, QueryError> {
    let mut depth = 0usize;
    let mut at = 0;
    while let Some(here) = rest.get(at..).filter(|here| !here.is_empty()) {
        if here.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if here.starts_with("*/") {
            depth = depth.saturating_sub(1);
            at += 2;
            if depth == 0 {
                return Ok(at);
            }
        } else {
            at += here.chars().next().map_or(1, char::len_utf8);
        }
    }
    Err(QueryError::Open("a /*"))
}

/// How long a `$tag$…$tag$` is.
fn dollar_quoted(rest: &str) -> Result<usize, QueryError> {
    let after = rest.get(1..).unwrap_or_default();
    if after.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(QueryError::Placeholder('$'));
    }
    let is_tag = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let tag = after.find(|c| !is_tag(c)).unwrap_or(after.len());
    if !after.get(tag..).is_some_and(|end| end.starts_with('$')) {
        return Ok(1);
    }
    let mark = rest.get(..tag + 2).unwrap_or_default();
    let inside = rest.get(tag + 2..).unwrap_or_default();
    let end = inside.find(mark).ok_or(QueryError::Open("a $$"))?;
    Ok(end + 2 * mark.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str, placeholders: Placeholders) -> (String, Vec<Parameter>) {
        let query = Query::parse(text, placeholders).unwrap();
        (query.text, query.parameters)
    }

    #[test]
    fn parameters_become_placeholders() {
        use Parameter::{Domain, Local, User};
        let text = "SELECT password FROM a WHERE name = :user";
        let (shown, parameters) = parsed(text, Placeholders::Dollar);
        assert_eq!(shown, "SELECT password FROM a WHERE name = $1");
        assert_eq!(parameters, [User]);
        let text =
            "SELECT p FROM a WHERE l=:local AND (d=:domain OR :domain IS NULL) AND :local<>''";
        let (shown, parameters) = parsed(text, Placeholders::Question);
        assert_eq!(
            shown,
            "SELECT p FROM a WHERE l=?1 AND (d=?2 OR ?2 IS NULL) AND ?1<>''"
        );
        assert_eq!(parameters, [Local, Domain]);
        let ann = Name::parse("ann@example.org", None).unwrap();
        let query = Query::parse(text, Placeholders::Dollar).unwrap();
        assert_eq!(query.values(&ann), [Some("ann"), Some("example.org")]);
        let bare = Name::parse("ann", None).unwrap();
        assert_eq!(query.values(&bare), [Some("ann"), None]);
    }

    #[test]
    fn what_only_looks_like_a_parameter_stays() {
        for text in [
            "a::text",
            "':user'",
            "'it''s :user'",
            "E'\\':user'",
            "\":user\"",
            "-- :user",
            "-- :nobody\n",
            "/* :user /* :x */ :y */",
            "$$ :user $$",
            "$q$ :user $$ :x $q$",
            "x[1:2]",
            "x[a: b]",
        ] {
            let whole = format!("{text}\n :user");
            let (shown, parameters) = parsed(&whole, Placeholders::Dollar);
            assert_eq!(shown, format!("{text}\n $1"));
            assert_eq!(parameters, [Parameter::User]);
        }
        let (shown, _) = parsed("a::citext = :user::citext", Placeholders::Dollar);
        assert_eq!(shown, "a::citext = $1::citext");
        let (shown, _) = parsed("`:x` = :user", Placeholders::Question);
        assert_eq!(shown, "`:x` = ?1");
    }

    #[test]
    fn bad_queries_are_refused() {
        for (text, expected) in [
            ("SELECT :name", QueryError::Unknown("name".into())),
            ("SELECT :users", QueryError::Unknown("users".into())),
            ("SELECT 1", QueryError::SameForAll),
            ("SELECT :domain", QueryError::SameForAll),
            ("':user'", QueryError::SameForAll),
            ("':user", QueryError::Open("a '")),
            ("E'\\'", QueryError::Open("a '")),
            ("\":user", QueryError::Open("a \"")),
            (":user /* /* */", QueryError::Open("a /*")),
            ("$a$ :user $b$", QueryError::Open("a $$")),
            (":user = $1", QueryError::Placeholder('$')),
            ("", QueryError::SameForAll),
        ] {
            assert_eq!(
                Query::parse(text, Placeholders::Dollar),
                Err(expected),
                "{text}"
            );
        }
        let mixed = Query::parse(":user = ?", Placeholders::Question);
        assert_eq!(mixed, Err(QueryError::Placeholder('?')));
    }

    proptest! {
        #[test]
        fn any_query_never_panics(text in ".{0,40}|[ :$?'\"*/a-zE\\\\-]{0,30}") {
            for placeholders in [Placeholders::Dollar, Placeholders::Question] {
                let _query = Query::parse(&text, placeholders);
            }
        }
    }
}
