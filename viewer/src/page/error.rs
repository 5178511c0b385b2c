//! The page of a refused or failed request.

use maud::html;

use super::ErrorPage;
use super::layout::Document;
use crate::{link, text};

/// Renders an error for a browser. Shows the status, the stable code and the detail, nothing of
/// the inside.
#[must_use]
pub fn error(page: &ErrorPage<'_>) -> String {
    let headline = headline(page.status);
    let main = html! {
        section.plain {
            p.status { (page.status) }
            h1 { (headline) }
            p.lead { (text::visible(page.detail)) }
            p { code { (text::visible(page.code)) } }
            p { a.button href=(link::INDEX) { "All services and profiles" } }
        }
    };
    Document {
        title: headline,
        trail: html! {},
        main,
    }
    .into_html()
}

/// What a status means, for a person.
const fn headline(status: u16) -> &'static str {
    match status {
        400 => "That request makes no sense here",
        401 | 403 => "You may not see this",
        404 => "There is nothing here",
        405 => "This address cannot do that",
        410 => "This was here, and is gone",
        413 => "That is too large",
        429 | 503 => "Too busy right now",
        _ if status >= 500 => "Something went wrong on our side",
        _ => "That request was refused",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_page_says_what_is_wrong_and_escapes_it() {
        let page = ErrorPage {
            status: 404,
            code: "unknown_profile",
            detail: "no profile <script>alert(1)</script>\u{202e}",
        };
        let html = error(&page);
        assert!(html.contains("unknown_profile"));
        assert!(html.contains("no profile &lt;script&gt;alert(1)&lt;/script&gt;⟨U+202E⟩"));
        assert!(html.contains("href=\"/\""));
    }
}
