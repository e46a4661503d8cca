//! The root of the deployment's keys: given, in a file, or made beside a SQLite database.

use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

use super::Settings;
use super::problem::Error;
use crate::keys::{self, Keys};

/// 32 bytes, or the file that holds them.
#[derive(Clone, PartialEq, Eq)]
pub enum Root {
    /// The bytes.
    Bytes([u8; 32]),
    /// A file with the bytes, as text.
    File(PathBuf),
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(_) => f.write_str("Bytes(***)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

impl Root {
    /// Understands bytes, or a path: what begins with `file:`, `/` or `.`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Some(bytes) = decode(text) {
            return Some(Self::Bytes(bytes));
        }
        let path = text.strip_prefix("file:").unwrap_or(text);
        let is_path = path.len() < text.len() || path.starts_with(['/', '.']);
        (is_path && !path.is_empty()).then(|| Self::File(PathBuf::from(path)))
    }

    fn bytes(&self, name: &str) -> Result<[u8; 32], Error> {
        match self {
            Self::Bytes(bytes) => Ok(*bytes),
            Self::File(path) => read(path).map_err(|what| Error::one(format!("{name}: {what}"))),
        }
    }
}

impl Settings {
    /// The keys in use. Where a SQLite database has none, they are made and kept in the file `<database>.key`.
    ///
    /// # Errors
    /// Where a file cannot be read or made, or holds something else.
    pub fn keys(&self) -> Result<Keys, Error> {
        let root = match self.root()? {
            Place::Given(root) => root.bytes("keys.root")?,
            Place::Beside(file) => beside(&file)?,
        };
        let previous = self.keys.previous.as_ref().map(|root| root.bytes("keys.previous"));
        Ok(Keys::new(root, previous.transpose()?))
    }
}

/// Where the root of the keys comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RootSource {
    /// It is given.
    Given,
    /// It lies beside the SQLite file.
    Beside,
    /// The first start will make one beside the SQLite file.
    ToBeMade,
}

impl Settings {
    /// Whether [`Settings::keys`] would have keys; nothing is made.
    ///
    /// # Errors
    /// As [`Settings::keys`].
    pub fn look_at_keys(&self) -> Result<RootSource, Error> {
        let source = match self.root()? {
            Place::Given(root) => root.bytes("keys.root").map(|_| RootSource::Given)?,
            Place::Beside(file) if !file.exists() => RootSource::ToBeMade,
            Place::Beside(file) => there(&file).map(|_| RootSource::Beside)?,
        };
        if let Some(previous) = &self.keys.previous {
            previous.bytes("keys.previous")?;
        }
        Ok(source)
    }

    fn root(&self) -> Result<Place<'_>, Error> {
        match (&self.keys.root, self.database.sqlite_file()) {
            (Some(root), _) => Ok(Place::Given(root)),
            (None, Some(database)) => Ok(Place::Beside(key_file(&database))),
            (None, None) => {
                let not_set = || Error::one("keys.root is not set".to_owned());
                Err(self.require_for_serving().err().unwrap_or_else(not_set))
            }
        }
    }
}

/// Where the root of the keys is looked for.
enum Place<'s> {
    Given(&'s Root),
    Beside(PathBuf),
}

fn key_file(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(".key");
    PathBuf::from(path)
}

/// 64 hexadecimal digits, or base64 of either alphabet.
fn decode(text: &str) -> Option<[u8; 32]> {
    let hex = || (text.len() == 64).then(|| hex(text.as_bytes())).flatten();
    let engines = [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD];
    let base64 = || engines.iter().find_map(|engine| engine.decode(text).ok());
    hex().or_else(base64)?.try_into().ok()
}

fn hex(digits: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    digits.as_chunks::<2>().0.iter().map(|&[high, low]| Some(digit(high)? * 16 + digit(low)?)).collect()
}

/// The bytes of a file; the error does not repeat what is in it.
fn read(path: &Path) -> Result<[u8; 32], String> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read {shown}: {error}"))?;
    decode(text.trim()).ok_or_else(|| {
        format!("{shown} does not hold 32 bytes; allowed: 64 hexadecimal digits or base64 (`openssl rand -hex 32`)")
    })
}

/// The key beside a database: the one that is there, else a new one. Of two processes that make one, the first wins.
fn beside(path: &Path) -> Result<[u8; 32], Error> {
    if !path.exists() {
        make(path)
            .map_err(|what| Error::one(format!("keys.root: cannot make {}: {what}", path.display())))?;
    }
    there(path)
}

fn there(path: &Path) -> Result<[u8; 32], Error> {
    read(path).map_err(|what| Error::one(format!("keys.root: {what}")))
}

/// A file that its owner alone may read; it appears whole or not at all.
fn make(path: &Path) -> Result<(), String> {
    let bytes = keys::random().map_err(|error| error.to_string())?;
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        writeln!(file, "{text}")?;
        file.as_file().sync_all()?;
        match file.persist_noclobber(path) {
            Err(error) if error.error.kind() != std::io::ErrorKind::AlreadyExists => Err(error.error),
            _ => std::fs::File::open(folder)?.sync_all(),
        }
    };
    write().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_root_is_read_in_each_form() {
        let bytes = [0xfb_u8; 32];
        let forms = [
            "fb".repeat(32),
            "FB".repeat(32),
            STANDARD.encode(bytes),
            STANDARD_NO_PAD.encode(bytes),
            URL_SAFE_NO_PAD.encode(bytes),
        ];
        for form in forms {
            assert!(matches!(Root::parse(&form), Some(Root::Bytes(found)) if found == bytes), "{form}");
        }
        let file = |path: &str| Some(Root::File(PathBuf::from(path)));
        assert_eq!(Root::parse("file:/etc/key"), file("/etc/key"));
        assert_eq!(Root::parse("file:key"), file("key"));
        assert_eq!(Root::parse("/etc/key"), file("/etc/key"));
        assert_eq!(Root::parse("./key"), file("./key"));
        for wrong in ["fb", "secret", &"fb".repeat(31), &"zz".repeat(32), "file:", "etc/key"] {
            assert_eq!(Root::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_key_is_made_once_beside_the_database_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = key_file(&folder.path().join("d.db"));
        assert_eq!(file, folder.path().join("d.db.key"));
        let made = beside(&file).unwrap();
        assert_eq!(beside(&file).unwrap(), made);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_ne!(beside(&folder.path().join("e.db.key")).unwrap(), made);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_file_that_holds_something_else_is_not_repeated() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        std::fs::write(&file, "hunter2").unwrap();
        let said = Root::File(file).bytes("keys.root").unwrap_err().to_string();
        assert!(said.contains("keys.root") && said.contains("64 hexadecimal digits"), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
        let said = Root::File(folder.path().join("none")).bytes("keys.previous").unwrap_err().to_string();
        assert!(said.contains("keys.previous: cannot read"), "{said}");
    }
}
