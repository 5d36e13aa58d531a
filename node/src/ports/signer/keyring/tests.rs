//! What an operator meets: keys come back, and each way to fail has its own error.

use std::os::unix::fs::PermissionsExt;

use super::*;

const CHEAP: KdfCost = KdfCost {
    memory_kib: 8,
    passes: 1,
};

fn passphrase(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.to_owned())
}

struct Made {
    _folder: tempfile::TempDir,
    path: PathBuf,
    account: AccountId,
}

fn made() -> Made {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keyring.json");
    let mut keyring = Keyring::create(&path, &passphrase("right"), CHEAP).unwrap();
    let account = keyring
        .add(AccountRole::Channel, Seed::from_bytes([7; 32]))
        .unwrap();
    keyring.save(&passphrase("right")).unwrap();
    Made {
        _folder: folder,
        path,
        account,
    }
}

/// Edits the file as text and tells the error that opening it gives.
fn check_edit(edit: impl FnOnce(&str) -> String) -> KeyringError {
    let made = made();
    let text = fs::read_to_string(&made.path).unwrap();
    fs::write(&made.path, edit(&text)).unwrap();
    Keyring::open(&made.path, &passphrase("right")).unwrap_err()
}

fn flip_first_digit_of(text: &str, field: &str) -> String {
    let at = text.find(&format!("\"{field}\": \"")).unwrap() + field.len() + 5;
    let digit = if &text[at..=at] == "0" { "1" } else { "0" };
    format!("{}{digit}{}", &text[..at], &text[at + 1..])
}

#[test]
fn keys_come_back_and_the_file_is_private() {
    let made = made();
    let keyring = Keyring::open(&made.path, &passphrase("right")).unwrap();
    let accounts: Vec<_> = keyring.accounts().collect();
    assert_eq!(accounts, [(made.account, AccountRole::Channel)]);
    let mode = fs::metadata(&made.path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = fs::read_to_string(&made.path).unwrap();
    assert!(!text.contains(&hex::encode([7; 32])));
    let files = fs::read_dir(made.path.parent().unwrap()).unwrap().count();
    assert_eq!(files, 1, "no temporary file stays");
}

#[test]
fn each_failure_has_its_own_error() {
    let made = made();
    let wrong = Keyring::open(&made.path, &passphrase("wrong")).unwrap_err();
    assert!(matches!(wrong, KeyringError::WrongPassphrase { .. }));
    let empty = Keyring::open(&made.path, &passphrase("")).unwrap_err();
    assert!(matches!(empty, KeyringError::EmptyPassphrase));
    let absent = made.path.with_extension("absent");
    let missing = Keyring::open(&absent, &passphrase("right")).unwrap_err();
    assert!(matches!(missing, KeyringError::Missing { .. }));
    let exists = Keyring::create(&made.path, &passphrase("right"), CHEAP).unwrap_err();
    assert!(matches!(exists, KeyringError::Exists { .. }));
    fs::set_permissions(&made.path, fs::Permissions::from_mode(0o640)).unwrap();
    let open_to_all = Keyring::open(&made.path, &passphrase("right")).unwrap_err();
    assert!(matches!(
        open_to_all,
        KeyringError::Permissions { mode: 0o640, .. }
    ));
}

#[test]
fn damage_is_not_taken_for_a_wrong_passphrase() {
    for field in ["salt", "check", "nonce", "sealed", "checksum"] {
        let error = check_edit(|text| flip_first_digit_of(text, field));
        assert!(matches!(error, KeyringError::Damaged { .. }), "{field}");
    }
    let cut = check_edit(|text| text[..text.len() / 2].to_owned());
    assert!(matches!(cut, KeyringError::Damaged { .. }));
    let next = check_edit(|text| text.replace("\"version\": 1", "\"version\": 2"));
    assert!(matches!(next, KeyringError::Version { version: 2, .. }));
}

#[test]
fn a_key_is_added_once_and_seeds_read_stellars_text() {
    let text = "SBQWY3DNPFWGSZTFNV4WQZLBOS4WQZLBOS4WQZLBOS4WQZLBOS4WQAAA";
    assert!(matches!(
        Seed::from_strkey(text),
        Err(KeyringError::BadSeed)
    ));
    let known = stellar_strkey::ed25519::PrivateKey([7; 32]);
    let seed = Seed::from_strkey(&known.as_unredacted().to_string()).unwrap();
    assert_eq!(seed.bytes(), &[7; 32]);
    assert_eq!(format!("{seed:?}"), "Seed(redacted)");
    let made = made();
    let mut keyring = Keyring::open(&made.path, &passphrase("right")).unwrap();
    let twice = keyring.add(AccountRole::Fee, seed).unwrap_err();
    assert!(matches!(twice, KeyringError::Duplicate { account } if account == made.account));
}

#[test]
fn costs_and_passphrase_files_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keyring.json");
    let cost = KdfCost {
        memory_kib: 1,
        passes: 1,
    };
    let error = Keyring::create(&path, &passphrase("right"), cost).unwrap_err();
    assert!(matches!(error, KeyringError::Cost { memory_kib: 1, .. }));
    let file = folder.path().join("passphrase");
    fs::write(&file, "two words\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(read_passphrase(&file).unwrap().as_str(), "two words");
    fs::write(&file, "\n").unwrap();
    let empty = read_passphrase(&file).unwrap_err();
    assert!(matches!(empty, KeyringError::EmptyPassphrase));
}

#[test]
fn a_key_file_opens_a_keyring_as_a_passphrase_does() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keyring.json");
    let file = folder.path().join("key");
    let write = |bytes: &[u8]| {
        fs::write(&file, bytes).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    };
    // Not UTF-8, as random bytes are not.
    write(&[0xff; 32]);
    let key = read_key_file(&file).unwrap();
    Keyring::create(&path, &key, CHEAP).unwrap();
    assert!(Keyring::open(&path, &read_key_file(&file).unwrap()).is_ok());
    write(&[0xfe; 32]);
    let other = Keyring::open(&path, &read_key_file(&file).unwrap()).unwrap_err();
    assert!(matches!(other, KeyringError::WrongPassphrase { .. }));
    write(&[0xff; 31]);
    let short = read_key_file(&file).unwrap_err();
    assert!(matches!(short, KeyringError::KeyFile { len: 31, .. }));
    write(&[0xff; 32]);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let open_to_all = read_key_file(&file).unwrap_err();
    assert!(matches!(open_to_all, KeyringError::Permissions { .. }));
}
