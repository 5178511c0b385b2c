//! Compiled functions, and the one place where machine code is called.
#![expect(
    unsafe_code,
    reason = "a function that was compiled at run time has only an address"
)]

use cranelift_jit::JITModule;

/// Where a compiled function is.
#[derive(Debug)]
pub(crate) struct Code {
    pub(crate) name: String,
    /// The first byte of it.
    pub(crate) start: *const u8,
    /// How many bytes it has.
    pub(crate) len: usize,
    /// How many `i64` it takes; it answers one.
    pub(crate) parameter_count: usize,
}

/// A compiled program.
pub(crate) struct Native {
    code: Vec<Code>,
    /// Owns the memory that `code` points into: it has to live as long.
    _module: JITModule,
}

impl Native {
    /// Takes the finished code of `module`, described truly by `code`.
    pub(crate) fn new(code: Vec<Code>, module: JITModule) -> Self {
        Self {
            code,
            _module: module,
        }
    }

    /// The functions, in the order of the text.
    pub(crate) fn functions(&self) -> &[Code] {
        &self.code
    }

    /// Calls a function of one parameter; `None` when there is no such function.
    pub(crate) fn call(&self, name: &str, argument: i64) -> Option<i64> {
        let code = self
            .code
            .iter()
            .find(|code| code.name == name && code.parameter_count == 1)?;
        // SAFETY: pointers to functions have the size of pointers to data on every target of
        // Cranelift's JIT, and `start` is not null: Cranelift answered it for finished code.
        // The code has this signature: `compile::signature` asks for one I64 for each parameter
        // and one I64 as the result, `parameter_count` is 1, and Cranelift's default calling
        // convention for a host triple (`CallConv::triple_default`) is that of `extern "C"`.
        let function =
            unsafe { std::mem::transmute::<*const u8, extern "C" fn(i64) -> i64>(code.start) };
        // The module, hence the memory, lives as long as `self`, which is borrowed here.
        Some(function(argument))
    }
}
