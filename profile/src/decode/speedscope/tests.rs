use super::*;
use crate::{Column, encode};

/// A file with frames `a`, `b`, `c` and these profiles.
fn file(profiles: &str) -> String {
    format!(
        r#"{{"$schema":"https://www.speedscope.app/file-format-schema.json",
            "shared":{{"frames":[{{"name":"a"}},{{"name":"b","file":"b.rs","line":7}},{{"name":"c"}}]}},
            "profiles":[{profiles}]}}"#
    )
}

fn sampled(unit: &str, samples: &str, weights: &str) -> String {
    file(&format!(
        r#"{{"type":"sampled","name":"p","unit":"{unit}","startValue":0,"endValue":0,
            "samples":{samples},"weights":{weights}}}"#
    ))
}

fn evented(events: &str) -> String {
    file(&format!(
        r#"{{"type":"evented","name":"p","unit":"seconds","startValue":0,"endValue":9,
            "events":[{events}]}}"#
    ))
}

fn check(json: &str, expected: Result<&str, &str>) {
    let folded = speedscope(json.as_bytes(), &Limits::default())
        .map(|profile| encode::folded(&profile, Column::default_for(&profile)));
    match (&folded, expected) {
        (Ok(found), Ok(expected)) => assert_eq!(found, expected, "for {json}"),
        (Err(error), Err(code)) => assert_eq!(error.code(), code, "for {json}: {error}"),
        _ => panic!("{json} gave {folded:?}, expected {expected:?}"),
    }
}

#[test]
fn units_of_time_become_nanoseconds_and_others_are_kept() {
    check(
        &sampled("nanoseconds", "[[0,1],[0]]", "[5,6]"),
        Ok("a 6\na;b 5\n"),
    );
    check(&sampled("microseconds", "[[0]]", "[1.5]"), Ok("a 1500\n"));
    check(&sampled("milliseconds", "[[0]]", "[2]"), Ok("a 2000000\n"));
    check(&sampled("seconds", "[[0]]", "[0.000000001]"), Ok("a 1\n"));
    check(&sampled("none", "[[0],[0]]", "[2,3]"), Ok("a 5\n"));
    check(&sampled("bytes", "[[0]]", "[4096]"), Ok("a 4096\n"));
    check(&sampled("parsecs", "[[0]]", "[1]"), Err("unknown_unit"));
}

#[test]
fn an_empty_stack_is_a_gap() {
    check(
        &sampled("nanoseconds", "[[0],[]]", "[1,2]"),
        Ok("[no stack] 2\na 1\n"),
    );
    check(&sampled("nanoseconds", "[]", "[]"), Ok(""));
}

#[test]
fn bad_weights_are_refused() {
    check(&sampled("none", "[[0],[1]]", "[1]"), Err("weights_length"));
    check(&sampled("none", "[[0]]", "[1,2]"), Err("weights_length"));
    check(&sampled("none", "[[0]]", "[-1]"), Err("weight_negative"));
    check(&sampled("none", "[[0]]", "[-0.5]"), Err("weight_negative"));
    check(
        &sampled("none", "[[0]]", "[null]"),
        Err("weight_not_a_number"),
    );
    check(
        &sampled("none", "[[0]]", r#"["NaN"]"#),
        Err("weight_not_a_number"),
    );
    check(&sampled("none", "[[0]]", "[NaN]"), Err("bad_json"));
    check(
        &sampled("none", "[[0]]", "[1e300]"),
        Err("weight_too_large"),
    );
    check(
        &sampled("seconds", "[[0]]", "[18446744073709551615]"),
        Err("weight_too_large"),
    );
}

#[test]
fn frame_indexes_have_to_exist() {
    check(&sampled("none", "[[0,3]]", "[1]"), Err("frame_index"));
    check(&sampled("none", "[[-1]]", "[1]"), Err("bad_json"));
    check(&sampled("none", "[[0.5]]", "[1]"), Err("bad_json"));
    check(
        &evented(r#"{"type":"O","frame":9,"at":0}"#),
        Err("frame_index"),
    );
}

#[test]
fn events_become_the_time_between_them() {
    check(
        &evented(
            r#"{"type":"O","frame":0,"at":1},{"type":"O","frame":1,"at":2},
               {"type":"C","frame":1,"at":5},{"type":"C","frame":0,"at":6}"#,
        ),
        Ok("[no stack] 1000000000\na 2000000000\na;b 3000000000\n"),
    );
}

#[test]
fn events_have_to_nest_and_go_forward() {
    let open = r#"{"type":"O","frame":0,"at":1}"#;
    check(&evented(open), Err("event_mismatch"));
    check(
        &evented(&format!(r#"{open},{{"type":"C","frame":1,"at":2}}"#)),
        Err("event_mismatch"),
    );
    check(
        &evented(&format!(r#"{open},{{"type":"X","frame":0,"at":2}}"#)),
        Err("event_mismatch"),
    );
    check(
        &evented(&format!(r#"{open},{{"type":"C","frame":0,"at":0}}"#)),
        Err("event_order"),
    );
    check(
        &evented(r#"{"type":"C","frame":0,"at":0}"#),
        Err("event_mismatch"),
    );
}

#[test]
fn what_is_no_speedscope_file_is_refused() {
    check("{}", Err("bad_json"));
    check("[]", Err("bad_json"));
    check("", Err("empty_body"));
    check(
        &file(r#"{"type":"other","unit":"none"}"#),
        Err("unknown_profile_type"),
    );
    check(&"[".repeat(100_000), Err("bad_json"));
}

#[test]
fn profiles_of_a_file_become_threads_and_units_may_not_mix() {
    let one = |unit: &str, name: &str| {
        format!(
            r#"{{"type":"sampled","name":"{name}","unit":"{unit}","startValue":0,"endValue":1,
                "samples":[[0]],"weights":[1]}}"#
        )
    };
    let both = file(&format!("{},{}", one("none", "t1"), one("none", "t2")));
    let profile = speedscope(both.as_bytes(), &Limits::default()).unwrap();
    let names: Vec<_> = profile
        .threads()
        .iter()
        .map(|thread| thread.name.as_str())
        .collect();
    assert_eq!(names, ["t1", "t2"]);
    check(
        &file(&format!("{},{}", one("none", "t1"), one("seconds", "t2"))),
        Err("mixed_units"),
    );
}

#[test]
fn a_deep_stack_is_refused() {
    let deep = vec!["0"; 100_000].join(",");
    check(
        &sampled("none", &format!("[[{deep}]]"), "[1]"),
        Err("stack_too_deep"),
    );
}

#[test]
fn end_value_below_the_sum_of_weights_is_accepted() {
    let json = sampled("nanoseconds", "[[0],[0]]", "[5,6]");
    check(
        &json.replace("\"endValue\":0", "\"endValue\":3"),
        Ok("a 11\n"),
    );
}
