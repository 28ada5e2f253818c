//! Which statement mends which lack.

use super::*;
use crate::model::{Login, Tls};

fn connection(address: Address, mode: TlsMode) -> Connection {
    let tls = Tls { mode, ..Tls::default() };
    let (user, database) = ("u".to_owned(), "app".to_owned());
    Connection { address, user, login: Login::Password, password: None, database, tls }
}

fn tcp() -> Address {
    Address::Tcp { host: "db".to_owned(), port: 1 }
}

fn facts(version: &str, name: &str, host: Option<&str>, sees_others: bool) -> ServerFacts {
    let account = Account { name: name.to_owned(), host: host.map(str::to_owned) };
    ServerFacts { version: version.to_owned(), account, tls: Some("TLSv1.3".to_owned()), sees_others }
}

fn activity(visibility: Visibility) -> Activity {
    Activity { now_us: 100 * SECOND_MICROS, open: Vec::new(), visibility }
}

fn mend(findings: &[Finding], check: &str) -> (Standing, String) {
    let found = findings.iter().find(|finding| finding.check == check);
    found.map_or((Standing::CannotTell, String::new()), |finding| {
        (finding.standing, finding.mend.as_ref().map(|mend| mend.text().to_owned()).unwrap_or_default())
    })
}

#[test]
fn grants_name_exactly_the_user_in_the_servers_quotes() {
    let connection = connection(tcp(), TlsMode::VerifyFull);
    let site = |dialect| Site { about: "source s", dialect, connection: &connection, loopback: false };
    let hidden = activity(Visibility::Hidden { snapshot: None });
    let of = |dialect, facts: &ServerFacts, activity: &Activity| {
        mend(&server(site(dialect), facts, activity, activity.now_us), "open transactions")
    };
    let postgres = facts("PostgreSQL 15.8", "re\"ader", None, false);
    let wanted = "GRANT pg_read_all_stats TO \"re\"\"ader\";".to_owned();
    assert_eq!(of(Dialect::Postgres, &postgres, &hidden), (Standing::Lacks, wanted.clone()));
    // nobody else happens to be there
    assert_eq!(of(Dialect::Postgres, &postgres, &activity(Visibility::Full)), (Standing::Lacks, wanted));
    let mariadb = facts("MariaDB 11.4", "a`b", Some("10.0.0.%"), false);
    let wanted = "GRANT PROCESS ON *.* TO `a``b`@`10.0.0.%`;".to_owned();
    assert_eq!(of(Dialect::MySql, &mariadb, &hidden), (Standing::Lacks, wanted));
    let lost = activity(Visibility::Replica { replayed_us: None });
    for (version, right) in [("MariaDB 11.4", "SLAVE MONITOR"), ("MySQL 8.0", "REPLICATION CLIENT")] {
        let (standing, sql) = of(Dialect::MySql, &facts(version, "r", Some("%"), true), &lost);
        assert_eq!((standing, sql), (Standing::Lacks, format!("GRANT {right} ON *.* TO `r`@`%`;")));
    }
    assert_eq!(of(Dialect::Postgres, &facts("PostgreSQL 15", "r", None, true), &lost).0, Standing::CannotTell);
}

#[test]
fn what_is_missing_of_a_table_is_granted_and_no_more() {
    let connection = connection(tcp(), TlsMode::VerifyFull);
    let table = SourceTable { schema: None, name: "Or\"ders".to_owned() };
    let sql = |dialect, rights| {
        let site = Site { about: "table s/t", dialect, connection: &connection, loopback: false };
        let facts = facts("x", "r", (dialect == Dialect::MySql).then_some("%"), true);
        mend(&[denied(site, &facts, &table, rights, String::new())], "read").1
    };
    let both = Rights { schema: false, table: false };
    assert_eq!(
        sql(Dialect::Postgres, both),
        "GRANT USAGE ON SCHEMA \"public\" TO \"r\"; GRANT SELECT ON \"public\".\"Or\"\"ders\" TO \"r\";"
    );
    let schema = Rights { schema: false, table: true };
    assert_eq!(sql(Dialect::Postgres, schema), "GRANT USAGE ON SCHEMA \"public\" TO \"r\";");
    let select = Rights { schema: true, table: false };
    assert_eq!(sql(Dialect::MySql, select), "GRANT SELECT ON `app`.`Or\"ders` TO `r`@`%`;");
}

#[test]
fn tls_that_verifies_nothing_is_told() {
    let standing = |address, mode, loopback| {
        let connection = connection(address, mode);
        let site = Site { about: "source s", dialect: Dialect::Postgres, connection: &connection, loopback };
        tls(site, &facts("x", "r", None, true)).standing
    };
    assert_eq!(standing(tcp(), TlsMode::VerifyFull, false), Standing::Ok);
    assert_eq!(standing(tcp(), TlsMode::VerifyCa, false), Standing::Ok);
    assert_eq!(standing(tcp(), TlsMode::Require, false), Standing::Optional);
    assert_eq!(standing(tcp(), TlsMode::Disable, false), Standing::Optional);
    assert_eq!(standing(tcp(), TlsMode::Disable, true), Standing::Ok);
    assert_eq!(standing(Address::Socket("/s".into()), TlsMode::Disable, false), Standing::Ok);
}

#[test]
fn clocks_that_differ_are_told() {
    let connection = connection(tcp(), TlsMode::VerifyFull);
    let site = Site { about: "source s", dialect: Dialect::Postgres, connection: &connection, loopback: false };
    let at = |ours_s: i64| clock(site, &activity(Visibility::Full), ours_s * SECOND_MICROS).standing;
    assert_eq!(
        [at(100), at(71), at(60), at(140)],
        [Standing::Ok, Standing::Ok, Standing::Optional, Standing::Optional]
    );
}

#[test]
fn identities_are_members_of_their_kind_and_never_more_than_a_word() {
    assert_eq!(google::member(Some("x@p.iam.gserviceaccount.com")), "serviceAccount:x@p.iam.gserviceaccount.com");
    assert_eq!(google::member(Some("me@acme.com")), "user:me@acme.com");
    for odd in [None, Some("x@y'; rm -rf"), Some("nobody"), Some("")] {
        assert_eq!(google::member(odd), "serviceAccount:SERVICE_ACCOUNT");
    }
}

#[test]
fn a_bucket_serves_datasets_of_its_place() {
    let standing = |bucket, dataset| google::location("b", bucket, dataset).standing;
    for (bucket, dataset) in [("EU", "EU"), ("EUROPE-WEST3", "eu"), ("asia-east1", "US"), ("us-east1", "us-east1")] {
        assert_eq!(standing(bucket, dataset), Standing::Ok, "{bucket} {dataset}");
    }
    for (bucket, dataset) in [("US", "EU"), ("EU", "europe-west3"), ("us-east1", "us-west1")] {
        assert_eq!(standing(bucket, dataset), Standing::Optional, "{bucket} {dataset}");
    }
}

#[test]
fn a_user_is_let_into_the_database_that_it_is_kept_out_of() {
    let mut connection = connection(tcp(), TlsMode::VerifyFull);
    connection.database = "my_app".to_owned();
    let sql = |dialect, said| {
        let site = Site { about: "source s", dialect, connection: &connection, loopback: false };
        admission(site, said).map(|mend| mend.text().to_owned())
    };
    let mysql = sql(Dialect::MySql, "Access denied for user 'a'b'@'10.%' to database 'my_app'");
    assert_eq!(mysql.as_deref(), Some("GRANT SELECT ON `my\\_app`.* TO `a'b`@`10.%`;"));
    let postgres = sql(Dialect::Postgres, "permission denied for database \"my_app\"");
    assert_eq!(postgres.as_deref(), Some("GRANT CONNECT ON DATABASE \"my_app\" TO \"u\";"));
    assert_eq!(sql(Dialect::MySql, "Access denied for user 'u'@'h' (using password: YES)"), None);
    assert_eq!(sql(Dialect::Postgres, "password authentication failed for user \"u\""), None);
}

#[test]
fn index_advice_is_what_the_server_takes() {
    let connection = connection(tcp(), TlsMode::VerifyFull);
    let site = Site { about: "table s/t", dialect: Dialect::Postgres, connection: &connection, loopback: false };
    let (facts, key) = (facts("x", "r", None, true), ["id".to_owned()]);
    let table = SourceTable { schema: None, name: "t".to_owned() };
    let found = |indexing| {
        let how =
            Readable { cursor: Some("u"), key: &key, hidden: &[], hides_some: false, indexed: Some(false), indexing };
        let findings = readable(site, &facts, &table, how);
        let found = findings.iter().find(|finding| finding.check == "index");
        (found.and_then(|finding| finding.found.clone()).unwrap_or_default(), mend(&findings, "index").1)
    };
    let (said, sql) = found(Indexing::Beside);
    assert_eq!(sql, "CREATE INDEX CONCURRENTLY ON \"public\".\"t\" (\"u\", \"id\");");
    assert!(!said.contains("nobody can write"), "{said}");
    let (said, sql) = found(Indexing::Locking);
    assert_eq!(sql, "CREATE INDEX ON \"public\".\"t\" (\"u\", \"id\");");
    assert!(said.contains("nobody can write"), "{said}");
    assert_eq!(found(Indexing::Never), (String::new(), String::new()));
}
