//! As much of JSON Schema (2020-12) as OpenLineage's schemas use. A keyword that is not known here is a failure: nothing is
//! passed over.

use serde_json::Value;

/// Documents by their `$id`.
pub struct Schemas(Vec<Value>);

impl Schemas {
    pub fn parse(texts: &[&str]) -> Self {
        Self(texts.iter().map(|text| serde_json::from_str(text).unwrap()).collect())
    }

    /// Everything that is wrong with the value by the schema of that address.
    pub fn faults(&self, address: &str, value: &Value) -> Vec<String> {
        let (document, schema) = self.find(address, &Value::Null);
        let mut faults = Vec::new();
        self.check(document, schema, value, "", &mut faults);
        faults
    }

    fn find<'a>(&'a self, address: &str, here: &'a Value) -> (&'a Value, &'a Value) {
        let (id, pointer) = address.split_once('#').unwrap_or((address, ""));
        let named = self.0.iter().find(|document| document["$id"] == id);
        let document = if id.is_empty() { here } else { named.unwrap_or_else(|| panic!("no schema {id}")) };
        (document, document.pointer(pointer).unwrap_or_else(|| panic!("no {address}")))
    }

    fn check(&self, document: &Value, schema: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
        let valid = |schema: &Value| {
            let mut faults = Vec::new();
            self.check(document, schema, value, at, &mut faults);
            faults.is_empty()
        };
        for (keyword, wanted) in schema.as_object().unwrap_or_else(|| panic!("{schema} at {at}")) {
            let list = || wanted.as_array().unwrap().iter();
            let fine = match keyword.as_str() {
                "$schema" | "$id" | "$defs" | "description" | "example" | "deprecated" => true,
                "$ref" => {
                    let (document, schema) = self.find(wanted.as_str().unwrap(), document);
                    self.check(document, schema, value, at, faults);
                    true
                }
                "allOf" => {
                    list().for_each(|schema| self.check(document, schema, value, at, faults));
                    true
                }
                "anyOf" => list().any(valid),
                "oneOf" => list().filter(|schema| valid(schema)).count() == 1,
                "not" => !valid(wanted),
                "enum" => list().any(|known| known == value),
                "type" => is_type(wanted.as_str().unwrap(), value),
                "format" => value.as_str().is_none_or(|text| is_format(wanted.as_str().unwrap(), text)),
                "minimum" => value.as_f64().is_none_or(|number| number >= wanted.as_f64().unwrap()),
                "required" => {
                    list().all(|name| value.as_object().is_none_or(|it| it.contains_key(name.as_str().unwrap())))
                }
                "items" => {
                    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.check(document, wanted, item, &format!("{at}/{index}"), faults);
                    }
                    true
                }
                "properties" => {
                    for (name, schema) in wanted.as_object().unwrap() {
                        if let Some(value) = value.get(name) {
                            self.check(document, schema, value, &format!("{at}/{name}"), faults);
                        }
                    }
                    true
                }
                "additionalProperties" if *wanted == Value::Bool(true) => true,
                "additionalProperties" => {
                    let named = |name: &str| schema["properties"].get(name).is_some();
                    for (name, value) in value.as_object().into_iter().flatten().filter(|(name, _)| !named(name)) {
                        self.check(document, wanted, value, &format!("{at}/{name}"), faults);
                    }
                    true
                }
                unknown => panic!("the keyword {unknown} is not known here"),
            };
            if !fine {
                faults.push(format!("{at}: {keyword} {wanted}"));
            }
        }
    }
}

fn is_type(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        unknown => panic!("the type {unknown} is not known here"),
    }
}

fn is_format(name: &str, text: &str) -> bool {
    let is_hex = |part: &str| part.bytes().all(|byte| byte.is_ascii_hexdigit());
    match name {
        "date-time" => text.parse::<jiff::Timestamp>().is_ok(),
        "uri" => url::Url::parse(text).is_ok(),
        "uuid" => {
            let parts: Vec<&str> = text.split('-').collect();
            parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12]) && parts.iter().all(|part| is_hex(part))
        }
        unknown => panic!("the format {unknown} is not known here"),
    }
}
