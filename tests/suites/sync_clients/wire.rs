//! What went over the wire, as the client tells.

/// What a client and the server said.
#[derive(Debug)]
pub(crate) struct Wire(pub(crate) Vec<String>);

impl Wire {
    /// What the logs of mutt and neomutt tell of it.
    pub(crate) fn of_mutt(log: &str) -> Self {
        Self(log.lines().filter_map(said_by_mutt).collect())
    }

    /// How many lines contain all of these words, without regard to case.
    pub(crate) fn count(&self, words: &[&str]) -> usize {
        let lines = self.0.iter().map(|line| line.to_ascii_uppercase());
        lines
            .filter(|line| words.iter().all(|word| line.contains(word)))
            .count()
    }

    /// That there is one.
    #[track_caller]
    pub(crate) fn has(&self, words: &[&str]) {
        assert_ne!(self.count(words), 0, "{words:?} in {self:#?}");
    }

    /// That there is none.
    #[track_caller]
    pub(crate) fn lacks(&self, words: &[&str]) {
        assert_eq!(self.count(words), 0, "{words:?} in {self:#?}");
    }
}

/// `[2026-11-23 06:02:54] 4< * 11 EXISTS`, before whose number neomutt has `<5> function()`. Commands
/// that are sent together stand on lines of their own, which begin with their tags.
fn said_by_mutt(line: &str) -> Option<String> {
    if !line.starts_with('[') {
        let tag = line.split(' ').next()?;
        let number = tag.strip_prefix('a')?;
        let tagged = number.len() == 4 && number.bytes().all(|octet| octet.is_ascii_digit());
        return tagged.then(|| format!("C: {line}"));
    }
    let (_, said) = line.split_once(']')?;
    let said = match said.strip_prefix('<') {
        Some(neomutt) => neomutt.split_once("() ")?.1,
        None => said.trim_start(),
    };
    let (socket, text) = said.split_once(' ')?;
    let number = socket.trim_end_matches(['<', '>']);
    if number.is_empty() || !number.bytes().all(|octet| octet.is_ascii_digit()) {
        return None;
    }
    match &socket[number.len()..] {
        ">" => Some(format!("C: {text}")),
        "<" => Some(format!("S: {text}")),
        _ => None,
    }
}
