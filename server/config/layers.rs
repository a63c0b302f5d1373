//! Where a setting's value comes from: flag over environment over file over default.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::settings::{SETTINGS, Setting};

/// Something in the configuration that cannot be: one line, naming the setting and where it came from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadSetting(pub String);

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A flag of the command line.
    Flag(String),
    /// An environment variable.
    Variable(String),
    /// The TOML file.
    File(PathBuf),
    /// Nobody set it.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "--{flag}"),
            Self::Variable(name) => f.write_str(name),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A setting's value, and where it came from.
#[derive(Debug, Clone)]
pub struct Value {
    /// The setting.
    pub setting: &'static Setting,
    /// Its text.
    pub text: String,
    /// Where it came from.
    pub source: Source,
}

impl Value {
    /// The error of a value that cannot be.
    pub(super) fn bad(&self, wanted: &str) -> BadSetting {
        let found = if self.setting.secret { "[redacted]" } else { &self.text };
        BadSetting(format!("{} = {found:?} (from {}) {wanted}", self.setting.name, self.source))
    }
}

/// The value of every setting, in the order of the table.
///
/// # Errors
/// When the file cannot be read, is no TOML, or has a key that is no setting.
pub fn resolve(
    flags: &HashMap<&'static str, String>,
    variable: impl Fn(&str) -> Option<String>,
    file: Option<&Path>,
) -> Result<Vec<Value>, BadSetting> {
    let from_file = file.map(read_file).transpose()?.unwrap_or_default();
    let value = |setting: &'static Setting| {
        let flag = flags.get(setting.name).map(|text| (text.clone(), Source::Flag(setting.flag())));
        let name = setting.variable();
        let (text, source) = flag
            .or_else(|| variable(&name).filter(|text| !text.is_empty()).map(|text| (text, Source::Variable(name))))
            .or_else(|| {
                let text = from_file.get(setting.name)?.clone();
                Some((text, Source::File(file?.to_owned())))
            })
            .unwrap_or_else(|| (setting.default.to_owned(), Source::Default));
        Value { setting, text, source }
    };
    Ok(SETTINGS.iter().map(value).collect())
}

fn read_file(path: &Path) -> Result<HashMap<String, String>, BadSetting> {
    let place = path.display();
    let text =
        std::fs::read_to_string(path).map_err(|error| BadSetting(format!("cannot read --config {place}: {error}")))?;
    let table: toml::Table = text
        .parse()
        .map_err(|error: toml::de::Error| BadSetting(format!("{place} is not TOML: {}", error.message())))?;
    table.into_iter().map(|(name, value)| Ok((known(&name, path)?, text_of(&name, value, path)?))).collect()
}

fn known(name: &str, path: &Path) -> Result<String, BadSetting> {
    match Setting::named(name) {
        Some(_) => Ok(name.to_owned()),
        None => Err(BadSetting(format!(
            "{name} (from {}) is no setting; okta-connector config env lists them all",
            path.display()
        ))),
    }
}

fn text_of(name: &str, value: toml::Value, path: &Path) -> Result<String, BadSetting> {
    match value {
        toml::Value::String(text) => Ok(text),
        toml::Value::Integer(number) => Ok(number.to_string()),
        toml::Value::Boolean(boolean) => Ok(boolean.to_string()),
        _ => Err(BadSetting(format!("{name} (from {}) must be a text, a whole number or a boolean", path.display()))),
    }
}
