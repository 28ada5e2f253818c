//! Which commit the program is of, for `highwater --version`: HIGHWATER_REVISION and HIGHWATER_DATE where they are set (an
//! image is built without the repository), else what git says. Only releases ask git: a debug build would be made anew after
//! each commit.

#![expect(clippy::disallowed_methods, reason = "variables are how cargo and a build script talk")]

use std::process::Command;

const REVISION: &str = "HIGHWATER_REVISION";
const DATE: &str = "HIGHWATER_DATE";

fn main() {
    for name in [REVISION, DATE] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    let said = |name| std::env::var(name).ok().filter(|text| !text.trim().is_empty() && text != "unknown");
    let release = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let of_git = match release {
        true => git(),
        false => None,
    };
    let (revision, date) = match (said(REVISION), of_git) {
        (Some(revision), _) => (Some(revision), said(DATE)),
        (None, Some((revision, date))) => (Some(revision), Some(date)),
        (None, None) => (None, None),
    };
    let version = env!("CARGO_PKG_VERSION");
    let about = match (revision, date) {
        // an instant is more than a version has to say
        (Some(revision), Some(date)) => format!(" ({revision} {})", date.split('T').next().unwrap_or_default()),
        (Some(revision), None) => format!(" ({revision})"),
        (None, _) => String::new(),
    };
    println!("cargo:rustc-env=HIGHWATER_VERSION={version}{about}");
}

/// Commit and day of what is checked out.
fn git() -> Option<(String, String)> {
    let run = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
    };
    for name in ["HEAD", "logs/HEAD", "index"] {
        println!("cargo:rerun-if-changed={}", run(&["rev-parse", "--git-path", name])?);
    }
    let revision = run(&["rev-parse", "--short=9", "HEAD"])?;
    // not by `describe --dirty`, which writes the index: the next build would be made anew for it
    let changed = !run(&["--no-optional-locks", "status", "--porcelain", "--untracked-files=no"])?.is_empty();
    let revision = if changed { format!("{revision}-dirty") } else { revision };
    Some((revision, run(&["log", "-1", "--format=%cs"])?))
}
