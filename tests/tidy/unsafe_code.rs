//! Unsafe code stands in few files, each opened by its reason.

use crate::source;

/// The files that may hold unsafe code; one more is a reviewed decision.
const MAY_BE_UNSAFE: [&str; 7] = [
    "agent/src/sys.rs",
    "agent/src/ring/",
    "agent/src/unwind/read_stack.rs",
    "agent/src/sampler/handler.rs",
    "agent/src/sampler/shared.rs",
    "agent/src/sampler/signal.rs",
    "agent/src/scope/waker.rs",
];

#[test]
fn profile_viewer_and_collector_forbid_unsafe_code() {
    let broken: Vec<String> = ["profile", "viewer", "collector"]
        .iter()
        .map(|package| format!("{package}/src/lib.rs"))
        .filter(|path| {
            let sources = source::rust(path);
            !sources[0].text.contains("\n#![forbid(unsafe_code)]\n")
        })
        .collect();
    source::check("the crate root says #![forbid(unsafe_code)]", &broken);
}

#[test]
fn unsafe_code_stands_only_in_the_files_that_may_hold_it() {
    let mut broken = Vec::new();
    for source in source::rust("agent/src/") {
        if source.is_test() {
            continue;
        }
        let Some(unsafe_at) = source
            .tokens()
            .iter()
            .find(|t| t.text == "unsafe")
            .map(|t| t.line)
        else {
            continue;
        };
        if !MAY_BE_UNSAFE
            .iter()
            .any(|place| source.path.starts_with(place))
        {
            broken.push(format!("{}:{unsafe_at}: unsafe", source.path));
        } else if !source.text.contains("#![expect(unsafe_code")
            && !source.text.contains("#![expect(\n    unsafe_code")
        {
            broken.push(format!(
                "{}: no #![expect(unsafe_code, reason = ..)]",
                source.path
            ));
        }
    }
    source::check(
        "unsafe code stands only in the named files, opened by a reason",
        &broken,
    );
}
