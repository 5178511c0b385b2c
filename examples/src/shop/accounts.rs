//! Logging in: a password checked with Argon2, which is slow on purpose.

use argon2::{Algorithm, Argon2, Params, Version};
use serde::Deserialize;

use crate::error::ShopError;

const HASH_BYTES: usize = 32;
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;

/// What a customer types.
#[derive(Clone, Debug, Deserialize)]
pub struct Credentials {
    /// The customer's name.
    pub name: String,
    /// The customer's password.
    pub password: String,
}

#[derive(Debug)]
struct Account {
    name: &'static str,
    salt: [u8; 16],
    hash: [u8; HASH_BYTES],
}

/// The customers who have a password.
#[derive(Debug)]
pub struct Accounts {
    hasher: Argon2<'static>,
    accounts: Vec<Account>,
}

impl Accounts {
    /// Three customers, whose passwords are their names backwards. Takes as long as three log-ins.
    ///
    /// # Errors
    /// What Argon2 says of its parameters.
    pub fn seeded() -> Result<Self, argon2::Error> {
        let params = Params::new(MEMORY_KIB, PASSES, 1, Some(HASH_BYTES))?;
        let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let accounts = [("ada", 1_u8), ("grace", 2), ("linus", 3)]
            .into_iter()
            .map(|(name, number)| {
                let (salt, backwards) = ([number; 16], name.chars().rev().collect::<String>());
                Ok(Account {
                    name,
                    salt,
                    hash: hash(&hasher, &backwards, &salt)?,
                })
            })
            .collect::<Result<_, argon2::Error>>()?;
        Ok(Self { hasher, accounts })
    }
}

/// Checks a password and answers the customer's name.
///
/// A name that nobody has takes as long as a wrong password.
///
/// # Errors
/// [`ShopError::WrongPassword`].
pub fn log_in<'a>(accounts: &'a Accounts, typed: &Credentials) -> Result<&'a str, ShopError> {
    let known = accounts
        .accounts
        .iter()
        .find(|account| account.name == typed.name);
    let account = known
        .or(accounts.accounts.first())
        .ok_or(ShopError::WrongPassword)?;
    let hash = hash(&accounts.hasher, &typed.password, &account.salt)
        .map_err(|_error| ShopError::WrongPassword)?;
    if same(&hash, &account.hash) && known.is_some() {
        Ok(account.name)
    } else {
        Err(ShopError::WrongPassword)
    }
}

fn hash(
    hasher: &Argon2<'_>,
    password: &str,
    salt: &[u8],
) -> Result<[u8; HASH_BYTES], argon2::Error> {
    let mut hash = [0; HASH_BYTES];
    hasher.hash_password_into(password.as_bytes(), salt, &mut hash)?;
    Ok(hash)
}

/// Compares without telling, by its duration, where the difference is.
fn same(a: &[u8; HASH_BYTES], b: &[u8; HASH_BYTES]) -> bool {
    a.iter()
        .zip(b)
        .fold(0, |difference, (a, b)| difference | (a ^ b))
        == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(name: &str, password: &str) -> Option<String> {
        let typed = Credentials {
            name: name.into(),
            password: password.into(),
        };
        log_in(&Accounts::seeded().unwrap(), &typed)
            .ok()
            .map(str::to_owned)
    }

    #[test]
    fn right_password_opens_and_others_do_not() {
        assert_eq!(attempt("grace", "ecarg").as_deref(), Some("grace"));
        assert_eq!(attempt("grace", "grace"), None);
        assert_eq!(attempt("nobody", "ada"), None);
    }
}
