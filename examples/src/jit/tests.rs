//! The language: what programs answer, and what is wrong with those that are none.

use crate::compile::compile;
use crate::syntax::SyntaxError;

/// Compiles `fn main(n) { body }` and calls it.
#[track_caller]
fn check(body: &str, n: i64, expected: i64) {
    check_program(&format!("fn main(n) {{ {body} }}"), n, expected);
}

#[track_caller]
fn check_program(text: &str, n: i64, expected: i64) {
    let native = compile(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(
        native.call("main", n),
        Some(expected),
        "{text} with n = {n}"
    );
}

#[track_caller]
fn check_error(text: &str, expected: &str) {
    let error = compile(text)
        .err()
        .unwrap_or_else(|| panic!("{text} was compiled"));
    assert!(error.is::<SyntaxError>(), "{text}: {error}");
    assert_eq!(error.to_string(), expected, "{text}");
}

#[test]
fn operators_bind_as_in_arithmetic() {
    check("1 + 2 * 3", 0, 7);
    check("(1 + 2) * 3", 0, 9);
    check("10 - 4 - 3", 0, 3);
    check("100 / 10 / 5", 0, 2);
    check("-n * 2 - -3", 4, -5);
    check("1 + 1 == 2", 0, 1);
    check("n > 1 & n < 5 | n == 9", 3, 1);
    check("n > 1 & n < 5 | n == 9", 9, 1);
    check("n > 1 & n < 5 | n == 9", 7, 0);
}

#[test]
fn relations_are_one_or_zero() {
    for (sign, less, equal, more) in [
        ("<", 1, 0, 0),
        ("<=", 1, 1, 0),
        (">", 0, 0, 1),
        (">=", 0, 1, 1),
        ("==", 0, 1, 0),
        ("!=", 1, 0, 1),
    ] {
        check(&format!("n {sign} 5"), -6, less);
        check(&format!("n {sign} 5"), 5, equal);
        check(&format!("n {sign} 5"), 6, more);
    }
}

#[test]
fn division_never_traps() {
    check("7 / n", 2, 3);
    check("-7 / n", 2, -3);
    check("-7 % n", 2, -1);
    check("7 / n", 0, 0);
    check("7 % n", 0, 0);
    check("7 / n", -1, -7);
    check("n / -1", i64::MIN, i64::MIN);
    check("n % -1", i64::MIN, 0);
}

#[test]
fn numbers_wrap_around() {
    check("n + 1", i64::MAX, i64::MIN);
    check("n * 2", i64::MAX, -2);
    check("9223372036854775807", 0, i64::MAX);
}

#[test]
fn blocks_have_values_and_variables_of_their_own() {
    check("let a = 2; a = a + n; a * a", 3, 25);
    check(
        "let a = 1; let b = if n { let a = 5; a } else { 0 }; a * 10 + b",
        1,
        15,
    );
    check(
        "let s = 0; while n > 0 { s = s + n; n = n - 1; } s",
        100,
        5050,
    );
    check("if n == 0 { 10 } else if n == 1 { 11 } else { 12 }", 1, 11);
    check("n # and a comment\n", 8, 8);
}

#[test]
fn functions_call_each_other() {
    check_program(
        "fn even(n) { if n == 0 { 1 } else { odd(n - 1) } }
         fn odd(n) { if n == 0 { 0 } else { even(n - 1) } }
         fn main(n) { even(n) * 10 + odd(n) }",
        7,
        1,
    );
    check_program(
        "fn f(a, b, c) { a - b * c } fn main(n) { f(n, 2, g()) } fn g() { 3 }",
        10,
        4,
    );
}

#[test]
fn example_program_computes_what_it_says() {
    let native = compile(include_str!("program.expr")).unwrap();
    assert_eq!(native.call("fibonacci", 20), Some(6765));
    assert_eq!(native.call("collatz_steps", 27), Some(111));
    assert_eq!(native.call("collatz_longest", 100), Some(118));
    assert_eq!(native.call("round", 1), native.call("round", 1));
    assert_eq!(
        native.call("mandelbrot_row", 1),
        None,
        "it takes two arguments"
    );
    assert!(native.functions().iter().all(|code| code.len > 0));
}

#[test]
fn mistake_is_named_with_its_place() {
    check_error(
        "fn main(n) { n ? 1 }",
        "line 1, column 16: '?' belongs to no word or sign of the language",
    );
    check_error(
        "fn main(n) { 9223372036854775808 }",
        "line 1, column 14: 9223372036854775808 is not a number between 0 and 2^63 - 1",
    );
    check_error(
        "fn main(n) { 12ab }",
        "line 1, column 14: 12ab is not a number between 0 and 2^63 - 1",
    );
    check_error(
        "fn main(n) {\n  n +\n}",
        "line 3, column 1: expected a value, found }",
    );
    check_error(
        "fn main(n) { n",
        "line 1, column 15: expected }, found the end",
    );
    check_error("main", "line 1, column 1: expected fn, found main");
    check_error(
        "fn let(n) { n }",
        "line 1, column 4: expected a name, found let",
    );
    check_error(
        "fn main(n) { if n { 1 } }",
        "line 1, column 25: expected else, found }",
    );
    check_error(
        "fn main(n) { let a = 1 a }",
        "line 1, column 24: expected ;, found a",
    );
    check_error(
        "fn main(n) { 1 < 2 < 3 }",
        "line 1, column 22: expected parentheses, found 3",
    );
    check_error(
        "fn main(n, n) { n }",
        "line 1, column 12: there are two of n",
    );
    check_error(
        "fn a() { 1 } fn a() { 2 }",
        "line 1, column 14: there are two of a",
    );
}

#[test]
fn name_that_nothing_has_is_named_with_its_place() {
    check_error(
        "fn main(n) { m }",
        "line 1, column 14: there is no variable m",
    );
    check_error(
        "fn main(n) { m = 1; n }",
        "line 1, column 14: there is no variable m",
    );
    check_error(
        "fn main(n) { if n { let a = 1; a } else { a } }",
        "line 1, column 43: there is no variable a",
    );
    check_error(
        "fn main(n) { é }",
        "line 1, column 14: 'é' belongs to no word or sign of the language",
    );
    check_error(
        "fn main(n) { f(n) }",
        "line 1, column 14: there is no function f",
    );
    check_error(
        "fn main(n) { main() }",
        "line 1, column 14: main takes 1 arguments, not 0",
    );
}

#[test]
fn deep_nesting_is_refused_not_overflowed() {
    let deep = |open: &str, close: &str| {
        let text = format!(
            "fn main(n) {{ {}n{} }}",
            open.repeat(50_000),
            close.repeat(50_000)
        );
        compile(&text).err().map(|error| error.to_string())
    };
    let refused = Some("line 1, column 78: nested too deeply".to_owned());
    assert_eq!(deep("(", ")"), refused);
    assert_eq!(deep("-", ""), refused);
    assert_eq!(deep("1 + ", ""), None, "a long sum is not a deep one");
}
