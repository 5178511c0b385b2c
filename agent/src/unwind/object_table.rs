//! The rules of one object's code, in the order of their places.
//!
//! **Problem.** A program of 24 MB has 400,000 places where the rule changes, and the handler looks
//! one up for each frame, with the caches cold. **Choice.** A row is one word of 32 bits, the place
//! within its page of code and the number of its rule: there are few different rules (some
//! thousands). The rows of a page of [`PAGE_BYTES`] lie together, mostly within one line of the
//! cache, and a list of where each page's rows begin leads there in one step.

use std::collections::HashMap;

use super::rule::Rule;

/// Bytes of code whose rows lie together: at 16 bytes of code for each row, two lines of a cache
/// of 64-byte lines would be full, and mostly a row covers four times as much.
const PAGE_BITS: u32 = 10;
/// See [`PAGE_BITS`].
const PAGE_BYTES: u64 = 1 << PAGE_BITS;

/// Pages of one table: 4 GiB of code, more than relative calls reach.
const PAGES_MAX: u64 = 4 << 20;

/// The rules of one object's code.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ObjectTable {
    /// Where the first page begins.
    start: u64,
    /// For each page the number of rows before it, and the number of all rows.
    pages: Box<[u32]>,
    /// `place within the page (16) | number of the rule (16)`, in the order of the places.
    rows: Box<[u32]>,
    rules: Box<[Rule]>,
}

/// Why a table could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TooLarge {
    /// More code than [`PAGES_MAX`] pages, or more rows than 32 bits count.
    Code,
    /// More different rules than 16 bits count.
    Rules,
}

impl ObjectTable {
    /// The rule at an address of the file; [`Rule::Unknown`] where there is none.
    ///
    /// # Signal safety
    /// Four loads, and about four more.
    pub(super) fn rule_at(&self, address: u64) -> Rule {
        self.find(address).unwrap_or(Rule::Unknown)
    }

    fn find(&self, address: u64) -> Option<Rule> {
        let offset = address.checked_sub(self.start)?;
        let page = usize::try_from(offset >> PAGE_BITS).ok()?;
        let first = usize::try_from(*self.pages.get(page)?).ok()?;
        let end = usize::try_from(*self.pages.get(page.checked_add(1)?)?).ok()?;
        let place = u32::try_from(offset & PAGE_BYTES.wrapping_sub(1)).ok()?;
        let rows = self.rows.get(first..end)?;
        let before = count_up_to(rows, place << 16 | 0xffff);
        // Where the page has no row before this place, the rule is that of the row before the page.
        let row = first.checked_add(before)?.checked_sub(1)?;
        let rule = self.rows.get(row)? & 0xffff;
        self.rules.get(usize::try_from(rule).ok()?).copied()
    }

    /// How many rows there are.
    pub(super) fn row_count(&self) -> usize {
        self.rows.len()
    }

    /// What it takes, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        let words = self.pages.len().saturating_add(self.rows.len());
        let rules = self.rules.len().saturating_mul(size_of::<Rule>());
        words.saturating_mul(4).saturating_add(rules)
    }
}

#[cfg(any(test, fuzzing))]
impl ObjectTable {
    /// The rows' pages, places and rules name what there is, in order.
    pub(super) fn assert_valid(&self) {
        let row_count = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        assert!(self.pages.is_sorted(), "pages in order");
        assert_eq!(self.pages.last().copied().unwrap_or(0), row_count);
        for page in self.pages.windows(2) {
            let rows = &self.rows[page[0] as usize..page[1] as usize];
            let places = || rows.iter().map(|row| u64::from(row >> 16));
            assert!(places().is_sorted(), "rows in order");
            assert!(
                places().all(|place| place < PAGE_BYTES),
                "rows in their page"
            );
        }
        let rules = self.rows.iter().map(|row| (row & 0xffff) as usize);
        assert!(rules.max().is_none_or(|rule| rule < self.rules.len()));
    }
}

/// How many of the rows are not after `last`; they are in order.
///
/// Where few are left, comparing all of them is faster than choosing between halves.
fn count_up_to(mut rows: &[u32], last: u32) -> usize {
    let mut before = 0_usize;
    while rows.len() > 16 {
        let (low, high) = rows.split_at(rows.len() / 2);
        let is_in_high = high.first().is_some_and(|row| *row <= last);
        if is_in_high {
            before = before.wrapping_add(low.len());
        }
        rows = if is_in_high { high } else { low };
    }
    before.wrapping_add(rows.iter().filter(|row| **row <= last).count())
}

/// Makes a table from rows in the order of their places.
#[derive(Debug, Default)]
pub(super) struct TableBuilder {
    table: (Vec<u32>, Vec<u32>, Vec<Rule>),
    start: Option<u64>,
    last: Option<Rule>,
    numbers: HashMap<Rule, u32>,
}

impl TableBuilder {
    /// From `address` on, `rule` holds. Addresses must not fall.
    ///
    /// # Errors
    /// [`TooLarge`].
    pub(super) fn push(&mut self, address: u64, rule: Rule) -> Result<(), TooLarge> {
        if self.last.unwrap_or(Rule::Unknown) == rule {
            return Ok(());
        }
        let start = *self.start.get_or_insert(address & !(PAGE_BYTES - 1));
        let (pages, rows, _) = &mut self.table;
        let row_count = u32::try_from(rows.len()).map_err(|_many| TooLarge::Code)?;
        let offset = address.saturating_sub(start);
        let page = offset >> PAGE_BITS;
        if page >= PAGES_MAX {
            return Err(TooLarge::Code);
        }
        while (pages.len() as u64) <= page {
            pages.push(row_count);
        }
        let place = u32::try_from(offset & (PAGE_BYTES - 1)).unwrap_or(0);
        let number = self.number(rule)?;
        self.table.1.push(place << 16 | number);
        self.last = Some(rule);
        Ok(())
    }

    fn number(&mut self, rule: Rule) -> Result<u32, TooLarge> {
        if let Some(number) = self.numbers.get(&rule) {
            return Ok(*number);
        }
        let number = u16::try_from(self.numbers.len()).map_err(|_many| TooLarge::Rules)?;
        self.numbers.insert(rule, u32::from(number));
        self.table.2.push(rule);
        Ok(u32::from(number))
    }

    /// The table. The last rule that was pushed holds to the end of its page.
    ///
    /// # Errors
    /// [`TooLarge`].
    pub(super) fn finish(self) -> Result<ObjectTable, TooLarge> {
        let (mut pages, rows, rules) = self.table;
        pages.push(u32::try_from(rows.len()).map_err(|_many| TooLarge::Code)?);
        Ok(ObjectTable {
            start: self.start.unwrap_or(0),
            pages: pages.into(),
            rows: rows.into(),
            rules: rules.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::rule::{Cfa, FrameRule, Kept, Saved};
    use super::*;

    fn rule(number: i32) -> Rule {
        match number {
            0 => Rule::Unknown,
            1 => Rule::End,
            offset => Rule::Frame(FrameRule {
                cfa: Cfa::Register {
                    register: 7,
                    offset,
                },
                return_address: Saved::AtCfa(-8),
                frame_pointer: Saved::Same,
                kept: Kept::default(),
            }),
        }
    }

    fn table(rows: &[(u64, i32)]) -> ObjectTable {
        let mut builder = TableBuilder::default();
        for (address, number) in rows {
            builder.push(*address, rule(*number)).unwrap();
        }
        builder.finish().unwrap()
    }

    #[test]
    fn rule_of_the_row_before_holds_across_pages() {
        let table = table(&[(0x1010, 2), (0x1020, 3), (0x9000, 0)]);
        let at = |address| table.rule_at(address);
        assert_eq!(at(0x100f), Rule::Unknown);
        assert_eq!((at(0x1010), at(0x101f)), (rule(2), rule(2)));
        assert_eq!((at(0x1020), at(0x8fff)), (rule(3), rule(3)));
        assert_eq!(
            (at(0x9000), at(u64::MAX), at(0)),
            (Rule::Unknown, Rule::Unknown, Rule::Unknown)
        );
        assert_eq!(table.row_count(), 3);
        assert_eq!(ObjectTable::default().rule_at(5), Rule::Unknown);
    }

    #[test]
    fn more_rules_than_have_numbers_are_refused() {
        let mut builder = TableBuilder::default();
        let mut push = |number: i32| builder.push(u64::from(number.unsigned_abs()), rule(number));
        for number in 1..=0x1_0000 {
            push(number).unwrap();
        }
        assert_eq!(push(0x1_0001), Err(TooLarge::Rules));
        let far = builder.push(u64::MAX, rule(1));
        assert_eq!(far, Err(TooLarge::Code));
    }

    proptest! {
        #[test]
        fn table_says_what_a_list_says(
            steps in prop::collection::vec((0_u64..3000, 0_i32..6), 1..200),
            looks in prop::collection::vec(0_u64..400_000, 100),
        ) {
            let mut address = 5000;
            let rows: Vec<(u64, i32)> = steps
                .into_iter()
                .map(|(step, number)| {
                    address += step;
                    (address, number)
                })
                .chain([(600_000, 0)])
                .collect();
            let table = table(&rows);
            for look in looks.into_iter().chain(rows.iter().map(|row| row.0)) {
                let before = rows.iter().rev().find(|row| row.0 <= look);
                let expected = before.map_or(Rule::Unknown, |row| rule(row.1));
                prop_assert_eq!(table.rule_at(look), expected, "{:#x}", look);
            }
        }
    }
}
