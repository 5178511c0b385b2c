//! C code, compiled and loaded here, whose calls are bound when they are made.
#![expect(unsafe_code, reason = "loads a library")]

use std::ffi::{CStr, CString};
use std::path::PathBuf;
use std::process::Command;

use libc::c_void;

/// A loaded library, until it is dropped.
pub(super) struct Library(*mut c_void);

impl Library {
    /// Compiles it with the driver that every Rust program here is linked with, and loads it.
    pub(super) fn of(source: &str) -> Self {
        Self::compiled(source, &[])
    }

    /// The same by the linker that comes with the Rust toolchain; `None` where it does not.
    pub(super) fn by_lld(source: &str) -> Option<Self> {
        let mut rustc = Command::new("rustc");
        let output = rustc.args(["--print", "target-libdir"]).output().ok()?;
        let libraries = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
        let folder = libraries.parent()?.join("bin/gcc-ld");
        let driver = format!("-B{}", folder.display());
        folder
            .is_dir()
            .then(|| Self::compiled(source, &[&driver, "-fuse-ld=lld"]))
    }

    fn compiled(source: &str, options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [text, object] = ["library.c", "library.so"].map(|name| folder.path().join(name));
        std::fs::write(&text, source).unwrap();
        let mut compiler = Command::new("cc");
        compiler
            .args(options)
            .args(["-O2", "-shared", "-fPIC", "-Wl,-z,lazy", "-o"]);
        assert!(compiler.arg(&object).arg(&text).status().unwrap().success());
        let path = CString::new(object.to_str().unwrap()).unwrap();
        // SAFETY: a string that ends; the libraries here have no constructors.
        let library = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_LAZY) };
        assert!(!library.is_null());
        Self(library)
    }

    /// A function `int name(void)`.
    pub(super) fn function(&self, name: &CStr) -> extern "C" fn() -> i32 {
        // SAFETY: an open library and a string that ends.
        let symbol = unsafe { libc::dlsym(self.0, name.as_ptr()) };
        assert!(!symbol.is_null(), "{name:?}");
        // SAFETY: the tests ask for functions of this type only.
        unsafe { std::mem::transmute::<*mut c_void, extern "C" fn() -> i32>(symbol) }
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        // SAFETY: opened in `of`; nothing of it is in use any more.
        unsafe { libc::dlclose(self.0) };
    }
}
