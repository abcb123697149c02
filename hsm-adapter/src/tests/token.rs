//! A token in a process of its own.

use std::any::type_name;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use coffer_proto::{FleetId, SiteNumber};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::object::{Attribute, ObjectHandle};
use cryptoki::session::{Session, UserType};

use crate::check::{Finding, check};
use crate::keys::Key;
use crate::{
    DrawnKeys, HsmAdapter, Pin, SOFTHSM_MODULE, TokenConfig, TokenError, card, embedded_environment, import, init,
};

pub(super) const LABEL: &str = "a vault";
pub(super) const FLEET: FleetId = FleetId([7; 16]);
const FOLDER: &str = "COFFER_HSM_TEST_FOLDER";
const PASSED: &str = "passed";

/// Where a module keeps the token of one test.
pub(super) struct TokenFolder {
    pub(super) folder: PathBuf,
    module: PathBuf,
    pin: Pin,
    so_pin: Pin,
}

/// Runs `test` on SoftHSM, in a process of its own.
pub(super) fn in_own_process<T: FnOnce(&TokenFolder)>(test: T) {
    in_process_of(SOFTHSM_MODULE.into(), |folder| embedded_environment(folder).unwrap(), test);
}

/// Runs `test` in a process that was started with the environment that the module wants: it reads it once, and a test
/// that changed it while others run would be unsound. `test` must be a closure within a test function, whose name tells
/// the new process what to run.
pub(super) fn in_process_of<T: FnOnce(&TokenFolder)>(
    module: PathBuf,
    environment: impl FnOnce(&Path) -> (&'static str, PathBuf),
    test: T,
) {
    if let Some(folder) = env::var_os(FOLDER) {
        let folder = PathBuf::from(folder);
        let pins = (Pin::generate().unwrap(), Pin::generate().unwrap());
        test(&TokenFolder { folder: folder.clone(), module, pin: pins.0, so_pin: pins.1 });
        fs::write(folder.join(PASSED), []).unwrap();
        return;
    }
    let name = type_name::<T>().strip_suffix("::{{closure}}").unwrap().split_once("::").unwrap().1;
    let folder = tempfile::tempdir().unwrap();
    let (variable, value) = environment(folder.path());
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", name, "--include-ignored", "--nocapture"])
        .env(variable, value)
        .env(FOLDER, folder.path())
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{} {}", output.status, String::from_utf8_lossy(&said));
    assert!(folder.path().join(PASSED).exists(), "no test was run: {name}");
}

impl TokenFolder {
    pub(super) fn config(&self) -> TokenConfig {
        let pin = Pin::new(self.pin.expose().to_owned());
        TokenConfig { module: self.module.clone(), ..TokenConfig::embedded(LABEL, pin) }
    }

    pub(super) fn init(&self) -> Result<(), TokenError> {
        init(&self.config(), &self.so_pin)
    }

    pub(super) fn open(&self) -> HsmAdapter {
        self.init().unwrap();
        HsmAdapter::open(self.config()).unwrap()
    }

    /// The token of a site of a fleet, which a ceremony has made the keys of.
    pub(super) fn open_as_site(&self) -> HsmAdapter {
        let config = || TokenConfig { fleet_root: false, ..self.config() };
        init(&config(), &self.so_pin).unwrap();
        let keys = DrawnKeys::generate(1);
        import(&config(), &keys.seal(&FLEET, SiteNumber(1), &card(&config()).unwrap()).unwrap()).unwrap();
        HsmAdapter::open(config()).unwrap()
    }

    /// There are no tokens any more.
    pub(super) fn forget(&self) {
        fs::remove_dir_all(self.tokens()).unwrap();
        fs::create_dir(self.tokens()).unwrap();
    }

    pub(super) fn findings(&self) -> Vec<Finding> {
        check(&self.config()).unwrap()
    }

    pub(super) fn tokens(&self) -> PathBuf {
        self.folder.join("tokens")
    }

    pub(super) const fn so_pin(&self) -> &Pin {
        &self.so_pin
    }

    /// What an attacker has who runs code on the host and knows the PIN: a session that may do everything, and nothing
    /// of ours in between.
    pub(super) fn as_attacker<R>(&self, attack: impl FnOnce(&Session) -> R) -> R {
        let module = initialised(&self.module);
        let slot = module
            .get_slots_with_initialized_token()
            .unwrap()
            .into_iter()
            .find(|slot| module.get_token_info(*slot).unwrap().label().trim_end() == LABEL)
            .unwrap();
        let session = module.open_rw_session(slot).unwrap();
        session.login(UserType::User, Some(&self.pin.to_auth_pin())).unwrap();
        let result = attack(&session);
        drop(session);
        module.finalize().unwrap();
        result
    }

    /// Adds a line to SoftHSM's configuration.
    pub(super) fn configure(&self, line: &str) {
        let path = self.folder.join("softhsm2.conf");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, format!("{text}{line}\n")).unwrap();
    }
}

pub(super) fn initialised_module() -> Pkcs11 {
    initialised(Path::new(SOFTHSM_MODULE))
}

fn initialised(module: &Path) -> Pkcs11 {
    let module = Pkcs11::new(module).unwrap();
    module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).unwrap();
    module
}

pub(super) fn find(session: &Session, key: Key) -> ObjectHandle {
    let found = session.find_objects(&key.search()).unwrap();
    assert_eq!(found.len(), 1, "{}", key.label);
    found[0]
}

pub(super) fn destroy(session: &Session, search: &[Attribute]) {
    let found = session.find_objects(search).unwrap();
    assert_eq!(found.len(), 1);
    session.destroy_object(found[0]).unwrap();
}

/// Makes the key anew, with `replaced` in place of the attribute of the same kind.
pub(super) fn remake(session: &Session, key: Key, replaced: Attribute) {
    let mut template = key.template();
    template.retain(|attribute| attribute.attribute_type() != replaced.attribute_type());
    template.push(replaced);
    destroy(session, &key.search());
    if key.purpose.is_pair() {
        destroy(session, &key.public_search());
        session.generate_key_pair(&key.purpose.generation(), &key.public_template(), &template).unwrap();
    } else {
        session.generate_key(&key.purpose.generation(), &template).unwrap();
    }
}
