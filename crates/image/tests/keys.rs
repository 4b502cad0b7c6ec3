//! Where keys are kept and which are refused.
#![cfg(unix)]

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use tepui_image::{KeyError, UserKey};

/// An empty folder for its owner only, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("tepui-key-{}-{name}", std::process::id()));
        fs::create_dir(&path).unwrap();
        chmod(&path, 0o700);
        Folder(path)
    }

    fn key(&self) -> PathBuf {
        self.0.join(UserKey::FILE_NAME)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        chmod(&self.0, 0o700);
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn refused(dir: &Path, expected: &str) {
    for result in [
        UserKey::load(dir).map(|_| ()),
        UserKey::load_or_create(dir).map(|_| ()),
    ] {
        match result {
            Err(KeyError::Unsafe { reason, .. }) => assert!(reason.contains(expected), "{reason}"),
            other => panic!("{other:?} instead of: {expected}"),
        }
    }
}

#[test]
fn a_key_is_made_once_and_for_its_owner_only() {
    let folder = Folder::new("made");
    let data = folder.0.join("share/tepui");
    assert!(UserKey::load(&data).unwrap().is_none());
    assert!(!data.exists(), "loading makes nothing");
    let key = UserKey::load_or_create(&data).unwrap();
    assert_ne!(key.bytes(), &[0; 32]);
    assert_eq!(UserKey::load(&data).unwrap().unwrap().bytes(), key.bytes());
    assert_eq!(UserKey::load_or_create(&data).unwrap().bytes(), key.bytes());
    assert_eq!(fs::metadata(&data).unwrap().mode() & 0o777, 0o700);
    let file = data.join(UserKey::FILE_NAME);
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    assert_eq!(
        fs::read_dir(&data).unwrap().count(),
        1,
        "nothing else is left"
    );
    assert_eq!(format!("{key:?}"), "UserKey(..)");

    fs::remove_file(&file).unwrap();
    let other = UserKey::load_or_create(&data).unwrap();
    assert_ne!(other.bytes(), key.bytes());
}

#[test]
fn threads_that_start_together_get_one_key() {
    let folder = Folder::new("threads");
    let barrier = std::sync::Barrier::new(16);
    let keys = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    *UserKey::load_or_create(&folder.0).unwrap().bytes()
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect::<Vec<_>>()
    });
    assert!(keys.iter().all(|key| *key == keys[0]));
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
}

#[test]
fn keys_that_others_can_reach_are_refused() {
    let folder = Folder::new("others");
    UserKey::load_or_create(&folder.0).unwrap();
    for mode in [0o640, 0o604, 0o620, 0o602, 0o610, 0o666] {
        chmod(&folder.key(), mode);
        refused(&folder.0, "others can read or write it");
        assert_eq!(
            fs::metadata(folder.key()).unwrap().mode() & 0o777,
            mode,
            "left alone"
        );
    }
    chmod(&folder.key(), 0o400);
    UserKey::load(&folder.0).unwrap().unwrap();
    for mode in [0o770, 0o702, 0o777, 0o1777] {
        chmod(&folder.0, mode);
        refused(&folder.0, "others can write to the folder");
    }
    chmod(&folder.0, 0o755);
    UserKey::load(&folder.0).unwrap().unwrap();
}

#[test]
fn what_is_not_a_plain_file_is_refused() {
    let folder = Folder::new("plain");
    let elsewhere = folder.0.join("elsewhere");
    fs::write(&elsewhere, [1; 32]).unwrap();
    chmod(&elsewhere, 0o600);
    symlink(&elsewhere, folder.key()).unwrap();
    refused(&folder.0, "symbolic link");
    fs::remove_file(folder.key()).unwrap();
    symlink(folder.0.join("nowhere"), folder.key()).unwrap();
    refused(&folder.0, "symbolic link");
    fs::remove_file(folder.key()).unwrap();
    fs::create_dir(folder.key()).unwrap();
    refused(&folder.0, "not a regular file");
    fs::remove_dir(folder.key()).unwrap();
    // A pipe that nobody writes to must not block.
    let mkfifo = std::process::Command::new("mkfifo")
        .arg(folder.key())
        .status();
    assert!(mkfifo.unwrap().success());
    refused(&folder.0, "not a regular file");
}

#[test]
fn damaged_keys_are_refused() {
    let folder = Folder::new("damaged");
    for bytes in [&[1; 31][..], &[1; 33], &[], &[0; 32], &[1; 100_000]] {
        fs::write(folder.key(), bytes).unwrap();
        chmod(&folder.key(), 0o600);
        refused(&folder.0, "damaged");
    }
}

#[test]
fn keys_of_another_owner_are_refused() {
    let folder = Folder::new("owner");
    UserKey::load_or_create(&folder.0).unwrap();
    let me = fs::metadata(&folder.0).unwrap().uid();
    // Only root can give a file away; elsewhere there is nothing to test.
    if std::os::unix::fs::chown(folder.key(), Some(12_345), None).is_err() {
        return;
    }
    refused(&folder.0, "belongs to another user");
    std::os::unix::fs::chown(&folder.0, Some(12_345), None).unwrap();
    refused(&folder.0, "the folder belongs to another user");
    std::os::unix::fs::chown(&folder.0, Some(me), None).unwrap();
}

#[test]
fn a_folder_that_is_a_file_is_an_error_of_the_system() {
    let folder = Folder::new("file");
    let file = folder.0.join("file");
    fs::write(&file, "").unwrap();
    assert!(matches!(UserKey::load(&file), Err(KeyError::Io { .. })));
    let error = UserKey::load_or_create(&file).unwrap_err();
    assert!(error.to_string().contains("file"), "{error}");
}
