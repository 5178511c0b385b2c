//! Source functions: the identity of a frame is (name, file).

use std::collections::HashMap;

use crate::heap;
use crate::string_table::StringId;
use crate::units::index;

/// The place of a function in its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FunctionId(pub(crate) u32);

/// One function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Function {
    pub(crate) name: StringId,
    pub(crate) file: Option<StringId>,
}

/// Functions in order of first use.
#[derive(Clone, Debug, Default)]
pub(crate) struct FunctionTable {
    functions: Vec<Function>,
    ids: HashMap<Function, FunctionId>,
}

impl FunctionTable {
    pub(crate) fn intern(&mut self, function: Function) -> FunctionId {
        *self.ids.entry(function).or_insert_with(|| {
            self.functions.push(function);
            FunctionId(index(self.functions.len() - 1))
        })
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

    pub(crate) fn heap_bytes(&self) -> usize {
        heap::vec(&self.functions) + heap::map(&self.ids)
    }
}
