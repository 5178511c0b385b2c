//! From registers to a stack, by the tables.

use super::machine::{Caller, Machine, Registers};
use super::read_stack::Stack;
use super::rule::{Cfa, FrameRule, Kept, Rule, Saved};
use super::step::{Base, Step, Steps};
use super::tables::Tables;
use crate::limits::DEPTH_MAX;
use crate::ring::record::{Lost, Quality};

/// Walks from `registers`, leaf first: `emit` gets the interrupted instruction, then return
/// addresses, until it returns false. Afterwards `registers` are some frame's.
///
/// # Signal safety
/// No lock, no allocation; reads of the stack as [`Stack`] says, three for each frame.
pub(super) fn walk<M: Machine>(
    tables: &Tables,
    steps: &mut Steps,
    registers: &mut Registers,
    stack: &mut Stack<'_>,
    mut emit: impl FnMut(u64) -> bool,
) -> Quality {
    steps.hold_for(tables.generation());
    let mut frame = Frame::interrupted::<M>(registers);
    loop {
        if !emit(frame.instruction) {
            return Quality::Truncated;
        }
        // The usual way changes the frame in place: it then stays in the processor's registers.
        let step = steps.at(frame.place()).filter(|_| frame.kept.is_none());
        let went = if let Some(step) = step {
            frame.step::<M>(step, stack)
        } else {
            let next = frame.by_tables::<M>(tables, steps, registers, stack);
            next.map(|next| next.map(|next| frame = next).is_some())
        };
        match went {
            Ok(true) => {}
            Ok(false) => return Quality::Complete,
            Err(lost) => return Quality::Lost(lost),
        }
    }
}

/// One frame on the way up.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    pub(super) instruction: u64,
    pub(super) stack_pointer: u64,
    pub(super) frame_pointer: u64,
    /// Whether a signal interrupted this very frame: then all registers are known.
    is_interrupted: bool,
    /// Which of [`Machine::KEPT`] are known, a bit for each, where that is followed: few rules ask for
    /// them.
    kept: Option<u8>,
    /// Whether it was found without a table.
    by_frame_pointer: bool,
}

impl Frame {
    /// The frame that a signal interrupted.
    pub(super) fn interrupted<M: Machine>(registers: &Registers) -> Self {
        Self {
            instruction: registers.instruction,
            stack_pointer: registers.get(M::STACK).unwrap_or(0),
            frame_pointer: registers.get(M::FRAME).unwrap_or(0),
            is_interrupted: true,
            kept: None,
            by_frame_pointer: false,
        }
    }

    /// The caller's frame where no step is remembered. Never inlined: few frames come here, and the
    /// others' way is short.
    ///
    /// # Signal safety
    /// As [`walk`].
    #[inline(never)]
    fn by_tables<M: Machine>(
        self,
        tables: &Tables,
        steps: &mut Steps,
        registers: &mut Registers,
        stack: &mut Stack<'_>,
    ) -> Result<Option<Self>, Lost> {
        let place = self.place();
        let rule = tables.rule_at(place);
        if let Some(step) = Step::of::<M>(&rule) {
            steps.remember(place, step);
        }
        match self.by_rule::<M>(&rule, tables, registers, stack) {
            Err(Lost::Register) if self.kept.is_none() => {
                let same = self.with_kept::<M>(tables, registers, stack)?;
                same.by_rule::<M>(&rule, tables, registers, stack)
            }
            next => next,
        }
    }

    /// The same frame, with the registers that were kept for it: goes the way from where all of them
    /// were known once more. From here on they are followed.
    ///
    /// # Signal safety
    /// As [`walk`], with a read more for each frame and register that is kept.
    fn with_kept<M: Machine>(
        &self,
        tables: &Tables,
        registers: &mut Registers,
        stack: &mut Stack<'_>,
    ) -> Result<Self, Lost> {
        let mut frame = Self {
            kept: Some(u8::MAX),
            ..Self::interrupted::<M>(registers)
        };
        for _ in 0..DEPTH_MAX {
            if frame.stack_pointer == self.stack_pointer && frame.instruction == self.instruction {
                return Ok(frame);
            }
            let rule = tables.rule_at(frame.place());
            let next = frame.by_rule::<M>(&rule, tables, registers, stack)?;
            frame = next.ok_or(Lost::Register)?;
        }
        Err(Lost::Register)
    }

    /// Goes to the caller's frame by a step. False where there is none.
    ///
    /// # Signal safety
    /// As [`walk`].
    pub(super) fn step<M: Machine>(
        &mut self,
        step: Step,
        stack: &mut Stack<'_>,
    ) -> Result<bool, Lost> {
        let base = match step.base {
            Base::FramePointer => self.frame_pointer,
            Base::StackPointer => self.stack_pointer,
            Base::End | Base::None => return Ok(false),
        };
        let cfa = plus(base, step.offset);
        let return_address = word(stack, plus(cfa, step.return_address()))?;
        let frame_pointer = match step.frame_pointer() {
            None => self.frame_pointer,
            Some(offset) => word(stack, plus(cfa, offset))?,
        };
        if return_address == 0 {
            return Ok(false);
        }
        if !self.goes_up(cfa) {
            return Err(Lost::Rule);
        }
        self.instruction = M::plain(return_address);
        self.stack_pointer = cfa;
        self.frame_pointer = frame_pointer;
        self.is_interrupted = false;
        self.by_frame_pointer = false;
        Ok(true)
    }

    /// Whether a caller's stack pointer makes sense. A leaf may have nothing on the stack: where calls
    /// leave the return address in a register, and where it took it from the stack (as vfork(3) does).
    fn goes_up(&self, stack_pointer: u64) -> bool {
        stack_pointer > self.stack_pointer
            || (self.is_interrupted && stack_pointer == self.stack_pointer)
    }

    /// The caller's frame by the rule that holds here; `None` where there is none.
    ///
    /// # Signal safety
    /// As [`walk`].
    pub(super) fn by_rule<M: Machine>(
        &self,
        rule: &Rule,
        tables: &Tables,
        registers: &mut Registers,
        stack: &mut Stack<'_>,
    ) -> Result<Option<Self>, Lost> {
        let mut kept = self.kept;
        let caller = match *rule {
            Rule::End => return Ok(None),
            Rule::SignalFrame => {
                M::interrupted(self.stack_pointer, stack, registers).ok_or(Lost::Memory)?;
                return Ok(Some(Self::interrupted::<M>(registers)));
            }
            Rule::Unknown if self.by_frame_pointer && self.frame_pointer == 0 => return Ok(None),
            Rule::Unknown => {
                kept = kept.map(|_| 0);
                self.without_table::<M>(tables, registers, stack)?
            }
            Rule::Unsupported => return Err(Lost::Rule),
            Rule::Linkage { offset, from } => self.linkage(offset, from, stack)?,
            Rule::Frame(rule) => {
                let caller = self.caller::<M>(&rule, registers, stack)?;
                kept = kept.map(|known| {
                    let cfa = caller.stack_pointer;
                    restore::<M>((rule.kept, known), cfa, registers, stack)
                });
                caller
            }
        };
        if caller.return_address == 0 {
            return Ok(None);
        }
        if !self.goes_up(caller.stack_pointer) {
            return Err(Lost::Rule);
        }
        Ok(Some(Self {
            instruction: M::plain(caller.return_address),
            stack_pointer: caller.stack_pointer,
            frame_pointer: caller.frame_pointer,
            is_interrupted: false,
            kept,
            by_frame_pointer: *rule == Rule::Unknown,
        }))
    }

    /// The place in the code whose rule holds: a call may be the last instruction of a function
    /// that does not return, so a caller's is the call and not what comes after it.
    pub(super) fn place(&self) -> u64 {
        if self.is_interrupted {
            self.instruction
        } else {
            self.instruction.wrapping_sub(1)
        }
    }

    fn get<M: Machine>(&self, register: u8, registers: &Registers) -> Result<u64, Lost> {
        if register == M::STACK {
            return Ok(self.stack_pointer);
        }
        if register == M::FRAME {
            return Ok(self.frame_pointer);
        }
        let is_kept = || {
            let place = M::KEPT.iter().position(|kept| *kept == register);
            let known = self.kept.zip(place);
            known.is_some_and(|(known, place)| known & bit(place) != 0)
        };
        let known = registers.get(register);
        let known = known.filter(|_| self.is_interrupted || is_kept());
        known.ok_or(Lost::Register)
    }

    fn caller<M: Machine>(
        &self,
        rule: &FrameRule,
        registers: &Registers,
        stack: &mut Stack<'_>,
    ) -> Result<Caller, Lost> {
        let cfa = match rule.cfa {
            Cfa::Register { register, offset } => plus(self.get::<M>(register, registers)?, offset),
            Cfa::Word {
                register,
                at,
                offset,
            } => plus(
                word(stack, plus(self.get::<M>(register, registers)?, at))?,
                offset,
            ),
        };
        let return_address = match (rule.return_address, M::LINK) {
            (Saved::Same, Some(link)) => self.get::<M>(link, registers)?,
            (Saved::Same, None) => return Err(Lost::Rule),
            (saved, _) => self.saved::<M>(saved, cfa, registers, stack)?.unwrap_or(0),
        };
        let frame_pointer = match rule.frame_pointer {
            Saved::Same => self.frame_pointer,
            saved => self.saved::<M>(saved, cfa, registers, stack)?.unwrap_or(0),
        };
        Ok(Caller {
            return_address,
            stack_pointer: cfa,
            frame_pointer,
        })
    }

    fn saved<M: Machine>(
        &self,
        saved: Saved,
        cfa: u64,
        registers: &Registers,
        stack: &mut Stack<'_>,
    ) -> Result<Option<u64>, Lost> {
        match saved {
            Saved::AtCfa(offset) => word(stack, plus(cfa, offset)).map(Some),
            Saved::At(register, offset) => {
                word(stack, plus(self.get::<M>(register, registers)?, offset)).map(Some)
            }
            Saved::In(register) => self.get::<M>(register, registers).map(Some),
            Saved::Same | Saved::Nowhere => Ok(None),
        }
    }

    fn linkage(&self, offset: i32, from: u8, stack: &mut Stack<'_>) -> Result<Caller, Lost> {
        let pushed = if self.instruction & 15 >= u64::from(from) {
            8
        } else {
            0
        };
        let cfa = plus(self.stack_pointer, offset).wrapping_add(pushed);
        Ok(Caller {
            return_address: word(stack, cfa.wrapping_sub(8))?,
            stack_pointer: cfa,
            frame_pointer: self.frame_pointer,
        })
    }

    /// By what compilers agree on: the frame pointer is where the caller's was saved, and the return
    /// address is in the word above. Only where both make sense.
    fn without_table<M: Machine>(
        &self,
        tables: &Tables,
        registers: &Registers,
        stack: &mut Stack<'_>,
    ) -> Result<Caller, Lost> {
        if self.is_interrupted
            && let Some(caller) = M::without_frame(registers, stack)
            && tables.is_code(M::plain(caller.return_address))
        {
            return Ok(caller);
        }
        let frame = self.frame_pointer;
        if frame < self.stack_pointer || frame & 7 != 0 {
            return Err(Lost::Table);
        }
        let caller = Caller {
            return_address: word(stack, frame.wrapping_add(8))?,
            stack_pointer: frame.wrapping_add(16),
            frame_pointer: word(stack, frame)?,
        };
        // The caller's frame pointer may be anything: code that was compiled ahead of time keeps
        // other values in the register, and has a table.
        let is_end = caller.return_address == 0;
        if is_end || tables.is_code(M::plain(caller.return_address)) {
            Ok(caller)
        } else {
            Err(Lost::Table)
        }
    }
}

/// Makes the registers that a function kept those of its caller, which begins at `cfa`. Tells which of
/// the `known` ones still are.
fn restore<M: Machine>(
    (kept, mut known): (Kept, u8),
    cfa: u64,
    registers: &mut Registers,
    stack: &mut Stack<'_>,
) -> u8 {
    for (place, register) in M::KEPT.iter().enumerate() {
        let value = match kept.at(place) {
            Saved::Same => continue,
            Saved::AtCfa(offset) => stack.word(plus(cfa, offset)),
            Saved::At(..) | Saved::In(_) | Saved::Nowhere => None,
        };
        match (value, registers.general.get_mut(usize::from(*register))) {
            (Some(value), Some(register)) => {
                *register = value;
                known |= bit(place);
            }
            _ => known &= !bit(place),
        }
    }
    known
}

fn bit(place: usize) -> u8 {
    let shift = u32::try_from(place).unwrap_or(u32::MAX);
    1_u8.checked_shl(shift).unwrap_or(0)
}

fn plus(value: u64, offset: i32) -> u64 {
    value.wrapping_add_signed(i64::from(offset))
}

fn word(stack: &mut Stack<'_>, address: u64) -> Result<u64, Lost> {
    stack.word(address).ok_or(Lost::Memory)
}

#[cfg(test)]
impl Frame {
    /// The same interrupted frame, whose walk follows what is kept for callers.
    pub(super) fn following_kept(self) -> Self {
        Self {
            kept: Some(u8::MAX),
            ..self
        }
    }

    /// The registers that were kept for this frame and are known, with their values.
    pub(super) fn kept<M: Machine>(&self, registers: &Registers) -> Vec<(u8, u64)> {
        let known = self.kept.unwrap_or(0);
        let places = M::KEPT.iter().enumerate();
        let known = places.filter(|(place, _)| known & bit(*place) != 0);
        let values = known.map(|(_, register)| (*register, registers.get(*register).unwrap()));
        values.collect()
    }

    /// Instruction, stack pointer and frame pointer.
    pub(super) fn where_it_is(&self) -> (u64, u64, u64) {
        (self.instruction, self.stack_pointer, self.frame_pointer)
    }
}
