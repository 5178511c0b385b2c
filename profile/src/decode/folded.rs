//! Folded text: `root;frame;leaf COUNT`, one line a stack.

use crate::builder::{FrameSpec, NewSample, ProfileBuilder};
use crate::error::DecodeError;
use crate::label::LabelSetId;
use crate::limits::Limits;
use crate::profile::Profile;
use crate::stack::StackId;
use crate::units::EventCount;

use super::inflate::gunzip_if_needed;
use super::{depth_fits, finished, name_fits, nodes_fit, samples_fit};

/// Reads folded text, root first, gzip or plain. Each line adds its count, as that many samples
/// of one event each.
///
/// Blank lines are skipped, and so are blank frame names: some writers begin a line with `;`.
/// Spaces inside names are kept; those around a name and a carriage return are not. Text without any
/// line is an empty profile.
///
/// # Errors
/// [`DecodeError::FoldedLine`] for a line without a count or with one above 2^63 - 1, [`DecodeError::NotUtf8`], and the
/// limits.
pub fn folded(bytes: &[u8], limits: &Limits) -> Result<Profile, DecodeError> {
    let bytes = gunzip_if_needed(bytes, limits)?;
    let text = std::str::from_utf8(&bytes).map_err(|error| DecodeError::NotUtf8 {
        offset: error.valid_up_to(),
    })?;
    let mut builder = ProfileBuilder::new();
    for (place, line) in text.lines().enumerate() {
        let line = line.trim_end();
        if line.is_empty() {
            continue;
        }
        let bad_line = DecodeError::FoldedLine { line: place + 1 };
        let Some((stack, count)) = line.rsplit_once(' ') else {
            return Err(bad_line);
        };
        let Ok(Ok(count)) = count.parse::<i64>().map(u64::try_from) else {
            return Err(bad_line);
        };
        let stack = add_stack(&mut builder, stack, place, limits)?;
        samples_fit(builder.row_count() + 1, limits)?;
        let row = NewSample {
            stack,
            event_count: EventCount::new(count),
            values: &[],
            time: None,
            thread: None,
            labels: LabelSetId::EMPTY,
        };
        builder.samples(count, row);
    }
    finished(builder, limits)
}

fn add_stack(
    builder: &mut ProfileBuilder,
    stack: &str,
    line: usize,
    limits: &Limits,
) -> Result<Option<StackId>, DecodeError> {
    let mut parent = None;
    let names = stack
        .split(';')
        .map(str::trim)
        .filter(|name| !name.is_empty());
    for (depth, name) in names.enumerate() {
        depth_fits(line, depth + 1, limits)?;
        name_fits(name, limits)?;
        let frame = builder.frame(&FrameSpec::new(name));
        parent = Some(builder.stack(parent, frame));
    }
    nodes_fit(builder.stack_node_count(), limits)?;
    Ok(parent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Column, encode};

    fn check(text: &str, expected: Result<&str, &str>) {
        let folded = folded(text.as_bytes(), &Limits::default())
            .map(|profile| encode::folded(&profile, Column::Events));
        match (&folded, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "for {text:?}"),
            (Err(error), Err(code)) => assert_eq!(error.code(), code, "for {text:?}"),
            _ => panic!("{text:?} gave {folded:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn lines_are_summed_and_written_in_order() {
        check("", Ok(""));
        check("\n\n", Ok(""));
        check("b 1\na;c 2\na;c 3\n", Ok("a;c 5\nb 1\n"));
        check("a;b 1", Ok("a;b 1\n"));
        check("a;b 1\r\n", Ok("a;b 1\n"));
        check(";a;;b 1\n", Ok("a;b 1\n"));
        check(
            "operator new(unsigned long) 7",
            Ok("operator new(unsigned long) 7\n"),
        );
        check("zero 0\none 1\n", Ok("one 1\n"));
        check(" 3\n", Ok("[no stack] 3\n"));
    }

    #[test]
    fn a_line_without_a_count_is_refused() {
        check("a;b\n", Err("folded_line"));
        check("a;b c\n", Err("folded_line"));
        check("a;b -1\n", Err("folded_line"));
        check("a;b 1.5\n", Err("folded_line"));
        check("a;b 99999999999999999999\n", Err("folded_line"));
        check("a;b 9223372036854775808\n", Err("folded_line"));
    }

    #[test]
    fn limits_hold() {
        check(
            &format!("{} 1", vec!["f"; 100_000].join(";")),
            Err("stack_too_deep"),
        );
        check(&format!("{} 1", "n".repeat(20_000)), Err("name_too_long"));
        let wide: String = (0..300_000).map(|n| format!("r;x{n} 1\n")).collect();
        check(&wide, Err("too_many_stacks"));
    }
}
