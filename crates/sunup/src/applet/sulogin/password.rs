//! Whether a password is that of a hash.

use model::sulogin::Kind;
use sha_crypt::ShaCrypt;
use yescrypt::password_hash::{Error, PasswordVerifier};
use yescrypt::{Params, Yescrypt};

/// The most memory that a hash may ask for (bytes); crypt(5)'s costliest asks for a quarter.
const MEMORY_MAX: u64 = 4 << 30;

/// `None`: that cannot be told, because the hash is broken or asks for more memory than there
/// is.
pub fn is_right(kind: Kind, hash: &str, password: &[u8]) -> Option<bool> {
    let verified = match kind {
        Kind::Yescrypt if has_room(hash) => Yescrypt::default().verify_password(password, hash),
        Kind::Yescrypt => return None,
        Kind::ShaCrypt => ShaCrypt::default().verify_password(password, hash),
    };
    match verified {
        Ok(()) => Some(true),
        Err(Error::PasswordInvalid) => Some(false),
        Err(_) => None,
    }
}

/// Whether there is the memory that this yescrypt hash needs: yescrypt itself would end the
/// process without it.
fn has_room(hash: &str) -> bool {
    let params = hash.split('$').nth(2);
    let Some(params) = params.and_then(|params| params.parse::<Params>().ok()) else {
        return false;
    };
    let blocks = params.n().checked_add(2 + u64::from(params.p()));
    let bytes = blocks
        .and_then(|blocks| blocks.checked_mul(128 * u64::from(params.r())))
        .filter(|bytes| *bytes <= MEMORY_MAX);
    let Some(bytes) = bytes.and_then(|bytes| usize::try_from(bytes).ok()) else {
        return false;
    };
    Vec::<u8>::new().try_reserve_exact(bytes).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by Debian's crypt(3), from `geheim`; the first costs less than usual.
    const YES: &str = "$y$j75$abcdefghijklmnop1234$Hnr2lUE36Zy2pd8rGfC8haA.RTFUbKP0gJpZ5u7tcF8";
    const SHA_256: &str = "$5$saltsalt$cKRA0A5uaKu0/NNi2WMrB.mMOAVMowckrDNQ4fKUJ06";
    const SHA_512: &str = "$6$saltsalt$sfZR6YSW/Dp0uCiyF9fDipa6ORr5LVLOwXNgtzRlXXhkC7xA3w4zy97VIC3vL14AUXGJp3yBjZVztkdiBzJnX1";
    const ROUNDS: &str = "$6$rounds=2000$salzsalz$nPT0duYdqBFUP4Y77G7AaW4tvd8ozD8.LmHMRB//qHrV7hhvNFdKV6kzPSIBgm9cKiZ4hbESVJpb5zrebNEWE/";

    #[test]
    fn passwords_are_told_from_others() {
        for hash in [YES, SHA_256, SHA_512, ROUNDS] {
            let kind = if hash == YES {
                Kind::Yescrypt
            } else {
                Kind::ShaCrypt
            };
            assert_eq!(is_right(kind, hash, b"geheim"), Some(true), "{hash}");
            for wrong in [&b""[..], b"geheim ", b"Geheim", b"geheimgeheim"] {
                assert_eq!(is_right(kind, hash, wrong), Some(false), "{hash}");
            }
        }
    }

    /// Neither a panic nor the end of the process for lack of memory.
    #[test]
    fn what_is_no_hash_is_no_answer() {
        for broken in [
            "$y$",
            "$y$j9T",
            "$y$j9T$",
            "$y$j9T$salt",
            "$y$$salt$hash",
            "$y$!!!$salt$hash",
            // 2^62 blocks.
            "$y$jxT$LbYwAzV8LmPHrOMJZ9LgK1$LGxcnLJfTZHJrhfV.Xe6HqOZgVkRkQ4zMfGuYcnZ3bD",
        ] {
            assert_eq!(is_right(Kind::Yescrypt, broken, b"x"), None, "{broken}");
        }
        for broken in ["$6$", "$6$salt", "$5$rounds=x$salt$hash", "$6$salt$h$h"] {
            assert_eq!(is_right(Kind::ShaCrypt, broken, b"x"), None, "{broken}");
        }
    }

    /// Letters of the salt and of the hash itself, and an end that comes early.
    #[test]
    fn mangled_hashes_are_not_right() {
        for at in (7..YES.len()).step_by(5) {
            for letter in ["z", "$"] {
                let mut mangled = YES.to_owned();
                mangled.replace_range(at..=at, letter);
                if mangled == YES {
                    continue;
                }
                let said = is_right(Kind::Yescrypt, &mangled, b"geheim");
                assert_ne!(said, Some(true), "{mangled}");
            }
        }
    }
}
