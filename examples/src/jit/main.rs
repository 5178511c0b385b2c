//! A small expression language, compiled while it runs, whose functions profilers see by name.

mod compile;
mod lexer;
mod native;
mod parser;
mod syntax;
#[cfg(test)]
mod tests;

fn main() -> anyhow::Result<()> {
    let native = compile::compile(include_str!("program.expr"))?;
    for code in native.functions() {
        anstream::println!("{:p} {:x} {}", code.start, code.len, code.name);
    }
    for i in 0..10 {
        anstream::println!("{:?}", native.call("round", i));
    }
    Ok(())
}
