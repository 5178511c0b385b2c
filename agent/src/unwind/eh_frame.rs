//! From an object's `.eh_frame` to its table, off the signal path.
//!
//! The section is a list of descriptions of functions (FDE), each with a small program that says
//! how the rule changes from instruction to instruction, over a common one (CIE); see the Linux
//! Standard Base, "Exception Frames", and DWARF 5, section 6.4. gimli runs the programs; here their
//! rows become rules, and what one object states wrongly costs its own stacks only.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::ops::Range;

use gimli::{
    BaseAddresses, CfaRule, CieOrFde, CommonInformationEntry, EhFrame, EhFrameOffset, EndianSlice,
    Expression, LittleEndian, Operation, Register, RegisterRule, UnwindContext,
    UnwindContextStorage, UnwindExpression, UnwindSection as _, UnwindTableRow,
};

use super::machine::Machine;
use super::object_table::{ObjectTable, TableBuilder, TooLarge};
use super::rule::{Cfa, FrameRule, Kept, Rule, Saved};

type Slice<'d> = EndianSlice<'d, LittleEndian>;

/// A state may have rules for as many registers as it likes, and a program may remember so many
/// states within each other: compilers go two deep, and each takes as much as the program is long.
struct Storage;

/// See [`Storage`].
const STATES_MAX: usize = 64;

impl<T: gimli::ReaderOffset> UnwindContextStorage<T> for Storage {
    type Rules = Vec<(Register, RegisterRule<T>)>;
    type Stack = Box<[UnwindTableRow<T, Self>; STATES_MAX]>;
}

/// What a section gave.
#[derive(Debug, Default)]
pub(super) struct Built {
    /// The rules.
    pub(super) table: ObjectTable,
    /// How many functions it describes.
    pub(super) function_count: usize,
    /// How many of these end early in the table, because their description makes no sense.
    pub(super) fault_count: usize,
}

/// Makes the table of a section that is at `address` in the file's terms, for the code in `code`.
///
/// Costs a few microseconds for each function; takes 24 bytes for each while it runs.
///
/// # Errors
/// [`TooLarge`].
pub(super) fn build<M: Machine>(
    bytes: &[u8],
    address: u64,
    code: &Range<u64>,
) -> Result<Built, TooLarge> {
    let mut section = EhFrame::new(bytes, LittleEndian);
    section.set_vendor(M::VENDOR);
    let reading = Reading {
        section,
        bases: BaseAddresses::default().set_eh_frame(address),
    };
    let (functions, mut fault_count) = reading.functions(code);
    let mut rules = Rules::<M> {
        reading: &reading,
        builder: TableBuilder::default(),
        context: UnwindContext::new_in(),
        cies: HashMap::new(),
        machine: std::marker::PhantomData,
    };
    let starts = functions.iter().skip(1).map(|function| function.start);
    for (function, next) in functions.iter().zip(starts.chain([u64::MAX])) {
        let end = function.end.min(next);
        if rules.add(function, end)?.is_err() {
            fault_count = fault_count.saturating_add(1);
        }
        if end < next {
            rules.builder.push(end, Rule::Unknown)?;
        }
    }
    Ok(Built {
        table: rules.builder.finish()?,
        function_count: functions.len(),
        fault_count,
    })
}

/// A description of a function, without its program.
#[derive(Clone, Copy, Debug)]
struct Function {
    start: u64,
    end: u64,
    at: EhFrameOffset,
}

struct Reading<'d> {
    section: EhFrame<Slice<'d>>,
    bases: BaseAddresses,
}

type Cie<'d> = CommonInformationEntry<Slice<'d>>;

impl<'d> Reading<'d> {
    /// The functions in `code`, by address; of those that begin at one place the longest. And how
    /// many could not be read.
    fn functions(&self, code: &Range<u64>) -> (Vec<Function>, usize) {
        let mut functions = Vec::new();
        let mut faults = 0_usize;
        let mut cies = HashMap::new();
        let mut entries = self.section.entries(&self.bases);
        loop {
            let partial = match entries.next() {
                Ok(None) => break,
                Ok(Some(CieOrFde::Cie(_))) => continue,
                Ok(Some(CieOrFde::Fde(partial))) => partial,
                Err(_) => {
                    // Where one entry ends is where the next one begins.
                    faults = faults.saturating_add(1);
                    break;
                }
            };
            let Ok(fde) = partial.parse(|_, _, at| self.cie(&mut cies, at)) else {
                faults = faults.saturating_add(1);
                continue;
            };
            let (start, end) = (fde.initial_address(), fde.end_address());
            if start < end && code.start <= start && end <= code.end {
                let at = EhFrameOffset(fde.offset());
                functions.push(Function { start, end, at });
            }
        }
        functions.sort_unstable_by_key(|function| (function.start, Reverse(function.end)));
        functions.dedup_by_key(|function| function.start);
        (functions, faults)
    }

    fn cie(
        &self,
        known: &mut HashMap<usize, Cie<'d>>,
        at: EhFrameOffset,
    ) -> gimli::Result<Cie<'d>> {
        if let Some(cie) = known.get(&at.0) {
            return Ok(cie.clone());
        }
        let cie = self.section.cie_from_offset(&self.bases, at)?;
        known.insert(at.0, cie.clone());
        Ok(cie)
    }
}

struct Rules<'r, 'd, M> {
    reading: &'r Reading<'d>,
    builder: TableBuilder,
    context: UnwindContext<usize, Storage>,
    cies: HashMap<usize, Cie<'d>>,
    machine: std::marker::PhantomData<M>,
}

impl<M: Machine> Rules<'_, '_, M> {
    /// Adds a function's rows up to `end`. `Ok(Err)` where its program makes no sense: its rest is
    /// unsupported.
    fn add(&mut self, function: &Function, end: u64) -> Result<gimli::Result<()>, TooLarge> {
        let reading = self.reading;
        let (section, bases) = (&reading.section, &reading.bases);
        let cies = &mut self.cies;
        let fde = section.fde_from_offset(bases, function.at, |_, _, at| reading.cie(cies, at));
        let fde = match fde {
            Ok(fde) => fde,
            Err(error) => {
                self.builder.push(function.start, Rule::Unsupported)?;
                return Ok(Err(error));
            }
        };
        if fde.is_signal_trampoline() {
            self.builder.push(function.start, Rule::SignalFrame)?;
            return Ok(Ok(()));
        }
        let return_column = fde.cie().return_address_register();
        let mut after = function.start;
        let mut rows = match fde.rows(section, bases, &mut self.context) {
            Ok(rows) => rows,
            Err(error) => {
                self.builder.push(after, Rule::Unsupported)?;
                return Ok(Err(error));
            }
        };
        loop {
            match rows.next_row() {
                Ok(None) => return Ok(Ok(())),
                Ok(Some(row)) if row.start_address() >= end => return Ok(Ok(())),
                Ok(Some(row)) => {
                    let rule = rule_of::<M>(row, return_column, section);
                    // A program may state several rows for one place; the last one counts.
                    after = after.max(row.start_address());
                    self.builder.push(after, rule)?;
                    after = row.end_address().min(end);
                }
                Err(error) => {
                    self.builder.push(after, Rule::Unsupported)?;
                    return Ok(Err(error));
                }
            }
        }
    }
}

fn rule_of<M: Machine>(
    row: &UnwindTableRow<usize, Storage>,
    return_column: Register,
    section: &EhFrame<Slice<'_>>,
) -> Rule {
    let rule_for = |register| row.register(register);
    if rule_for(return_column) == Some(RegisterRule::Undefined) {
        return Rule::End;
    }
    let cfa = match row.cfa() {
        CfaRule::RegisterAndOffset { register, offset } => number(*register)
            .zip(i32::try_from(*offset).ok())
            .map(|(register, offset)| Cfa::Register { register, offset }),
        CfaRule::Expression(expression) => {
            let Some(operations) = operations(expression, section) else {
                return Rule::Unsupported;
            };
            if let Some(linkage) = linkage::<M>(&operations) {
                return linkage;
            }
            address_of(&operations)
        }
    };
    let saved = |register| saved(rule_for(register).as_ref(), section);
    let frame = || {
        Some(FrameRule {
            cfa: cfa?,
            return_address: saved(return_column)?,
            frame_pointer: saved(Register(u16::from(M::FRAME)))?,
            kept: Kept::of(M::KEPT.iter().map(|kept| saved(Register(u16::from(*kept))))),
        })
    };
    frame().map_or(Rule::Unsupported, Rule::Frame)
}

fn number(register: Register) -> Option<u8> {
    u8::try_from(register.0).ok()
}

/// Where a register is saved; `None` for what is not followed here.
fn saved(rule: Option<&RegisterRule<usize>>, section: &EhFrame<Slice<'_>>) -> Option<Saved> {
    Some(match rule {
        None | Some(RegisterRule::SameValue) => Saved::Same,
        Some(RegisterRule::Offset(offset)) => Saved::AtCfa(i32::try_from(*offset).ok()?),
        Some(RegisterRule::Register(register)) => Saved::In(number(*register)?),
        Some(RegisterRule::Undefined) => Saved::Nowhere,
        Some(RegisterRule::Expression(expression)) => {
            match address_of(&operations(expression, section)?)? {
                Cfa::Register { register, offset } => Saved::At(register, offset),
                Cfa::Word { .. } => return None,
            }
        }
        Some(_) => return None,
    })
}

type Operations<'d> = Vec<Operation<Slice<'d>>>;

/// The longest expression that is known here has nine operations.
const OPERATIONS_MAX: usize = 16;

fn operations<'d>(
    expression: &UnwindExpression<usize>,
    section: &EhFrame<Slice<'d>>,
) -> Option<Operations<'d>> {
    let expression: Expression<Slice<'d>> = expression.get(section).ok()?;
    // Addresses in it would have 8 bytes; the rest of the encoding does not matter.
    let encoding = gimli::Encoding {
        address_size: 8,
        format: gimli::Format::Dwarf32,
        version: 4,
    };
    let mut iterator = expression.operations(encoding);
    let mut operations = Vec::new();
    while let Some(operation) = iterator.next().ok()? {
        operations.push(operation);
        if operations.len() > OPERATIONS_MAX {
            return None;
        }
    }
    Some(operations)
}

/// `register + offset`, or the word there and an offset.
fn address_of(operations: &[Operation<Slice<'_>>]) -> Option<Cfa> {
    let (first, rest) = operations.split_first()?;
    let Operation::RegisterOffset {
        register, offset, ..
    } = *first
    else {
        return None;
    };
    let register = number(register)?;
    let mut address = Cfa::Register {
        register,
        offset: i32::try_from(offset).ok()?,
    };
    for operation in rest {
        address = match (address, operation) {
            (
                Cfa::Register { register, offset },
                Operation::Deref {
                    size: 8,
                    space: false,
                    ..
                },
            ) => Cfa::Word {
                register,
                at: offset,
                offset: 0,
            },
            (Cfa::Register { register, offset }, Operation::PlusConstant { value }) => {
                Cfa::Register {
                    register,
                    offset: offset.checked_add(i32::try_from(*value).ok()?)?,
                }
            }
            (
                Cfa::Word {
                    register,
                    at,
                    offset,
                },
                Operation::PlusConstant { value },
            ) => Cfa::Word {
                register,
                at,
                offset: offset.checked_add(i32::try_from(*value).ok()?)?,
            },
            _ => return None,
        };
    }
    Some(address)
}

/// The expression that linkers write for procedure linkage tables of `x86_64`: `rsp + 8`, and 8
/// more where `(rip & 15) >= 11` (10 with branch tracking).
fn linkage<M: Machine>(operations: &[Operation<Slice<'_>>]) -> Option<Rule> {
    use Operation::{And, Ge, Plus, RegisterOffset, Shl, UnsignedConstant};
    let [
        RegisterOffset {
            register: stack,
            offset,
            ..
        },
        RegisterOffset {
            register: instruction,
            offset: 0,
            ..
        },
        UnsignedConstant { value: 15 },
        And,
        UnsignedConstant { value: from },
        Ge,
        UnsignedConstant { value: 3 },
        Shl,
        Plus,
    ] = operations
    else {
        return None;
    };
    let is_linkage =
        number(*stack) == Some(M::STACK) && number(*instruction) == M::INSTRUCTION_COLUMN;
    is_linkage.then_some(Rule::Linkage {
        offset: i32::try_from(*offset).ok()?,
        from: u8::try_from(*from).ok().filter(|from| *from < 16)?,
    })
}
