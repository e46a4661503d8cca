//! Rows as one text, a JSON array of arrays of cells, which both databases take apart again: a statement's text does not
//! grow with its rows, and a row costs no parameter.

use std::io::Write as _;

use serde::Serialize;

use crate::store::sql::Dialect;

/// A table's model.
pub(in super::super) trait Row {
    /// The table.
    const TABLE: &'static str;
    /// Its columns in order, and what is in them.
    const COLUMNS: &'static [(&'static str, Kind)];

    /// Writes a cell for each column.
    fn write(&self, into: &mut Cells) -> Result<(), serde_json::Error>;
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Kind {
    Text,
    Integer,
    Boolean,
    Bytes,
}

/// What can stand in a column.
pub(in super::super) trait Cell {
    const KIND: Kind;

    /// Appends it as JSON; bytes as hexadecimal digits.
    fn write(&self, into: &mut Vec<u8>) -> Result<(), serde_json::Error>;
}

fn json(value: &impl Serialize, into: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    serde_json::to_writer(into, value)
}

macro_rules! cells {
    ($($type:ty: $kind:ident,)+) => {
        $(impl Cell for $type {
            const KIND: Kind = Kind::$kind;

            fn write(&self, into: &mut Vec<u8>) -> Result<(), serde_json::Error> {
                json(self, into)
            }
        })+
    };
}

cells! {
    String: Text,
    Option<String>: Text,
    i32: Integer,
    i64: Integer,
    Option<i64>: Integer,
    bool: Boolean,
}

impl Cell for Vec<u8> {
    const KIND: Kind = Kind::Bytes;

    fn write(&self, into: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        into.push(b'"');
        self.iter().try_for_each(|byte| write!(into, "{byte:02x}")).map_err(serde_json::Error::io)?;
        into.push(b'"');
        Ok(())
    }
}

/// Rows as text, in the making.
pub(in super::super) struct Cells(Vec<u8>);

impl Cells {
    /// The text of rows.
    pub(in super::super) fn of<M: Row>(rows: &[M]) -> Result<String, serde_json::Error> {
        let mut cells = Self(vec![b'[']);
        for row in rows {
            cells.0.push(b'[');
            row.write(&mut cells)?;
            cells.end();
        }
        cells.end();
        cells.0.pop();
        String::from_utf8(cells.0).map_err(serde::ser::Error::custom)
    }

    /// Appends a cell to the row.
    pub(in super::super) fn cell(&mut self, cell: &impl Cell) -> Result<(), serde_json::Error> {
        cell.write(&mut self.0)?;
        self.0.push(b',');
        Ok(())
    }

    /// Ends an array, which its last entry has left with a comma.
    fn end(&mut self) {
        self.0.pop_if(|last| *last == b',');
        self.0.extend(b"],");
    }
}

/// The statement that inserts the rows of such a text, its one parameter.
pub(in super::super) fn insert<M: Row>(dialect: Dialect, on_conflict: &str) -> String {
    let names: Vec<_> = M::COLUMNS.iter().map(|(name, _)| *name).collect();
    let cells = M::COLUMNS.iter().enumerate().map(|(at, (_, kind))| dialect.cell(at, *kind));
    let rows = match dialect {
        Dialect::Postgres => "jsonb_array_elements(CAST($1 AS JSONB)) AS listed (value)",
        Dialect::Sqlite => "json_each($1)",
    };
    format!(
        "INSERT INTO {} ({}) SELECT {} FROM {rows} WHERE true {on_conflict}",
        M::TABLE,
        names.join(", "),
        cells.collect::<Vec<_>>().join(", ")
    )
}

impl Dialect {
    /// The expression of a row's cell.
    fn cell(self, at: usize, kind: Kind) -> String {
        match (self, kind) {
            (Self::Postgres, Kind::Text) => format!("value->>{at}"),
            (Self::Postgres, Kind::Integer) => format!("CAST(value->>{at} AS BIGINT)"),
            (Self::Postgres, Kind::Boolean) => format!("CAST(value->>{at} AS BOOLEAN)"),
            (Self::Postgres, Kind::Bytes) => format!("decode(value->>{at}, 'hex')"),
            (Self::Sqlite, Kind::Bytes) => format!("unhex(json_extract(value, '$[{at}]'))"),
            (Self::Sqlite, _) => format!("json_extract(value, '$[{at}]')"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{invitation, member_section};
    use super::*;

    #[test]
    fn rows_are_one_text_whatever_is_in_them() {
        let row = |member: &str, token: &[u8]| invitation::Model {
            tenant_id: "acme".to_owned(),
            token_hash: token.to_vec(),
            member_id: member.to_owned(),
            expires_us: i64::MIN,
            status: "LIVE".to_owned(),
        };
        let text = Cells::of(&[row("a\"],[\\", &[0, 255]), row("b", &[])]).unwrap();
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        let expected = serde_json::json!([
            ["acme", "00ff", "a\"],[\\", i64::MIN, "LIVE"],
            ["acme", "", "b", i64::MIN, "LIVE"]
        ]);
        assert_eq!(read, expected, "{text}");
        assert_eq!(Cells::of::<invitation::Model>(&[]).unwrap(), "[]");
    }

    #[test]
    fn the_statement_names_every_column_and_has_one_parameter() {
        for dialect in [Dialect::Postgres, Dialect::Sqlite] {
            let text = insert::<member_section::Model>(dialect, "");
            let columns = "(tenant_id, member_id, section, is_on, origin, changed_rev)";
            assert!(text.starts_with(&format!("INSERT INTO member_section {columns} SELECT")), "{text}");
            assert!(text.contains("$1") && !text.contains("$2"), "{text}");
        }
    }
}
