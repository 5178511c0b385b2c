//! What all pages share: the document around them, and how names and bars are written.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::{assets, link, text};

/// A whole document.
pub(super) struct Document<'a> {
    /// For the title bar; the product's name is added.
    pub(super) title: &'a str,
    /// What stands between the product's name and the page in the top line.
    pub(super) trail: Markup,
    /// The page itself, below the top line.
    pub(super) main: Markup,
}

impl Document<'_> {
    pub(super) fn into_html(self) -> String {
        let title = text::visible(self.title);
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (title) " · Flashlamp" }
                    link rel="icon" type="image/svg+xml" href=[assets::href("icon.svg")];
                    link rel="stylesheet" href=[assets::href("style.css")];
                    // Not deferred: it has to be there before a graph's own script starts.
                    script src=[assets::href("graph.js")] {}
                }
                body {
                    header.top {
                        a.brand href=(link::INDEX) {
                            img src=[assets::href("icon.svg")] alt="" width="22" height="22";
                            "Flashlamp"
                        }
                        (self.trail)
                    }
                    main { (self.main) }
                    footer.bottom {
                        p { "All times are UTC. A sample stands for one or more periods of the clock." }
                    }
                }
            }
        }
        .into_string()
    }
}

/// A name from outside: visible, escaped, and kept from reordering the text around it.
pub(super) fn name(raw: &str) -> Markup {
    html! { bdi { (text::visible(raw)) } }
}

/// A small bar that is `share` (0 to 1) full. Says nothing that is not written next to it.
pub(super) fn bar(share: f64) -> Markup {
    let share = if share.is_finite() {
        share.clamp(0.0, 1.0)
    } else {
        0.0
    };
    let width = format!("{:.1}", share * 100.0);
    html! {
        svg.bar viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true" {
            rect.bar-all width="100" height="6" {}
            rect.bar-part width=(width) height="6" {}
        }
    }
}

/// `part` of `whole` as a share from 0 to 1; 0 of nothing.
pub(super) fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

/// Markup that was made by this crate and is escaped already.
pub(super) fn escaped(markup: String) -> PreEscaped<String> {
    PreEscaped(markup)
}
