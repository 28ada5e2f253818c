//! Table patterns: which names they mean, and the settings and target of a table that one of them means.

use super::reader::Map;
use super::source::SourceKind;
use crate::model::{
    Code, Glob, Listed, NamePattern, SourceName, SourceTable, TableId, TableKind, TableName, TableSettings, plain_name,
};

/// Databases of the servers' own, which no pattern means.
const SYSTEM_MYSQL: [&str; 4] = ["information_schema", "mysql", "performance_schema", "sys"];
/// A schema of PostgreSQL's own, besides those that begin with [`SYSTEM_PREFIX`].
const SYSTEM_POSTGRES: &str = "information_schema";
/// How PostgreSQL's own schemas begin: it lets nobody else make one so.
const SYSTEM_PREFIX: &str = "pg_";

/// A source's patterns and what narrows them.
#[derive(Clone, Debug)]
pub struct Patterns {
    /// The patterns, in the file's order: the first that means a table is its.
    pub(super) entries: Vec<TablePattern>,
    /// If there are any, one of them must mean the table too.
    pub(super) include: Vec<NamePattern>,
    /// None of them may mean it.
    pub(super) exclude: Vec<NamePattern>,
    pub(super) scope: Scope,
}

/// Which database a source's names are looked up in.
#[derive(Clone, Debug)]
pub(super) struct Scope {
    pub(super) source: SourceName,
    pub(super) kind: SourceKind,
    /// The schema of names without one; `None` for MySQL.
    pub(super) schema: Option<String>,
    /// The connection's database.
    pub(super) database: String,
}

/// One pattern with its settings.
#[derive(Clone, Debug)]
pub(super) struct TablePattern {
    pub(super) pattern: NamePattern,
    /// The settings of its tables; names and target are filled in for each.
    pub(super) template: TableSettings,
    pub(super) target: TargetRule,
}

/// What a pattern's tables are called in BigQuery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TargetRule {
    /// As a table that is named: `table`, `schema__table` outside the default schema.
    Default,
    /// A text in which `{schema}` and `{table}` stand for the names.
    Template(String),
}

impl TargetRule {
    /// Reads a template.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let rest = text.replace("{table}", "").replace("{schema}", "");
        if !text.contains("{table}") {
            return Err(format!(
                "{text:?}: every table of the pattern would have this target; say where its name goes, as in \"raw_{{table}}\""
            ));
        }
        if let Some(at) = rest.find(['{', '}']) {
            return Err(format!("{:?} is not known here; there are {{schema}} and {{table}}", &rest[at..]));
        }
        if !rest.is_empty() {
            super::scalar::table(&rest)?;
        }
        Ok(Self::Template(text.to_owned()))
    }

    fn name(&self, table: &SourceTable, scope: &Scope) -> String {
        match self {
            Self::Default => table.target_name(scope.schema.as_deref()),
            Self::Template(text) => {
                let schema = table.schema.as_deref().unwrap_or(&scope.database);
                text.replace("{schema}", &plain_name(schema)).replace("{table}", &plain_name(&table.name))
            }
        }
    }
}

impl Patterns {
    /// Whether there is no pattern.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether a pattern's tables run by a schedule.
    pub fn is_scheduled(&self) -> bool {
        self.entries.iter().any(|entry| entry.template.schedule.is_some())
    }

    /// The patterns as configured, in the file's order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.template.id.table.as_str())
    }

    /// The only schema that its tables can be in; `None` if they can be in any. For MySQL the connection's database.
    pub fn only_schema(&self) -> Option<&str> {
        let own = self.entries.iter().all(|entry| entry.pattern.schema.is_none());
        own.then(|| self.scope.schema.as_deref().unwrap_or(&self.scope.database))
    }

    /// The settings of the table that a listing has; `None` if no pattern means it.
    pub fn listed(&self, listed: &Listed) -> Option<TableSettings> {
        let entry = self.entry(&listed.table)?;
        let views = entry.template.matched.as_ref().is_some_and(|matched| matched.views);
        match listed.kind {
            TableKind::Table => {}
            TableKind::View if views => {}
            TableKind::View | TableKind::Partition => return None,
        }
        self.settings(entry, &listed.table)
    }

    /// The settings of the table of that name, whether the source has it or not; `None` if no pattern means it.
    pub fn named(&self, name: &TableName) -> Option<TableSettings> {
        let table = super::table::source_table(name.as_str(), self.scope.schema.as_deref()).ok()?;
        // one table, one name: `public.t` is `t`
        let schema = table.schema.filter(|schema| self.scope.schema.is_some() || *schema != self.scope.database);
        let table = SourceTable { schema, name: table.name };
        self.settings(self.entry(&table)?, &table)
    }

    /// The first pattern that means the table.
    fn entry(&self, table: &SourceTable) -> Option<&TablePattern> {
        let schema = table.schema.as_deref().unwrap_or(&self.scope.database);
        let system = match self.scope.kind {
            SourceKind::Postgres => schema == SYSTEM_POSTGRES || schema.starts_with(SYSTEM_PREFIX),
            SourceKind::MySql => SYSTEM_MYSQL.contains(&schema),
        };
        // what narrows without a schema narrows in all of them
        let meant = |pattern: &NamePattern| pattern.means(schema, &table.name);
        let included = self.include.is_empty() || self.include.iter().any(meant);
        if system || !included || self.exclude.iter().any(meant) {
            return None;
        }
        let default = self.scope.schema.as_deref().unwrap_or(&self.scope.database);
        let here = |pattern: &NamePattern| pattern.schema.is_some() || schema == default;
        self.entries.iter().find(|entry| here(&entry.pattern) && meant(&entry.pattern))
    }

    /// `None` where the name is one that the configuration could not write.
    fn settings(&self, entry: &TablePattern, table: &SourceTable) -> Option<TableSettings> {
        let id = TableId { source: self.scope.source.clone(), table: self.name(table)? };
        let mut settings = TableSettings { id, table: table.clone(), ..entry.template.clone() };
        settings.target.table = entry.target.name(table, &self.scope);
        Some(settings)
    }

    fn name(&self, table: &SourceTable) -> Option<TableName> {
        let quoted = |part: &str| match part {
            _ if part.contains('"') || part.is_empty() => None,
            _ if part.contains('.') => Some(format!("\"{part}\"")),
            _ => Some(part.to_owned()),
        };
        let name = quoted(&table.name)?;
        match table.schema.as_deref().filter(|schema| Some(*schema) != self.scope.schema.as_deref()) {
            Some(schema) => format!("{}.{name}", quoted(schema)?).parse().ok(),
            None => name.parse().ok(),
        }
    }

    /// Two patterns whose tables of one name, in two schemas, would come to one target.
    pub(super) fn blind_to_schema(&self) -> Option<(&TableSettings, &TableSettings)> {
        let blind = |entry: &&TablePattern| match &entry.target {
            TargetRule::Template(text) => !text.contains("{schema}"),
            TargetRule::Default => false,
        };
        let schemas = |a: &TablePattern, b: &TablePattern| match (&a.pattern.schema, &b.pattern.schema) {
            (Some(a), Some(b)) => a != b || !a.is_literal(),
            (a, b) => a.is_some() || b.is_some(),
        };
        let clash = |a: &&TablePattern, b: &&TablePattern| {
            let (one, other) = (&a.template.target, &b.template.target);
            one == other && schemas(a, b) && a.pattern.name.meets(&b.pattern.name)
        };
        let blind: Vec<&TablePattern> = self.entries.iter().filter(blind).collect();
        let pairs = blind.iter().enumerate().flat_map(|(at, a)| blind[at..].iter().map(move |b| (a, b)));
        pairs.filter(|(a, b)| clash(a, b)).map(|(a, b)| (&a.template, &b.template)).next()
    }

    /// A pattern of ours and one of another source's whose tables could come to one target: the same names, into the
    /// same dataset, by the same rule.
    pub(super) fn shared_target<'a>(&'a self, other: &'a Self) -> Option<(&'a TableSettings, &'a TableSettings)> {
        let same = |a: &TablePattern, b: &TablePattern| {
            let place =
                |entry: &TablePattern| (entry.template.target.project.clone(), entry.template.target.dataset.clone());
            place(a) == place(b) && a.target == b.target && a.pattern.name.meets(&b.pattern.name)
        };
        let pairs = self.entries.iter().flat_map(|a| other.entries.iter().map(move |b| (a, b)));
        pairs.filter(|(a, b)| same(a, b)).map(|(a, b)| (&a.template, &b.template)).next()
    }
}

/// Whether a table's key is a pattern: `*`, `?` or `[` outside of double quotes.
pub(super) fn is_pattern(key: &str) -> bool {
    key.split('"').step_by(2).any(|outside| outside.contains(['*', '?', '[']))
}

/// Reads `pattern` or `schema.pattern`; what stands in double quotes means itself.
///
/// # Errors
/// What is wrong with it.
pub fn name_pattern(text: &str) -> Result<NamePattern, String> {
    let parts = super::table::split_name(text).ok_or("is not a pattern; say `pattern` or `schema.pattern`")?;
    let glob = |(part, quoted): &(String, bool)| {
        if *quoted { Ok(Glob::literal(part)) } else { Glob::parse(part).map_err(|fault| fault.to_string()) }
    };
    match parts.as_slice() {
        [name] => Ok(NamePattern { schema: None, name: glob(name)? }),
        [schema, name] => Ok(NamePattern { schema: Some(glob(schema)?), name: glob(name)? }),
        _ => Err("has more than two parts; say `pattern` or `schema.pattern`".to_owned()),
    }
}

/// Reads a list of patterns.
pub(super) fn read_list(map: &mut Map<'_>, key: &'static str) -> Vec<NamePattern> {
    let texts = map.texts(key).unwrap_or_default();
    let read = |text: &String| {
        name_pattern(text).map_err(|fault| map.fault(Code::ConfigValue, key, &format!("{text:?} {fault}"))).ok()
    };
    texts.iter().filter_map(read).collect()
}

#[cfg(test)]
mod tests;
