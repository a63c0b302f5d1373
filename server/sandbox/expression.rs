//! Okta's filter and search expressions, a part of SCIM's (RFC 7644, 3.4.2.2): read, checked against what an endpoint allows, and
//! evaluated on JSON.

use std::cmp::Ordering;

use serde_json::Value;

/// Parentheses inside parentheses: as deep as anybody writes them.
const MAX_DEPTH: usize = 32;

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expression {
    Any(Vec<Expression>),
    All(Vec<Expression>),
    Not(Box<Expression>),
    Compare { property: String, operator: Operator, value: Value },
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Eq,
    Ne,
    Gt,
    Ge,
    Lt,
    Le,
    Sw,
    Ew,
    Co,
    Pr,
}

/// What an endpoint makes of expressions.
#[derive(Clone, Copy)]
pub(super) struct Dialect {
    /// Whether a property may be compared in this way.
    pub(super) allows: fn(&str, Operator) -> bool,
    /// Whether texts that differ in case only are the same.
    pub(super) ignore_case: bool,
    /// Whether there is a `not`.
    pub(super) negation: bool,
}

/// Reads an expression; `None` when it is none, or does what the dialect does not allow.
pub(super) fn parse(text: &str, dialect: Dialect) -> Option<Expression> {
    let mut reader = Reader { rest: text.trim_start(), dialect, depth: 0 };
    let expression = reader.any()?;
    reader.rest.is_empty().then_some(expression)
}

struct Reader<'a> {
    rest: &'a str,
    dialect: Dialect,
    depth: usize,
}

impl Reader<'_> {
    fn any(&mut self) -> Option<Expression> {
        let mut parts = vec![self.all()?];
        while self.word("or") {
            parts.push(self.all()?);
        }
        Some(if parts.len() == 1 { parts.remove(0) } else { Expression::Any(parts) })
    }

    fn all(&mut self) -> Option<Expression> {
        let mut parts = vec![self.one()?];
        while self.word("and") {
            parts.push(self.one()?);
        }
        Some(if parts.len() == 1 { parts.remove(0) } else { Expression::All(parts) })
    }

    fn one(&mut self) -> Option<Expression> {
        if self.dialect.negation && self.word("not") {
            let negated = if self.rest.starts_with('(') { self.one()? } else { return None };
            return Some(Expression::Not(Box::new(negated)));
        }
        let Some(inside) = self.rest.strip_prefix('(') else { return self.compare() };
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return None;
        }
        self.rest = inside.trim_start();
        let expression = self.any()?;
        self.rest = self.rest.strip_prefix(')')?.trim_start();
        self.depth -= 1;
        Some(expression)
    }

    fn compare(&mut self) -> Option<Expression> {
        let property = self.take(|letter| letter.is_ascii_alphanumeric() || "._-".contains(letter))?;
        let operator = match self.take(|letter| letter.is_ascii_alphabetic())?.to_ascii_lowercase().as_str() {
            "eq" => Operator::Eq,
            "ne" => Operator::Ne,
            "gt" => Operator::Gt,
            "ge" => Operator::Ge,
            "lt" => Operator::Lt,
            "le" => Operator::Le,
            "sw" => Operator::Sw,
            "ew" => Operator::Ew,
            "co" => Operator::Co,
            "pr" => Operator::Pr,
            _ => return None,
        };
        if !(self.dialect.allows)(&property, operator) {
            return None;
        }
        let value = if operator == Operator::Pr { Value::Null } else { self.value()? };
        Some(Expression::Compare { property, operator, value })
    }

    /// A JSON text, number or boolean.
    fn value(&mut self) -> Option<Value> {
        let end = if self.rest.starts_with('"') {
            let mut values = serde_json::Deserializer::from_str(self.rest).into_iter::<Value>();
            values.next()?.ok()?;
            values.byte_offset()
        } else {
            self.rest.find(|letter: char| letter.is_whitespace() || letter == ')').unwrap_or(self.rest.len())
        };
        let (value, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest.trim_start();
        let value: Value = serde_json::from_str(value).ok()?;
        (!value.is_object() && !value.is_array() && !value.is_null()).then_some(value)
    }

    fn take(&mut self, belongs: impl Fn(char) -> bool) -> Option<String> {
        let end = self.rest.find(|letter| !belongs(letter)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest.trim_start();
        (!taken.is_empty()).then(|| taken.to_owned())
    }

    fn word(&mut self, word: &str) -> bool {
        let Some(rest) = self.rest.get(word.len()..) else { return false };
        let found = self.rest[..word.len()].eq_ignore_ascii_case(word)
            && rest.starts_with(|letter: char| letter.is_whitespace() || letter == '(');
        if found {
            self.rest = rest.trim_start();
        }
        found
    }
}

impl Expression {
    /// Whether `object` is as the expression says.
    pub(super) fn matches(&self, object: &Value, dialect: Dialect) -> bool {
        match self {
            Self::Any(parts) => parts.iter().any(|part| part.matches(object, dialect)),
            Self::All(parts) => parts.iter().all(|part| part.matches(object, dialect)),
            Self::Not(part) => !part.matches(object, dialect),
            Self::Compare { property, operator, value } => {
                let found = find(object, property);
                match operator {
                    Operator::Ne => !found.iter().any(|found| compare(found, Operator::Eq, value, dialect)),
                    Operator::Pr => !found.is_empty(),
                    _ => found.iter().any(|found| compare(found, *operator, value, dialect)),
                }
            }
        }
    }

    /// The value that `property` must equal, if that is all the expression says.
    pub(super) fn equals(&self, wanted: &str) -> Option<&str> {
        match self {
            Self::Compare { property, operator: Operator::Eq, value } if property == wanted => value.as_str(),
            _ => None,
        }
    }
}

/// Every value that a dotted path leads to: through a list it leads to each item.
fn find<'a>(object: &'a Value, path: &str) -> Vec<&'a Value> {
    let mut found = vec![object];
    for name in path.split('.') {
        found = found.into_iter().flat_map(flatten).filter_map(|value| value.get(name)).collect();
    }
    found.into_iter().flat_map(flatten).filter(|value| !value.is_null()).collect()
}

fn flatten(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        other => vec![other],
    }
}

fn compare(found: &Value, operator: Operator, wanted: &Value, dialect: Dialect) -> bool {
    let (Value::String(found), Value::String(wanted)) = (found, wanted) else {
        return match (found.as_f64(), wanted.as_f64()) {
            (Some(found), Some(wanted)) => found.partial_cmp(&wanted).is_some_and(|order| holds(operator, order)),
            _ => operator == Operator::Eq && found == wanted,
        };
    };
    if let (Ok(found), Ok(wanted)) = (found.parse::<jiff::Timestamp>(), wanted.parse::<jiff::Timestamp>()) {
        return holds(operator, found.cmp(&wanted));
    }
    let fold = |text: &str| if dialect.ignore_case { text.to_lowercase() } else { text.to_owned() };
    let (found, wanted) = (fold(found), fold(wanted));
    match operator {
        Operator::Sw => found.starts_with(&wanted),
        Operator::Ew => found.ends_with(&wanted),
        Operator::Co => found.contains(&wanted),
        _ => holds(operator, found.cmp(&wanted)),
    }
}

fn holds(operator: Operator, order: Ordering) -> bool {
    match operator {
        Operator::Eq => order.is_eq(),
        Operator::Gt => order.is_gt(),
        Operator::Ge => order.is_ge(),
        Operator::Lt => order.is_lt(),
        Operator::Le => order.is_le(),
        Operator::Ne | Operator::Sw | Operator::Ew | Operator::Co | Operator::Pr => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const ALL: Dialect = Dialect { allows: |_, _| true, ignore_case: true, negation: true };

    fn matches(text: &str) -> bool {
        let user = json!({
            "status": "ACTIVE", "created": "2024-01-01T00:00:00.000Z",
            "profile": { "lastName": "O\"Hara", "age": 40, "tags": ["a", "b"], "city": null },
        });
        parse(text, ALL).expect(text).matches(&user, ALL)
    }

    #[test]
    fn expressions_mean_what_they_say() {
        for text in [
            r#"status eq "ACTIVE""#,
            r#"status eq "active" and profile.age gt 39"#,
            r#"profile.lastName sw "o\"h""#,
            r#"profile.tags eq "b""#,
            r#"(status eq "X" or profile.age le 40) and profile.tags pr"#,
            r#"created lt "2024-01-01T00:00:00.001Z""#,
            r#"status ne "X""#,
            r#"status ew "VE" and not (status eq "X")"#,
            r#"not (profile.city pr) or status eq "X""#,
            r#"status eq "X" or status eq "Y" or profile.lastName co "hara""#,
        ] {
            assert!(matches(text), "{text}");
        }
        for text in [r#"profile.city pr"#, r#"status eq "X" and status eq "ACTIVE""#, r#"profile.age gt 40"#] {
            assert!(!matches(text), "{text}");
        }
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        for text in [
            "",
            "status",
            "status eq",
            "status eq ACTIVE",
            "(status eq \"A\"",
            "status eq \"A\" and",
            "a eq [1]",
            "not a pr",
        ] {
            assert_eq!(parse(text, ALL), None, "{text}");
        }
        assert_eq!(parse(&"(".repeat(1000), ALL), None);
        let less = Dialect { allows: |_, operator| operator != Operator::Ne, negation: false, ..ALL };
        for text in [r#"status ne "A""#, r#"not (status eq "A")"#] {
            assert_eq!(parse(text, less), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,60}") {
            let _ = parse(&text, ALL);
        }
    }
}
