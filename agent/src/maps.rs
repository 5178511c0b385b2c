//! The memory map of this process: where code is, and where its stacks are.

use std::ops::Range;
use std::{fs, io};

/// What `/proc/self/maps` says (proc(5)), as far as sampling needs it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Maps {
    /// By address.
    regions: Vec<Region>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Region {
    range: Range<u64>,
    is_code: bool,
    is_writable: bool,
    is_main_stack: bool,
}

impl Maps {
    /// The map as it is now. Costs some 10 us and 1 us for each region.
    ///
    /// # Errors
    /// That of reading the file: `/proc` may not be mounted.
    pub(crate) fn read() -> io::Result<Self> {
        Ok(Self::parse(&fs::read("/proc/self/maps")?))
    }

    /// Lines that make no sense are left out.
    fn parse(text: &[u8]) -> Self {
        let lines = text.split(|byte| *byte == b'\n');
        Self {
            regions: lines.filter_map(Region::parse).collect(),
        }
    }

    /// Where code may run, by address.
    pub(crate) fn code(&self) -> Vec<Range<u64>> {
        let code = self.regions.iter().filter(|region| region.is_code);
        code.map(|region| region.range.clone()).collect()
    }

    /// The stack of the thread with this thread pointer, from its lowest address to where it begins.
    ///
    /// glibc keeps what the thread pointer points to at the upper end of the very memory that is the
    /// thread's stack; only the main thread has it elsewhere, and its stack is named.
    pub(crate) fn stack(&self, thread_pointer: u64, is_main: bool) -> Option<Range<u64>> {
        if is_main {
            let stack = self.regions.iter().find(|region| region.is_main_stack)?;
            return Some(stack.range.clone());
        }
        let holds = |region: &&Region| region.range.contains(&thread_pointer);
        let region = self.regions.iter().find(holds)?;
        (region.is_writable && !region.is_main_stack).then_some(region.range.start..thread_pointer)
    }
}

impl Region {
    /// `start-end perms offset device inode name`.
    fn parse(line: &[u8]) -> Option<Self> {
        let line = String::from_utf8_lossy(line);
        let (range, rest) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let address = |text| u64::from_str_radix(text, 16).ok();
        let range = address(start)?..address(end)?;
        let (permissions, rest) = rest.split_once(' ')?;
        (!range.is_empty()).then(|| Self {
            range,
            is_code: permissions.contains('x'),
            is_writable: permissions.starts_with("rw"),
            is_main_stack: rest.trim_end().ends_with("[stack]"),
        })
    }
}

/// Asserts what holds for any text: no more regions than lines, all of them in the answers, and a
/// stack holds the thread that it is of.
#[cfg(any(test, fuzzing))]
pub(crate) fn check_text(text: &[u8]) {
    let maps = Maps::parse(text);
    let lines = text.split(|byte| *byte == b'\n').count();
    assert!(maps.regions.len() <= lines);
    assert!(maps.regions.iter().all(|region| !region.range.is_empty()));
    let code_count = maps.regions.iter().filter(|region| region.is_code).count();
    assert_eq!(maps.code().len(), code_count);
    for region in &maps.regions {
        for thread_pointer in [region.range.start, region.range.end - 1, region.range.end] {
            if let Some(stack) = maps.stack(thread_pointer, false) {
                assert_eq!(stack.end, thread_pointer);
                assert!(stack.start <= stack.end);
            }
        }
    }
    let main = maps.stack(0, true);
    let has_main = maps.regions.iter().any(|region| region.is_main_stack);
    assert_eq!(main.is_some(), has_main);
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
55d0c000-55d0e000 r--p 00000000 08:01 131 /usr/bin/shop
55d0e000-55d10000 r-xp 00002000 08:01 131 /usr/bin/shop (deleted)
nonsense
7f00-zz rw-p 0 0 0
7f3fe000-7f3ff000 ---p 00000000 00:00 0
7f3ff000-7fbff000 rw-p 00000000 00:00 0
7ffc0000-7ffe1000 rw-p 00000000 00:00 0                          [stack]
";

    #[test]
    fn stacks_and_code_are_found() {
        let maps = Maps::parse(TEXT.as_bytes());
        assert_eq!(maps.regions.len(), 5);
        let code = maps.code();
        assert_eq!((code.len(), &code[0]), (1, &(0x55d0_e000..0x55d1_0000)));
        let thread = maps.stack(0x7fbf_e6c0, false);
        assert_eq!(thread, Some(0x7f3f_f000..0x7fbf_e6c0));
        assert_eq!(maps.stack(0x55d0_e010, false), None, "code is no stack");
        assert_eq!(maps.stack(0x10, false), None);
        assert_eq!(maps.stack(0x10, true), Some(0x7ffc_0000..0x7ffe_1000));
        assert_eq!(Maps::parse(b"\xff\xfe\0").stack(0, true), None);
    }

    #[test]
    fn own_map_has_this_code_and_this_stack() {
        let maps = Maps::read().unwrap();
        let here = (own_map_has_this_code_and_this_stack as fn() as *const ()).addr() as u64;
        assert!(maps.code().iter().any(|range| range.contains(&here)));
        let local = 0_u64;
        let stack = maps.stack(crate::sys::thread_pointer(), false).unwrap();
        assert!(
            stack.contains(&((&raw const local).addr() as u64)),
            "{stack:x?}"
        );
    }
}
