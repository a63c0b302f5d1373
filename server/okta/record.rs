//! Reading Okta's JSON tolerantly: each field on its own, so that an odd one costs that field and nothing else.
//!
//! A record is split into its members without looking into them, then each is read when it is asked for. What is null or absent
//! reads as nothing; what has another type reads as nothing and is said in the projection errors.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;

use prost_types::{Struct, Timestamp, Value, value};
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::proto::ProjectionError;

/// At most this many projection errors are told of one record: a page of odd records stays bounded.
const MAX_ERRORS: usize = 64;

/// The reading of one record of Okta's, with what went wrong on the way.
#[derive(Debug, Default)]
pub struct Projection {
    errors: RefCell<Vec<ProjectionError>>,
}

impl Projection {
    /// Starts a reading.
    pub fn new() -> Self {
        Self::default()
    }

    /// The members of the JSON object `raw`. Of anything else: no members, and an error.
    pub fn record<'a>(&'a self, raw: &'a str) -> Record<'a> {
        Record::parse(self, String::new(), raw)
    }

    /// What went wrong.
    pub fn into_errors(self) -> Vec<ProjectionError> {
        self.errors.into_inner()
    }

    fn odd(&self, field: String, description: String) {
        let mut errors = self.errors.borrow_mut();
        if errors.len() < MAX_ERRORS {
            errors.push(ProjectionError { field, description });
        }
    }
}

/// The members of one JSON object.
#[derive(Debug)]
pub struct Record<'a> {
    projection: &'a Projection,
    path: String,
    members: Vec<(Cow<'a, str>, &'a str)>,
}

impl<'a> Record<'a> {
    fn parse(projection: &'a Projection, path: String, raw: &'a str) -> Self {
        let members = match members(raw) {
            Some(members) => members,
            None => {
                projection.odd(path.clone(), format!("expected an object, found {}", kind(raw)));
                Vec::new()
            }
        };
        Self { projection, path, members }
    }

    /// The raw JSON of a member; `None` when it is absent or null. Of a repeated name the last one counts, as with most readers.
    pub fn raw(&self, name: &str) -> Option<&'a str> {
        let (_, raw) = self.members.iter().rev().find(|(member, _)| member == name)?;
        (*raw != "null").then_some(*raw)
    }

    /// Every member: its name and raw JSON.
    pub fn members(&self) -> impl Iterator<Item = (&str, &'a str)> {
        self.members.iter().map(|(name, raw)| (name.as_ref(), *raw))
    }

    /// A text; `None` when there is none.
    pub fn text(&self, name: &str) -> Option<String> {
        let raw = self.raw(name)?;
        self.read_text(name, raw)
    }

    /// A text, empty when there is none.
    pub fn text_or_empty(&self, name: &str) -> String {
        self.text(name).unwrap_or_default()
    }

    /// A member that was found with [`Record::members`], as text.
    pub fn read_text(&self, name: &str, raw: &str) -> Option<String> {
        self.expect(name, raw, "text", serde_json::from_str::<String>(raw).ok())
    }

    /// A time in RFC 3339.
    pub fn timestamp(&self, name: &str) -> Option<Timestamp> {
        let raw = self.raw(name)?;
        let time = serde_json::from_str::<Cow<'_, str>>(raw).ok().and_then(|text| text.parse().ok());
        self.expect(name, raw, "a time in RFC 3339", time)
    }

    /// True or false.
    pub fn boolean(&self, name: &str) -> Option<bool> {
        let raw = self.raw(name)?;
        self.expect(name, raw, "true or false", serde_json::from_str(raw).ok())
    }

    /// A whole number.
    pub fn integer<T: serde::de::DeserializeOwned>(&self, name: &str) -> Option<T> {
        let raw = self.raw(name)?;
        self.expect(name, raw, "a whole number", serde_json::from_str(raw).ok())
    }

    /// A name of an enum, looked up with `from_name`; an unknown one is `T::default()`, and said.
    pub fn choice<T: Default>(&self, name: &str, from_name: impl Fn(&str) -> Option<T>) -> T {
        let Some(text) = self.text(name) else { return T::default() };
        from_name(&text).unwrap_or_else(|| {
            self.projection.odd(self.path_of(name), "a value that this version does not know".to_owned());
            T::default()
        })
    }

    /// An object inside.
    pub fn record(&self, name: &str) -> Option<Record<'a>> {
        let raw = self.raw(name)?;
        Some(Record::parse(self.projection, self.path_of(name), raw))
    }

    /// The raw items of a list; empty when there is none.
    pub fn list(&self, name: &str) -> Vec<&'a str> {
        let Some(raw) = self.raw(name) else { return Vec::new() };
        self.expect(name, raw, "a list", items(raw)).unwrap_or_default()
    }

    /// The objects of a list; empty when there is none.
    pub fn records(&self, name: &str) -> Vec<Record<'a>> {
        let path = |index| format!("{}[{index}]", self.path_of(name));
        let items = self.list(name).into_iter().enumerate();
        items.map(|(index, raw)| Record::parse(self.projection, path(index), raw)).collect()
    }

    /// The texts of a list; empty when there is none.
    pub fn texts(&self, name: &str) -> Vec<String> {
        self.list(name).into_iter().filter_map(|raw| self.read_text(name, raw)).collect()
    }

    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    fn expect<T>(&self, name: &str, raw: &str, wanted: &str, found: Option<T>) -> Option<T> {
        if found.is_none() {
            self.projection.odd(self.path_of(name), format!("expected {wanted}, found {}", kind(raw)));
        }
        found
    }
}

/// The raw items of a JSON list; `None` when it is something else.
pub fn items(raw: &str) -> Option<Vec<&str>> {
    struct Items;
    impl<'de> Visitor<'de> for Items {
        type Value = Vec<&'de str>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut items = Vec::new();
            while let Some(raw) = list.next_element::<&'de RawValue>()? {
                items.push(raw.get());
            }
            Ok(items)
        }
    }
    whole(raw, |json| json.deserialize_seq(Items))
}

/// The members of a JSON object, names read and values raw; `None` when it is something else.
pub fn members(raw: &str) -> Option<Vec<(Cow<'_, str>, &str)>> {
    struct Members;
    impl<'de> Visitor<'de> for Members {
        type Value = Vec<(Cow<'de, str>, &'de str)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::with_capacity(16);
            while let Some((Name(name), raw)) = object.next_entry::<Name<'de>, &'de RawValue>()? {
                members.push((name, raw.get()));
            }
            Ok(members)
        }
    }
    whole(raw, |json| json.deserialize_map(Members))
}

/// A member's name, borrowed where it has no escapes.
#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

type Json<'de> = serde_json::Deserializer<serde_json::de::StrRead<'de>>;

fn whole<'de, T>(raw: &'de str, read: impl FnOnce(&mut Json<'de>) -> Result<T, serde_json::Error>) -> Option<T> {
    let mut json = serde_json::Deserializer::from_str(raw);
    let value = read(&mut json).ok()?;
    json.end().ok()?;
    Some(value)
}

fn kind(raw: &str) -> &'static str {
    match raw.trim_start().bytes().next() {
        Some(b'"') => "text",
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b't' | b'f') => "true or false",
        Some(b'n') => "null",
        Some(b'-' | b'0'..=b'9') => "a number",
        _ => "no JSON",
    }
}

/// JSON text as a `google.protobuf.Value`; `None` when it is no JSON. Numbers become doubles: the raw body keeps them exact.
pub fn to_value(raw: &str) -> Option<Value> {
    serde_json::from_str::<serde_json::Value>(raw).ok().map(from_json)
}

/// Whether `raw` is JSON.
pub fn is_json(raw: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(raw).is_ok()
}

/// A JSON value as a `google.protobuf.Value`.
pub fn from_json(json: serde_json::Value) -> Value {
    use serde_json::Value as Json;
    use value::Kind;
    let kind = match json {
        Json::Null => Kind::NullValue(0),
        Json::Bool(boolean) => Kind::BoolValue(boolean),
        Json::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or(f64::MAX)),
        Json::String(text) => Kind::StringValue(text),
        Json::Array(items) => {
            Kind::ListValue(prost_types::ListValue { values: items.into_iter().map(from_json).collect() })
        }
        Json::Object(members) => Kind::StructValue(Struct {
            fields: members.into_iter().map(|(name, member)| (name, from_json(member))).collect(),
        }),
    };
    Value { kind: Some(kind) }
}

/// A `google.protobuf.Value` as JSON. A whole number within ±2^53 is written without a fraction, as Okta's integers want it.
pub fn to_json(value: &Value) -> serde_json::Value {
    use serde_json::Value as Json;
    use value::Kind;
    match &value.kind {
        None | Some(Kind::NullValue(_)) => Json::Null,
        Some(Kind::BoolValue(boolean)) => Json::Bool(*boolean),
        Some(Kind::NumberValue(number)) => number_to_json(*number),
        Some(Kind::StringValue(text)) => Json::String(text.clone()),
        Some(Kind::ListValue(list)) => Json::Array(list.values.iter().map(to_json).collect()),
        Some(Kind::StructValue(object)) => Json::Object(struct_to_json(object)),
    }
}

/// A `google.protobuf.Struct` as a JSON object.
pub fn struct_to_json(object: &Struct) -> serde_json::Map<String, serde_json::Value> {
    object.fields.iter().map(|(name, value)| (name.clone(), to_json(value))).collect()
}

fn number_to_json(number: f64) -> serde_json::Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() <= EXACT {
        #[allow(clippy::cast_possible_truncation, reason = "whole and within ±2^53")]
        return serde_json::Value::from(number as i64);
    }
    serde_json::Number::from_f64(number).map_or(serde_json::Value::Null, serde_json::Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_odd_field_costs_that_field_only() {
        let projection = Projection::new();
        let record = projection.record(r#"{"id":7,"name":"n","created":"soon","tags":{},"tags2":["a",1],"gone":null}"#);
        assert_eq!(record.text("id"), None);
        assert_eq!(record.text("name").as_deref(), Some("n"));
        assert_eq!(record.timestamp("created"), None);
        assert!(record.list("tags").is_empty());
        assert_eq!(record.texts("tags2"), ["a"]);
        assert_eq!(record.text("gone"), None);
        assert_eq!(record.text("absent"), None);
        drop(record);
        let fields: Vec<String> = projection.into_errors().into_iter().map(|error| error.field).collect();
        assert_eq!(fields, ["id", "created", "tags", "tags2"]);
    }

    #[test]
    fn a_record_that_is_no_object_reads_as_empty_and_is_said() {
        for raw in ["7", "[1]", "\"x\"", "null", "{\"a\":", "<html>"] {
            let projection = Projection::new();
            assert_eq!(projection.record(raw).text("id"), None);
            assert_eq!(projection.into_errors().len(), 1, "{raw}");
        }
    }

    #[test]
    fn of_a_repeated_name_the_last_one_counts() {
        let projection = Projection::new();
        assert_eq!(projection.record(r#"{"id":"a","id":"b"}"#).text("id").as_deref(), Some("b"));
    }

    #[test]
    fn values_come_back_as_they_went_in() {
        let raw = r#"{"a":[1,2.5,"x",null,true],"b":{"c":-3}}"#;
        let value = to_value(raw).expect("JSON");
        assert_eq!(to_json(&value).to_string(), raw);
    }
}
