//! Tests of the tables and the walk as a whole.

mod compiled;
mod corpus;
mod lazy_binding;
mod made_stacks;
mod oracle;
mod single_step;
#[path = "../../../../tests/harness/skip.rs"]
#[expect(unreachable_pub, reason = "shared with the tests of the whole product")]
mod skip;
