//! The page that is made: each case runs the program and is shown with what it printed, ports, names and times made the same.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use highwater::model::Code;

use crate::support::place::Place;
use crate::support::process;

/// What is done, and what for.
pub struct Case<'a> {
    pub title: &'a str,
    pub what: &'a str,
    /// The configuration as it is shown; `POSTGRES` and `MYSQL` stand for the urls of the databases, `BUCKET` and `DATASET` for
    /// what they are called.
    pub config: &'a str,
    pub env: &'a [(&'a str, &'a str)],
    pub args: &'a [&'a str],
    pub exit: i32,
    pub codes: &'a [Code],
}

pub struct Page {
    pub place: Place,
    text: String,
    cases: u32,
    codes: BTreeSet<Code>,
    /// Cases that were not told as they should be.
    pub failures: Vec<String>,
}

const POSTGRES: &str = "postgres://reader:${PASSWORD}@db.example.com:5432/shop";
const MYSQL: &str = "mysql://reader:${PASSWORD}@my.example.com:3306/shop";

impl Page {
    pub async fn new() -> Self {
        Self { place: Place::new().await, text: String::new(), cases: 0, codes: BTreeSet::new(), failures: Vec::new() }
    }

    pub fn chapter(&mut self, title: &str, about: &str) {
        write!(self.text, "## {title}\n\n{about}\n\n").unwrap();
    }

    /// As [`Page::case`], of a port that the case chose.
    pub async fn case_at(&mut self, case: Case<'_>, port: &str) {
        let before = self.text.len();
        self.case(case).await;
        let told = self.text.split_off(before).replace(port, "8080");
        self.text.push_str(&told);
    }

    /// What has to be done before a case, and is not shown.
    pub async fn quietly(&mut self, config: &str, args: &[&str]) {
        let place = &self.place;
        place.write_config(&self.real(config));
        let mut env = place.env();
        env.push(("PASSWORD".into(), place.stack.postgres.password.clone()));
        let ran = process::run(place.folder.path(), &env, args).await;
        if ran.code != 0 {
            self.failures.push(format!("before a case: {ran:#?}"));
        }
    }

    /// Deletes a table of BigQuery's.
    pub async fn drop_target(&self, table: &str) {
        self.place.bq(&format!("DROP TABLE {{d}}.{table}")).await;
    }

    /// The names that cases write, as they are here and as they are shown.
    fn names(&self) -> [(&'static str, String, &'static str); 4] {
        let place = &self.place;
        let (pg, my) = (&place.stack.postgres, &place.stack.mysql);
        [
            (
                "POSTGRES",
                format!("postgres://{}:${{PASSWORD}}@127.0.0.1:{}/{}", pg.user, pg.port, place.name),
                POSTGRES,
            ),
            ("MYSQL", format!("mysql://{}:${{PASSWORD}}@127.0.0.1:{}/{}", my.user, my.port, place.name), MYSQL),
            ("BUCKET", place.bucket(), "acme-highwater"),
            ("DATASET", place.name.clone(), "shop"),
        ]
    }

    fn real(&self, config: &str) -> String {
        self.names().iter().fold(config.to_owned(), |text, (name, is, _)| text.replace(name, is))
    }

    /// Runs the case and shows it.
    pub async fn case(&mut self, case: Case<'_>) {
        let place = &self.place;
        let real = self.real(case.config);
        let shown =
            self.names().iter().fold(case.config.to_owned(), |text, (name, _, looks)| text.replace(name, looks));
        let shown = self.normal(&shown);
        if !real.is_empty() {
            place.write_config(&real);
        }
        let mut env = place.env();
        env.retain(|(name, _)| name != "HIGHWATER_LOG");
        env.push(("HIGHWATER_LOG".into(), "off".into()));
        env.push(("PASSWORD".into(), place.stack.postgres.password.clone()));
        env.extend(case.env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let ran = process::run(place.folder.path(), &env, case.args).await;
        let told = self.normal(&ran.stderr);
        let lacks = case.codes.iter().any(|code| !told.contains(&format!("highwater: {code}: ")));
        if ran.code != case.exit || lacks || !self.is_fine(&told) {
            self.failures.push(format!("{}: {ran:#?}", case.title));
        }
        self.codes.extend(case.codes);
        self.cases += 1;
        let Case { title, what, args, exit, env, .. } = case;
        write!(self.text, "### {}. {title}\n\n{what}\n\n", self.cases).unwrap();
        if !shown.is_empty() {
            write!(self.text, "```yaml\n{}\n```\n\n", shown.trim_end()).unwrap();
        }
        let set: String = env.iter().map(|(name, value)| format!("{name}={value} ")).collect();
        let args = args.join(" ");
        write!(self.text, "```\n$ {set}highwater {args}\n{}\n```\n\nExit status {exit}.\n\n", told.trim_end()).unwrap();
    }

    /// What holds for every message: a code, one line of cause, one of way out, no secret, nobody's internals.
    fn is_fine(&self, told: &str) -> bool {
        let lines: Vec<&str> = told.lines().collect();
        let errors = lines.iter().enumerate().filter(|(_, line)| line.starts_with("highwater: "));
        let secret = self.place.stack.postgres.password.as_str();
        let forbidden = [secret, "panicked", "Error {", "None", "Some("];
        errors.into_iter().all(|(at, line)| {
            let way_out = lines.get(at + 1).is_some_and(|next| next.starts_with("  way out: "));
            line.starts_with("highwater: HW-") && way_out
        }) && told.contains("  see: highwater explain HW-")
            && !forbidden.iter().any(|word| told.contains(word))
    }

    /// The same whatever ports, names and times were.
    fn normal(&self, text: &str) -> String {
        let place = &self.place;
        let (pg, my) = (&place.stack.postgres, &place.stack.mysql);
        let text = text
            .replace(&format!("127.0.0.1:{}", pg.port), "db.example.com:5432")
            .replace(&format!("127.0.0.1:{}", my.port), "my.example.com:3306")
            .replace(&place.bucket(), "acme-highwater")
            .replace(&place.name, "shop")
            .replace(&format!("\"{}\"", pg.user), "\"reader\"")
            .replace(&format!("'{}'@", my.user), "'reader'@");
        let lines: Vec<String> = text.lines().map(|line| times(&ids(line))).collect();
        lines.join("\n")
    }

    /// The whole page.
    pub fn text(self, renew: &str) -> String {
        let codes: Vec<String> =
            self.codes.iter().map(|code| format!("[{code}](errors.md#{})", code.as_str().to_lowercase())).collect();
        format!(
            "# Messages\n\nWhat Highwater says when something is wrong. A test does each of these things with the real program and \
             real databases and\nprints this page; ports, names and times are made the same. To renew it:\n\n```\n{renew}\n```\n\n\
             Codes that are met here: {}. All are in [errors.md](errors.md).\n\n{}",
            codes.join(", "),
            self.text.trim_end().to_owned() + "\n"
        )
    }
}

/// Ids of intents and runs made the same: 26 digits and capital letters.
fn ids(line: &str) -> String {
    const LENGTH: usize = 26;
    let mut out = String::new();
    let mut word = String::new();
    let end = |word: &mut String, out: &mut String| {
        let is_id = word.len() == LENGTH && word.chars().all(|c| c.is_ascii_digit() || c.is_ascii_uppercase());
        out.push_str(if is_id { "01JQ8Z4M7K3T5V9X2B6C1D0E8F" } else { word });
        word.clear();
    };
    for character in line.chars() {
        if character.is_ascii_alphanumeric() {
            word.push(character);
        } else {
            end(&mut word, &mut out);
            out.push(character);
        }
    }
    end(&mut word, &mut out);
    out
}

/// Times of attempts made the same: `in 3.2s`.
fn times(line: &str) -> String {
    let mut out = Vec::new();
    for word in line.split(' ') {
        let bare = word.trim_end_matches([':', ',', ';']);
        let number = bare.trim_end_matches("ms").trim_end_matches('s');
        let is_time = number.len() < bare.len() && number.contains('.') && number.parse::<f64>().is_ok();
        out.push(if is_time { format!("3.2s{}", &word[bare.len()..]) } else { word.to_owned() });
    }
    out.join(" ")
}
