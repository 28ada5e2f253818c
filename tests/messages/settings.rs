//! Ten wrong configurations.

use highwater::model::Code;

use super::page::{Case, Page};

const HEAD: &str = "project: acme\ndataset: DATASET\nlocation: EU\nbucket: BUCKET\n";

pub async fn tell(page: &mut Page) {
    page.chapter("Ten wrong configurations", "Everything that is wrong is told at once; nothing was contacted before.");
    keys_and_words(page).await;
    values_and_variables(page).await;
}

async fn told(page: &mut Page, title: &str, what: &str, config: &str, codes: &[Code]) {
    page.case(Case { title, what, config, env: &[], args: &["sync", "--all"], exit: 2, codes }).await;
}

async fn keys_and_words(page: &mut Page) {
    let config = "project: acme\nbucket: BUCKET\nsources:\n  shop:\n    url: POSTGRES\n    tabels:\n      orders: { cursor: updated_at }";
    let codes = [Code::ConfigUnknownKey, Code::ConfigMissing];
    told(page, "A key that nobody reads", "`tabels` for `tables`, and no `dataset`.", config, &codes).await;
    let config =
        format!("{HEAD}sources:\n  shop:\n    url: POSTGRES\n    tables:\n      orders: {{ cursor: updated_at\n");
    told(page, "No YAML", "A brace is not closed.", &config, &[Code::ConfigSyntax]).await;
    let config = format!(
        "{HEAD}sources:\n  shop:\n    url: POSTGRES\n    tables:\n      orders: {{ cursor: updated_at, mode: mrege, chunk_rows: lots }}"
    );
    told(
        page,
        "Words and numbers",
        "A mode that is misspelt, and a number that is none.",
        &config,
        &[Code::ConfigValue],
    )
    .await;
    let config = format!("{HEAD}sources:\n  shop:\n    url: POSTGRES\n    tables:\n      orders: {{}}");
    told(page, "No cursor", "`merge` needs to know what is newer.", &config, &[Code::ConfigMissing]).await;
    let config = format!(
        "{HEAD}sources:\n  shop:\n    url: POSTGRES\n    tables:\n      events: {{ mode: append, cursor: id, deletes: soft }}"
    );
    let what = "Rows that are gone cannot be taken out of a table that keeps all.";
    told(page, "Settings that do not go together", what, &config, &[Code::ConfigConflict]).await;
}

async fn values_and_variables(page: &mut Page) {
    let config = format!(
        "{HEAD}sources:\n  shop:\n    url: postgres://reader:${{SHOP_PASSWORD}}@db.example.com/shop\n    tables:\n      orders: {{ cursor: updated_at }}"
    );
    told(page, "A variable that is not set", "The password's variable.", &config, &[Code::ConfigUnset]).await;
    let config = format!(
        "{HEAD}sources:\n  shop:\n    url: POSTGRES\n    tables:\n      orders: {{ cursor: updated_at, target: sales }}\n      old_orders: {{ cursor: updated_at, target: sales }}"
    );
    told(page, "Two tables, one target", "Each would write over the other.", &config, &[Code::ConfigConflict]).await;
    let config = format!(
        "{HEAD}sources:\n  shop:\n    url: POSTGRES?sslmode=require\n    tables:\n      orders: {{ cursor: updated_at }}"
    );
    let what = "A driver's setting in the url, which would be ignored.";
    told(page, "TLS in the url", what, &config, &[Code::ConfigValue]).await;
    let case = Case {
        title: "No file",
        what: "A file that is not there.",
        config: "",
        env: &[],
        args: &["--config", "nowhere.yaml", "status"],
        exit: 2,
        codes: &[Code::ConfigFile],
    };
    page.case(case).await;
    let case = Case {
        title: "Variables alone, one missing",
        what: "No file, and `SYNC_DATABASES` names a database; the project and the host are missing.",
        config: "",
        env: &[("SYNC_DATABASES", "shop"), ("SHOP_TABLES", "orders"), ("SYNC_TIMEOUT", "soon")],
        args: &["sync", "--all"],
        exit: 2,
        codes: &[Code::ConfigMissing, Code::ConfigVariable],
    };
    std::fs::remove_file(page.place.folder.path().join("highwater.yaml")).unwrap();
    page.case(case).await;
}
