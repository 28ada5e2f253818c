//! `highwater discover`: a configuration from live databases.

use std::io::Write as _;
use std::path::PathBuf;

use tokio_util::sync::CancellationToken;

use super::{EXIT_DONE, EXIT_FAILED, EXIT_RETRY, EXIT_USAGE, output};
use crate::app;
use crate::config::{self, Env, Reached, SourceKind, name_pattern};
use crate::model::{Class, Code, Listed, NamePattern, Secret, TableKind, TlsMode, Told, plain_name};
use crate::plan::draft::{self, Dialect, Head, Source, Table};
use crate::plan::propose::Way;

/// A password for every url that has none.
const PASSWORD: &str = "HIGHWATER_PASSWORD";
/// The most characters of a database's name that a source's is made of.
const NAME_CHARS_MAX: usize = 50;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Databases, `postgres://user@host/database` or `mysql://…`. Passwords come from NAME_PASSWORD (NAME is the
    /// database's), HIGHWATER_PASSWORD, PGPASSWORD or MYSQL_PWD, or by reference: 'postgres://user:${PW}@host/db',
    /// '${DATABASE_URL}'.
    #[arg(required = true, value_name = "URL")]
    urls: Vec<String>,
    /// Only tables of this schema (MySQL: database).
    #[arg(long, value_name = "S")]
    schema: Option<String>,
    /// Only tables that a pattern means, as `name*` or `schema.name*`.
    #[arg(long, value_name = "P", value_parser = name_pattern)]
    include: Vec<NamePattern>,
    /// No table that a pattern means.
    #[arg(long, value_name = "P", value_parser = name_pattern)]
    exclude: Vec<NamePattern>,
    /// Views and materialized views too.
    #[arg(long)]
    views: bool,
    /// The file to write, which must not be there yet; without it, the configuration is printed.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The Google Cloud project; without it, the configuration takes HIGHWATER_PROJECT.
    #[arg(long)]
    project: Option<String>,
    /// The dataset; without it, one of the first database's name.
    #[arg(long)]
    dataset: Option<String>,
    /// The bucket; without it, the configuration takes HIGHWATER_BUCKET.
    #[arg(long)]
    bucket: Option<String>,
    /// The BigQuery location.
    #[arg(long)]
    location: Option<String>,
    /// How TLS protects the connections: disable, require, verify-ca or verify-full.
    #[arg(long, value_name = "MODE", value_parser = config::tls_mode)]
    tls: Option<TlsMode>,
    /// A PEM file of CA certificates.
    #[arg(long, value_name = "FILE", requires = "tls")]
    tls_ca: Option<PathBuf>,
}

pub(super) async fn run(arguments: Arguments, env: &Env, stop: CancellationToken) -> u8 {
    if let Some(path) = arguments.output.as_ref().filter(|path| path.exists()) {
        return exists(path);
    }
    let mut sources: Vec<Source> = Vec::new();
    for url in &arguments.urls {
        match source(&arguments, url, env, &sources, stop.clone()).await {
            Ok(source) => sources.push(source),
            Err((told, code)) => {
                output::fault(&told);
                return code;
            }
        }
    }
    let first = sources.first().map(|source| source.name.clone()).unwrap_or_default();
    let dataset = arguments.dataset.clone().unwrap_or(first);
    if sources.len() > 1 {
        // tables of one name would come to one target
        for source in &mut sources {
            source.dataset = Some(match &arguments.dataset {
                Some(dataset) => format!("{dataset}_{}", source.name),
                None => source.name.clone(),
            });
        }
    }
    let Arguments { project, bucket, location, .. } = arguments;
    let text = draft::write(&Head { project, dataset, location, bucket }, &sources);
    let found = sources.iter().flat_map(|source| &source.tables);
    let (all, synced) = found.fold((0, 0), |(all, synced), table| {
        let way = table.proposal.as_ref().is_ok_and(|proposal| proposal.way != Way::Lacking);
        (all + 1, synced + u64::from(way))
    });
    let code = match arguments.output {
        None => {
            output::text(&text);
            EXIT_DONE
        }
        Some(path) => write(&path, &text),
    };
    if synced == 0 {
        let text = format!("of {all} tables none can be synced as it is; the comments say what each lacks");
        output::fault(&Told::new(Code::DiscoverNone, &text));
        return EXIT_FAILED;
    }
    output::note(&format!("{synced} of {all} tables can be synced; the comments say what the others lack"));
    code
}

/// Looks at one database.
async fn source(
    arguments: &Arguments,
    url: &str,
    env: &Env,
    before: &[Source],
    stop: CancellationToken,
) -> Result<Source, (Told, u8)> {
    let Reached { kind, mut connection } = config::reach(url, env).map_err(|fault| {
        // what stands there may be a password
        let message = Code::ConfigValue.completes(&format!("URL {}: {fault}", before.len() + 1));
        (Told { code: Code::ConfigValue, message }, EXIT_USAGE)
    })?;
    let name = fresh_name(&connection.database, before);
    let variable = format!("{}_PASSWORD", name.to_ascii_uppercase());
    let (shown, literal) = without_password(url);
    if literal {
        output::note(&format!(
            "a password in an argument can be seen by anybody on this machine; say {variable}=… instead. The configuration \
             takes it from {variable}"
        ));
    }
    let mut password = literal.then(|| variable.clone());
    if connection.password.is_none() {
        let usual = match kind {
            SourceKind::Postgres => "PGPASSWORD",
            SourceKind::MySql => "MYSQL_PWD",
        };
        let found = [variable.as_str(), PASSWORD, usual].into_iter().find_map(|name| env.get(name));
        connection.password = found.map(|found| Secret::new(found.to_owned()));
        password = found.map(|_| variable);
    }
    if let Some(mode) = arguments.tls {
        connection.tls.mode = mode;
    }
    connection.tls.ca.clone_from(&arguments.tls_ca);
    let database = connection.database.clone();
    let wanted = |listed: &Listed| {
        let schema = listed.table.schema.as_deref().unwrap_or(&database);
        let means = |pattern: &NamePattern| pattern.means(schema, &listed.table.name);
        let kind = listed.kind == TableKind::Table || (listed.kind == TableKind::View && arguments.views);
        let included = arguments.include.is_empty() || arguments.include.iter().any(means);
        kind && included && !arguments.exclude.iter().any(means)
    };
    // of a MySQL server the url names one database, of a PostgreSQL database no schema
    let own = (kind == SourceKind::MySql).then_some(database.as_str());
    let schema = arguments.schema.as_deref().or(own);
    let tables = app::survey(kind, connection.clone(), schema, wanted, stop).await.map_err(|error| {
        let code = match error.class() {
            Class::Transient => EXIT_RETRY,
            Class::Permanent => EXIT_FAILED,
            Class::Usage => EXIT_USAGE,
        };
        (error.failure().told().of(&name), code)
    })?;
    let table = |found: app::SurveyedTable| Table { table: found.table, rows: found.rows, proposal: found.proposal };
    Ok(Source {
        name,
        url: shown,
        password,
        tls_mode: arguments.tls.map(config::tls_mode_name),
        tls_ca: arguments.tls_ca.as_ref().map(|path| path.display().to_string()),
        dataset: None,
        schema: arguments.schema.clone().filter(|_| kind == SourceKind::Postgres),
        dialect: match kind {
            SourceKind::Postgres => Dialect::Postgres,
            SourceKind::MySql => Dialect::MySql,
        },
        tables: tables.into_iter().map(table).collect(),
    })
}

/// A source's name from its database's, that no source before has and that a variable's and a dataset's can be made of.
fn fresh_name(database: &str, before: &[Source]) -> String {
    let plain: String = plain_name(database).chars().take(NAME_CHARS_MAX).collect();
    let name = if plain.starts_with(|first: char| first.is_ascii_digit()) { format!("db_{plain}") } else { plain };
    let taken = |name: &str| before.iter().any(|source| source.name.eq_ignore_ascii_case(name));
    let numbered = (2..).map(|number| format!("{name}_{number}"));
    std::iter::once(name.clone()).chain(numbered).find(|fresh| !taken(fresh)).unwrap_or(name)
}

/// The url without a password that stands in it as such, and whether one did. References stay.
fn without_password(url: &str) -> (String, bool) {
    let Some((scheme, rest)) = url.split_once("://") else { return (url.to_owned(), false) };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let Some((login, host)) = rest[..end].rsplit_once('@') else { return (url.to_owned(), false) };
    match login.split_once(':') {
        Some((user, password)) if !password.is_empty() && !password.contains("${") => {
            (format!("{scheme}://{user}@{host}{}", &rest[end..]), true)
        }
        Some(_) | None => (url.to_owned(), false),
    }
}

fn write(path: &std::path::Path, text: &str) -> u8 {
    let file = std::fs::OpenOptions::new().write(true).create_new(true).open(path);
    match file.and_then(|mut file| file.write_all(text.as_bytes())) {
        Ok(()) => EXIT_DONE,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => exists(path),
        Err(error) => {
            let text = format!("{} cannot be written: {error}; name another file", path.display());
            output::fault(&Told::new(Code::OutputFile, &text));
            EXIT_FAILED
        }
    }
}

fn exists(path: &std::path::Path) -> u8 {
    let text = format!("{} is there already and is not overwritten; name another file", path.display());
    output::fault(&Told::new(Code::OutputFile, &text));
    EXIT_USAGE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_of_plain_characters_and_fresh() {
        assert_eq!(fresh_name("my-shop.2", &[]), "my_shop_2");
        assert_eq!(fresh_name("2024", &[]), "db_2024");
    }

    #[test]
    fn passwords_are_taken_out_of_urls() {
        for (url, shown, literal) in [
            ("postgres://u:p@h:5/d", "postgres://u@h:5/d", true),
            ("postgres://u@h/d", "postgres://u@h/d", false),
            ("postgres://u:${PW}@h/d", "postgres://u:${PW}@h/d", false),
            ("mysql://u:p%40@h/d?socket=/a@b", "mysql://u@h/d?socket=/a@b", true),
            ("mysql://u:p@@h/d", "mysql://u@h/d", true),
            ("${URL}", "${URL}", false),
        ] {
            assert_eq!(without_password(url), (shown.to_owned(), literal), "{url}");
        }
    }
}
