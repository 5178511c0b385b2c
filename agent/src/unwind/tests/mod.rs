//! Tests of the tables and the walk as a whole.

mod lazy_binding;
mod made_stacks;
mod oracle;
