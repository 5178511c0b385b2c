//! Functions to machine code, by Cranelift.

use std::collections::BTreeMap;

use anyhow::{Context as _, anyhow};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{AbiParam, InstBuilder as _, Signature, Value, types};
use cranelift_codegen::settings::{self, Configurable as _};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext, Variable};
use cranelift_jit::{JITBuilder, JITModule};
use cranelift_module::{FuncId, Linkage, Module as _};

use crate::native::{Code, Native};
use crate::parser::parse;
use crate::syntax::{
    Block, Expression, Function, Operator, Position, Statement, SyntaxError, SyntaxErrorKind,
};

/// Parses and compiles a program; its code is ready to run.
///
/// # Errors
/// A [`SyntaxError`], or what Cranelift says of this machine.
pub(crate) fn compile(text: &str) -> anyhow::Result<Native> {
    let functions = parse(text)?;
    let mut module = module()?;
    let mut declared = BTreeMap::new();
    for function in &functions {
        let signature = signature(&module, function.parameters.len());
        let id = module.declare_function(&function.name, Linkage::Local, &signature)?;
        declared.insert(function.name.clone(), (id, function.parameters.len()));
    }
    let mut lens = Vec::new();
    for function in &functions {
        lens.push(define(&mut module, &declared, function)?);
    }
    module.finalize_definitions()?;
    let code = functions.iter().zip(lens).map(|(function, len)| {
        let (id, parameter_count) = declared[&function.name];
        let start = module.get_finalized_function(id);
        Code {
            name: function.name.clone(),
            start,
            len,
            parameter_count,
        }
    });
    Ok(Native::new(code.collect(), module))
}

fn module() -> anyhow::Result<JITModule> {
    let mut flags = settings::builder();
    flags.set("opt_level", "speed")?;
    // Profilers that know no unwind tables of ours, perf -g among them, follow frame pointers.
    flags.set("preserve_frame_pointers", "true")?;
    flags.set("use_colocated_libcalls", "false")?;
    flags.set("is_pic", "false")?;
    let isa = cranelift_native::builder().map_err(|error| anyhow!("this machine: {error}"))?;
    let isa = isa.finish(settings::Flags::new(flags))?;
    Ok(JITModule::new(JITBuilder::with_isa(
        isa,
        cranelift_module::default_libcall_names(),
    )))
}

/// The C calling convention, which Cranelift's default is on this system: see `native`.
fn signature(module: &JITModule, parameter_count: usize) -> Signature {
    let mut signature = module.make_signature();
    signature.params = vec![AbiParam::new(types::I64); parameter_count];
    signature.returns = vec![AbiParam::new(types::I64)];
    signature
}

/// Compiles one function and answers how many bytes its code has.
fn define(
    module: &mut JITModule,
    declared: &BTreeMap<String, (FuncId, usize)>,
    function: &Function,
) -> anyhow::Result<usize> {
    let mut context = module.make_context();
    context.func.signature = signature(module, function.parameters.len());
    let mut builder_context = FunctionBuilderContext::new();
    let mut builder = FunctionBuilder::new(&mut context.func, &mut builder_context);
    let entry = builder.create_block();
    builder.append_block_params_for_function_params(entry);
    builder.switch_to_block(entry);
    let mut emitter = Emitter {
        module,
        declared,
        builder,
        variables: Vec::new(),
    };
    for (index, parameter) in function.parameters.iter().enumerate() {
        let value = emitter.builder.block_params(entry)[index];
        emitter.bind(parameter, value);
    }
    let result = emitter.block(&function.body)?;
    emitter.builder.ins().return_(&[result]);
    emitter.builder.seal_all_blocks();
    emitter.builder.finalize(emitter.module.target_config());
    let (id, _) = declared[&function.name];
    module
        .define_function(id, &mut context)
        .with_context(|| format!("compiling {}", function.name))?;
    let compiled = context.compiled_code().context("Cranelift kept no code")?;
    Ok(compiled.code_buffer().len())
}

/// Writes Cranelift's instructions for one function.
struct Emitter<'a> {
    module: &'a mut JITModule,
    declared: &'a BTreeMap<String, (FuncId, usize)>,
    builder: FunctionBuilder<'a>,
    /// What can be seen here; the innermost last.
    variables: Vec<(String, Variable)>,
}

impl Emitter<'_> {
    fn bind(&mut self, name: &str, value: Value) {
        let variable = self.builder.declare_var(types::I64);
        self.builder.def_var(variable, value);
        self.variables.push((name.to_owned(), variable));
    }

    fn variable(&self, name: &str, at: Position) -> Result<Variable, SyntaxError> {
        let found = self.variables.iter().rev().find(|(other, _)| other == name);
        let unknown = || SyntaxErrorKind::UnknownVariable(name.to_owned());
        found
            .map(|(_, variable)| *variable)
            .ok_or_else(|| SyntaxError {
                at,
                kind: unknown(),
            })
    }

    fn block(&mut self, block: &Block) -> Result<Value, SyntaxError> {
        let outside = self.variables.len();
        self.statements(&block.statements)?;
        let value = self.expression(&block.value)?;
        self.variables.truncate(outside);
        Ok(value)
    }

    fn statements(&mut self, statements: &[Statement]) -> Result<(), SyntaxError> {
        for statement in statements {
            match statement {
                Statement::Let { name, value } => {
                    let value = self.expression(value)?;
                    self.bind(name, value);
                }
                Statement::Assign { name, value, at } => {
                    let variable = self.variable(name, *at)?;
                    let value = self.expression(value)?;
                    self.builder.def_var(variable, value);
                }
                Statement::While { condition, body } => self.while_loop(condition, body)?,
            }
        }
        Ok(())
    }

    fn while_loop(
        &mut self,
        condition: &Expression,
        body: &[Statement],
    ) -> Result<(), SyntaxError> {
        let [head, inside, after] = [(); 3].map(|()| self.builder.create_block());
        self.builder.ins().jump(head, &[]);
        self.builder.switch_to_block(head);
        let condition = self.expression(condition)?;
        self.builder.ins().brif(condition, inside, &[], after, &[]);
        self.builder.switch_to_block(inside);
        let outside = self.variables.len();
        self.statements(body)?;
        self.variables.truncate(outside);
        self.builder.ins().jump(head, &[]);
        self.builder.switch_to_block(after);
        Ok(())
    }

    fn expression(&mut self, expression: &Expression) -> Result<Value, SyntaxError> {
        match expression {
            Expression::Number(number) => Ok(self.builder.ins().iconst(types::I64, *number)),
            Expression::Name { name, at } => {
                let variable = self.variable(name, *at)?;
                Ok(self.builder.use_var(variable))
            }
            Expression::Call {
                name,
                arguments,
                at,
            } => self.call(name, arguments, *at),
            Expression::Negated(inner) => {
                let inner = self.expression(inner)?;
                Ok(self.builder.ins().ineg(inner))
            }
            Expression::Chain { first, rest } => {
                let first = self.expression(first)?;
                rest.iter().try_fold(first, |left, (operator, right)| {
                    let right = self.expression(right)?;
                    Ok(self.binary(*operator, left, right))
                })
            }
            Expression::If {
                condition,
                then,
                otherwise,
            } => self.either(condition, then, otherwise),
        }
    }

    fn call(
        &mut self,
        name: &str,
        arguments: &[Expression],
        at: Position,
    ) -> Result<Value, SyntaxError> {
        let Some(&(id, expected)) = self.declared.get(name) else {
            return Err(SyntaxError {
                at,
                kind: SyntaxErrorKind::UnknownFunction(name.to_owned()),
            });
        };
        if expected != arguments.len() {
            let (name, found) = (name.to_owned(), arguments.len());
            let kind = SyntaxErrorKind::ArgumentCount {
                name,
                expected,
                found,
            };
            return Err(SyntaxError { at, kind });
        }
        let arguments = arguments.iter().map(|argument| self.expression(argument));
        let arguments = arguments.collect::<Result<Vec<_>, _>>()?;
        let callee = self.module.declare_func_in_func(id, self.builder.func);
        let call = self.builder.ins().call(callee, &arguments);
        Ok(self.builder.inst_results(call)[0])
    }

    fn either(
        &mut self,
        condition: &Expression,
        then: &Block,
        otherwise: &Block,
    ) -> Result<Value, SyntaxError> {
        let [yes, no, after] = [(); 3].map(|()| self.builder.create_block());
        let result = self.builder.append_block_param(after, types::I64);
        let condition = self.expression(condition)?;
        self.builder.ins().brif(condition, yes, &[], no, &[]);
        for (here, block) in [(yes, then), (no, otherwise)] {
            self.builder.switch_to_block(here);
            let value = self.block(block)?;
            self.builder.ins().jump(after, &[value.into()]);
        }
        self.builder.switch_to_block(after);
        Ok(result)
    }

    fn binary(&mut self, operator: Operator, left: Value, right: Value) -> Value {
        let ins = self.builder.ins();
        match operator {
            Operator::Add => ins.iadd(left, right),
            Operator::Subtract => ins.isub(left, right),
            Operator::Multiply => ins.imul(left, right),
            Operator::And => ins.band(left, right),
            Operator::Or => ins.bor(left, right),
            Operator::Less => self.relation(IntCC::SignedLessThan, left, right),
            Operator::LessOrEqual => self.relation(IntCC::SignedLessThanOrEqual, left, right),
            Operator::Greater => self.relation(IntCC::SignedGreaterThan, left, right),
            Operator::GreaterOrEqual => self.relation(IntCC::SignedGreaterThanOrEqual, left, right),
            Operator::Equal => self.relation(IntCC::Equal, left, right),
            Operator::NotEqual => self.relation(IntCC::NotEqual, left, right),
            Operator::Divide => self.divide(left, right).0,
            Operator::Remainder => self.divide(left, right).1,
        }
    }

    fn relation(&mut self, relation: IntCC, left: Value, right: Value) -> Value {
        let holds = self.builder.ins().icmp(relation, left, right);
        self.builder.ins().uextend(types::I64, holds)
    }

    /// Quotient and remainder, without the two cases in which the processor traps.
    fn divide(&mut self, left: Value, right: Value) -> (Value, Value) {
        let is_zero = self.builder.ins().icmp_imm_s(IntCC::Equal, right, 0);
        let is_minus_one = self.builder.ins().icmp_imm_s(IntCC::Equal, right, -1);
        let special = self.builder.ins().bor(is_zero, is_minus_one);
        let one = self.builder.ins().iconst(types::I64, 1);
        let zero = self.builder.ins().iconst(types::I64, 0);
        let divisor = self.builder.ins().select(special, one, right);
        let quotient = self.builder.ins().sdiv(left, divisor);
        let negated = self.builder.ins().ineg(left);
        let quotient = self.builder.ins().select(is_minus_one, negated, quotient);
        let quotient = self.builder.ins().select(is_zero, zero, quotient);
        let product = self.builder.ins().imul(quotient, right);
        let remainder = self.builder.ins().isub(left, product);
        (
            quotient,
            self.builder.ins().select(is_zero, zero, remainder),
        )
    }
}
