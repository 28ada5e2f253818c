//! Names that quote themselves: the only way in which a name comes into a statement.

use std::fmt;

/// A column, table or index. Displays in backticks, backticks within doubled; every SQL mode takes that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ident<'a>(pub &'a str);

impl fmt::Display for Ident<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`")?;
        for (index, part) in self.0.split('`').enumerate() {
            if index > 0 {
                f.write_str("``")?;
            }
            f.write_str(part)?;
        }
        f.write_str("`")
    }
}

/// A table with its database, so that no statement depends on the connection's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QualifiedTable<'a> {
    /// The database.
    pub database: &'a str,
    /// The table.
    pub table: &'a str,
}

impl fmt::Display for QualifiedTable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", Ident(self.database), Ident(self.table))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_quote_themselves() {
        assert_eq!(Ident("a`; DROP TABLE b").to_string(), "`a``; DROP TABLE b`");
        assert_eq!(Ident("``").to_string(), "``````");
        assert_eq!(QualifiedTable { database: "d.b", table: "t\"" }.to_string(), "`d.b`.`t\"`");
    }
}
