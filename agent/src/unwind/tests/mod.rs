//! Tests of the tables and the walk as a whole.

mod made_stacks;
mod oracle;
