//! Who the session is and what it may do: what the server says, and an attempt where it says nothing.

use super::query::Statement;
use super::stream::{fetch, text, try_fetch};
use super::{MySqlSession, error};
use crate::mapping::mysql::Dialect;
use crate::model::{Account, Rights, ServerFacts, SourceTable};
use crate::net::Context;
use crate::source::checkup::Checkup;
use crate::source::{CATALOG_MAX, SourceError};

const WHAT: &str = "asking for rights";

/// The account that the server found for the login, which its rights are of: its host may be a pattern.
const SESSION: &str = "SELECT @@version, CURRENT_USER()";
const TLS: &str = "SHOW SESSION STATUS LIKE 'Ssl_version'";
const OTHERS: &str = "SELECT 1 FROM information_schema.innodb_trx LIMIT 1";

impl Checkup for MySqlSession {
    async fn server(&mut self, cx: &Context) -> Result<ServerFacts, SourceError> {
        let session = fetch(&mut self.conn, cx, CATALOG_MAX, WHAT, Statement::plain(SESSION)).await?;
        let tls = fetch(&mut self.conn, cx, CATALOG_MAX, WHAT, Statement::plain(TLS)).await?;
        let cell = |index| session.first().and_then(|row| text(row, index)).unwrap_or_default();
        let product = match self.dialect {
            Dialect::MariaDb => "MariaDB",
            Dialect::MySql { .. } => "MySQL",
        };
        let sees_others = match try_fetch(&mut self.conn, cx, CATALOG_MAX, WHAT, Statement::plain(OTHERS)).await? {
            Ok(_rows) => true,
            Err(cause) if error::server(&cause).is_some_and(|said| said.number() == error::NEEDS_PRIVILEGE) => false,
            Err(cause) => return Err(error::query(WHAT, cause)),
        };
        Ok(ServerFacts {
            version: format!("{product} {}", cell(0)),
            account: account(&cell(1)),
            tls: tls.first().and_then(|row| text(row, 1)).filter(|version| !version.is_empty()),
            sees_others,
        })
    }

    async fn rights(&mut self, _: &Context, _: &SourceTable) -> Result<Rights, SourceError> {
        Ok(Rights { schema: true, table: false })
    }
}

/// `user@host`; a user's name may hold an @, a host's cannot.
fn account(text: &str) -> Account {
    match text.rsplit_once('@') {
        Some((name, host)) => Account { name: name.to_owned(), host: Some(host.to_owned()) },
        None => Account { name: text.to_owned(), host: None },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_has_its_host_at_its_end() {
        let expected = Account { name: "a@b".to_owned(), host: Some("%".to_owned()) };
        assert_eq!(account("a@b@%"), expected);
    }
}
