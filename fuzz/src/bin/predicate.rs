//! Text to predicates: any may be refused, at a character of it; none may panic, and what is a predicate takes as many rows
//! as the table has, or names what does not fit.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use modelberth::ErrorKind;
use modelberth::table::Columns;
use modelberth::validate::Predicate;

fn table() -> &'static Columns {
    static TABLE: OnceLock<Columns> = OnceLock::new();
    TABLE.get_or_init(|| {
        let csv = "country,age,plan,income\nFR,20,free,1.5\nDE,,pro,\n,31,true,-2e3\nFR,25,trial,0\n";
        Columns::from_bytes(csv.as_bytes(), None).expect("this table can be read")
    })
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let predicate = match Predicate::parse(text) {
        Ok(predicate) => predicate,
        Err(e) => {
            assert!(
                matches!(e.kind(), ErrorKind::Malformed | ErrorKind::InvalidValue | ErrorKind::LimitExceeded),
                "{e}"
            );
            assert!(e.message().contains("at character"), "{e}");
            return;
        }
    };
    assert_eq!(predicate.text(), text);
    assert!(!predicate.columns().is_empty());
    match predicate.rows(table()) {
        Ok(mask) => assert!(mask.rows() == table().rows() && mask.count() <= mask.rows()),
        Err(e) => assert!(matches!(e.kind(), ErrorKind::NotFound | ErrorKind::WrongType), "{e}"),
    }
});
