//! Configuration texts: a valid configuration, or faults with places that a person can read.
#![no_main]

use std::collections::HashSet;

use highwater_fuzz::config::{Config, Env};
use highwater_fuzz::model::{Connection, Mode, PartBytes};
use highwater_fuzz::one_line;
use libfuzzer_sys::fuzz_target;

/// The most faults that are listed.
const FAULTS_MAX: usize = 200;

fuzz_target!(|text: &str| {
    let variables = [("PROJECT", "acme"), ("PASSWORD", "p@ss/w#rd"), ("EMPTY", ""), ("YAML", "{a: [b]}\n- c")];
    let env = Env::new(variables.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let parsed = Config::parse(text, "f.yaml", &env);
    match &parsed {
        Ok(config) => valid(config),
        Err(errors) => {
            let told = errors.told();
            assert!((1..=FAULTS_MAX).contains(&told.len()), "{} faults", told.len());
            for told in told {
                assert!(told.code.as_str().starts_with("HW-CONFIG-"), "{}: {}", told.code, told.message);
                readable(&told.message, text);
            }
        }
    }
    let again = Config::parse(text, "f.yaml", &env);
    assert_eq!(format!("{parsed:?}"), format!("{again:?}"), "the same text, read otherwise");
});

fn valid(config: &Config) {
    assert!(!config.project.is_empty() && !config.bucket.is_empty() && !config.sources.is_empty());
    assert!(config.prefix.is_empty() || (config.prefix.ends_with('/') && !config.prefix.starts_with('/')));
    assert!(config.server.max_concurrent_runs >= 1 && config.server.listen_port != 0);
    assert!(config.server.run_budget.as_secs() >= 1);
    let (mut ids, mut targets) = (HashSet::new(), HashSet::new());
    for table in config.tables() {
        assert!(ids.insert(table.id.to_string()), "{} is there twice", table.id);
        assert!(targets.insert(&table.target), "{} is written twice", table.target);
        assert!(!table.target.dataset.is_empty() && !table.target.table.is_empty() && !table.table.name.is_empty());
        assert_eq!(table.cursor.is_none(), table.mode == Mode::Replace, "{}", table.id);
        assert!(u64::from(table.limits.part_bytes) >= PartBytes::MIN && table.cluster_by.len() <= 4);
        assert!(table.lookback.is_zero() || table.mode == Mode::Merge);
        assert_eq!(table.columns.hash.is_empty(), table.columns.salt.is_none());
    }
    for source in &config.sources {
        assert!(!source.tables.is_empty() || !source.patterns.is_empty());
        assert!(!source.connection.user.is_empty());
        assert!(!source.connection.database.is_empty());
        if let Some(password) = &source.connection.password {
            // as long as nobody would take it for another field's text
            let bare = Connection { password: None, ..source.connection.clone() };
            let telling = password.expose().len() > 4 && !format!("{bare:?}").contains(password.expose());
            assert!(!telling || !format!("{:?}", source.connection).contains(password.expose()));
        }
    }
}

/// `f.yaml:LINE:COLUMN: text` in one line, the place within the file.
fn readable(line: &str, text: &str) {
    assert!(one_line(line), "{line:?}");
    let mut parts = line.splitn(4, ':');
    assert_eq!(parts.next(), Some("f.yaml"), "{line}");
    let mut number = || parts.next().and_then(|part| part.parse::<usize>().ok()).expect("a number");
    let (at_line, at_column) = (number(), number());
    let lines = text.split(['\n', '\r']).count();
    assert!((1..=lines + 1).contains(&at_line) && at_column >= 1, "{line}");
    assert!(parts.next().is_some_and(|problem| problem.len() > 1), "{line}");
}
