//! Tables of plain text: columns padded with spaces, numbers to the right.

use std::fmt;

/// A table with a head line.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

/// How a column is aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

#[derive(Clone, Debug)]
struct Column {
    align: Align,
    width: usize,
}

impl Table {
    /// A table with these columns.
    pub(crate) fn new(head: &[(&str, Align)]) -> Self {
        let columns = head.iter().map(|(_, align)| Column {
            align: *align,
            width: 0,
        });
        let mut table = Self {
            columns: columns.collect(),
            rows: Vec::new(),
        };
        table.row(head.iter().map(|(name, _)| (*name).to_owned()).collect());
        table
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        for (column, cell) in self.columns.iter_mut().zip(&cells) {
            column.width = column.width.max(cell.chars().count());
        }
        self.rows.push(cells);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in &self.rows {
            let mut line = String::new();
            for (column, cell) in self.columns.iter().zip(row) {
                if !line.is_empty() {
                    line.push_str("  ");
                }
                let space = " ".repeat(column.width.saturating_sub(cell.chars().count()));
                match column.align {
                    Align::Left => line.extend([cell.as_str(), &space]),
                    Align::Right => line.extend([space.as_str(), cell]),
                }
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Align, Table};

    #[test]
    fn columns_are_as_wide_as_they_must_be() {
        let mut table = Table::new(&[("MAILBOX", Align::Left), ("MESSAGES", Align::Right)]);
        table.row(vec!["INBOX".to_owned(), "7".to_owned()]);
        table.row(vec!["Entw\u{fc}rfe".to_owned(), "123456789".to_owned()]);
        let expected = "MAILBOX    MESSAGES\n\
                        INBOX             7\n\
                        Entw\u{fc}rfe  123456789\n";
        assert_eq!(table.to_string(), expected);
    }
}
