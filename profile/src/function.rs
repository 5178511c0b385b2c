//! Source functions: the identity of a frame is (name, file).

use crate::hash;
use crate::heap;
use crate::interner::{Contents, Interner};
use crate::string_table::StringId;
use crate::units::index;

/// The place of a function in its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FunctionId(pub(crate) u32);

/// One function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Function {
    pub(crate) name: StringId,
    pub(crate) file: Option<StringId>,
}

impl Contents for Function {
    fn hash(&self) -> u64 {
        let file = self.file.map_or(0, |file| u64::from(file.0) + 1);
        hash::ids([u64::from(self.name.0), file])
    }
}

/// Functions in order of first use.
#[derive(Clone, Debug, Default)]
pub(crate) struct FunctionTable {
    functions: Vec<Function>,
}

impl FunctionTable {
    pub(crate) fn intern(&mut self, interner: &mut Interner, function: Function) -> FunctionId {
        FunctionId(interner.intern(&mut self.functions, function))
    }

    pub(crate) fn function(&self, id: FunctionId) -> Function {
        self.functions[id.0 as usize]
    }

    /// Every id, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = FunctionId> + use<> {
        (0..index(self.functions.len())).map(FunctionId)
    }

    pub(crate) fn len(&self) -> usize {
        self.functions.len()
    }

    pub(crate) const fn heap_bytes(&self) -> usize {
        heap::vec(&self.functions)
    }
}
