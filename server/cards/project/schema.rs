//! Schemas: <https://developer.okta.com/docs/api/openapi/okta-management/management/tag/Schema/>.

use crate::okta::record::{Projection, Record, items};
use crate::proto::{SchemaAttribute, SchemaAttributeMutability, SchemaAttributeType};

/// The attributes of a schema, the standard ones first, from its raw JSON.
pub fn schema(raw: &str) -> Vec<SchemaAttribute> {
    let projection = Projection::new();
    let schema = projection.record(raw);
    let Some(definitions) = schema.record("definitions") else { return Vec::new() };
    let part =
        |name: &str, custom: bool| definitions.record(name).map(|part| attributes(&part, custom)).unwrap_or_default();
    let mut all = part("base", false);
    all.extend(part("custom", true));
    all
}

fn attributes(part: &Record<'_>, custom: bool) -> Vec<SchemaAttribute> {
    let required = part.texts("required");
    let Some(properties) = part.record("properties") else { return Vec::new() };
    properties
        .members()
        .map(|(name, raw)| attribute(name, raw, custom, required.iter().any(|own| own == name)))
        .collect()
}

fn attribute(name: &str, raw: &str, custom: bool, required: bool) -> SchemaAttribute {
    let projection = Projection::new();
    let record = projection.record(raw);
    let mutability =
        |name: &str| SchemaAttributeMutability::from_str_name(&format!("SCHEMA_ATTRIBUTE_MUTABILITY_{name}"));
    SchemaAttribute {
        name: name.to_owned(),
        title: record.text_or_empty("title"),
        description: record.text_or_empty("description"),
        r#type: kind(&record).into(),
        item_type: record.record("items").map(|items| kind(&items)).unwrap_or_default().into(),
        required: required || record.boolean("required").unwrap_or(false),
        enum_values: enum_values(&record),
        mutability: record.choice("mutability", mutability).into(),
        custom,
        format: record.text_or_empty("format"),
        min_length: record.integer("minLength"),
        max_length: record.integer("maxLength"),
        unique: record.raw("unique").is_some_and(|unique| matches!(unique, "true" | "\"UNIQUE_VALIDATED\"")),
        raw_body_json: raw.to_owned(),
    }
}

fn kind(record: &Record<'_>) -> SchemaAttributeType {
    record.choice("type", |name| {
        SchemaAttributeType::from_str_name(&format!("SCHEMA_ATTRIBUTE_TYPE_{}", name.to_uppercase()))
    })
}

/// The values allowed, of the attribute or of a list's items; numbers as they are written.
fn enum_values(record: &Record<'_>) -> Vec<String> {
    let of_items = record.record("items").and_then(|items| items.raw("enum"));
    let values = record.raw("enum").or(of_items).and_then(items).unwrap_or_default();
    values.into_iter().map(|raw| serde_json::from_str(raw).unwrap_or_else(|_| raw.to_owned())).collect()
}
