//! The pages that the admin sees.

/// What the admin is asked.
pub(super) struct Asked<'a> {
    /// The app's name.
    pub(super) label: &'a str,
    pub(super) scopes: &'a [String],
    /// What the form gives back.
    pub(super) parameters: Vec<(&'static str, &'a str)>,
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:4rem auto;padding:0 1rem;color:#222}\
                     code{background:#eee;padding:.1rem .3rem}button{font:inherit;padding:.4rem 1rem;margin-right:.5rem}";

/// The page that asks `login` to allow or not.
pub(super) fn page(asked: &Asked<'_>, login: &str) -> String {
    let scopes: String =
        asked.scopes.iter().map(|scope| format!("<li><code>{}</code></li>\n", escape(scope))).collect();
    let field = |(name, value): &(&str, &str)| {
        format!("<input type=\"hidden\" name=\"{}\" value=\"{}\">\n", escape(name), escape(value))
    };
    let fields: String = asked.parameters.iter().map(field).collect();
    let (label, login) = (escape(asked.label), escape(login));
    document(
        "Allow access?",
        &format!(
            "<p>Signed in to the sandbox org as <b>{login}</b>.</p>\n<h1>{label} would like to</h1>\n<ul>\n{scopes}</ul>\n\
             <form method=\"post\" action=\"/oauth2/v1/authorize\">\n{fields}\
             <button name=\"decision\" value=\"allow\">Allow access</button>\n\
             <button name=\"decision\" value=\"deny\">Don’t allow</button>\n</form>"
        ),
    )
}

/// The page for a request that there is nowhere to go back from.
pub(super) fn error_page(what: &str) -> String {
    let what = escape(what);
    document(
        "Bad Request",
        &format!(
            "<h1>400 Bad Request</h1>\n<p>Your request resulted in an error. {what}</p>\n<p><a href=\"/\">Go to Homepage</a></p>"
        ),
    )
}

fn document(title: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{title}</title><style>{STYLE}</style></head>\n\
         <body>\n{body}\n</body>\n</html>\n"
    )
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_was_given_becomes_html() {
        let evil = "\"><script>alert('&')</script>";
        let asked = Asked { label: evil, scopes: &[evil.to_owned()], parameters: vec![("state", evil)] };
        for page in [page(&asked, evil), error_page(evil)] {
            assert!(
                !page.contains("<script")
                    && !page.contains("\">&lt;script")
                    && page.contains("&quot;&gt;&lt;script&gt;")
            );
        }
    }
}
