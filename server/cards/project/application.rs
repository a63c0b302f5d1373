//! Applications: <https://developer.okta.com/docs/api/openapi/okta-management/management/tag/Application/>.

use crate::okta::record::Projection;
use crate::proto::{Application, ApplicationStatus};

/// An application, from the raw JSON of one.
pub fn application(raw: &str) -> Application {
    let projection = Projection::new();
    let record = projection.record(raw);
    let status = |name: &str| ApplicationStatus::from_str_name(&format!("APPLICATION_STATUS_{name}"));
    let application = Application {
        id: record.text_or_empty("id"),
        name: record.text_or_empty("name"),
        label: record.text_or_empty("label"),
        status: record.choice("status", status).into(),
        sign_on_mode: record.text_or_empty("signOnMode"),
        created: record.timestamp("created"),
        last_updated: record.timestamp("lastUpdated"),
        raw_body_json: raw.to_owned(),
        projection_errors: Vec::new(),
    };
    drop(record);
    Application { projection_errors: projection.into_errors(), ..application }
}
