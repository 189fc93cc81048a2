use super::*;
use crate::ErrorKind;
use crate::table::Columns;

fn table() -> Columns {
    let csv = "country,age,income,vip,a b\nFR,20,1.5,true,1\nFR,30,,false,2\nDE,20,2.5,True,3\n,40,9,false,4\n";
    Columns::from_bytes(csv.as_bytes(), None).unwrap()
}

fn rows(text: &str) -> Vec<usize> {
    let mask = Predicate::parse(text).unwrap().rows(&table()).unwrap();
    (0..4).filter(|&r| mask.get(r)).collect()
}

#[test]
fn predicates_take_the_rows_they_say() {
    for (text, expected) in [
        ("country == \"FR\" and age < 25", vec![0]),
        ("country != 'FR'", vec![2, 3]),
        ("country in ['FR', 'DE']", vec![0, 1, 2]),
        ("country not in ('FR')", vec![2, 3]),
        ("not country == 'FR' and age >= 40 or age == 30", vec![1, 3]),
        ("not (country == 'FR' or age > 30)", vec![2]),
        ("income is missing", vec![1]),
        ("income is not missing and income <= 2.5e0", vec![0, 2]),
        ("country is missing", vec![3]),
        ("vip == true", vec![0, 2]),
        ("vip == 'false'", vec![1, 3]),
        ("quantile(age, 2) == 1", vec![0, 2]),
        ("quantile(income, 3) >= 2", vec![2, 3]),
        ("`a b` > -1 and `a b` <= 2", vec![0, 1]),
        ("age in [20, 40.0]", vec![0, 2, 3]),
    ] {
        assert_eq!(rows(text), expected, "{text}");
    }
    assert_eq!(Predicate::parse("b < 1 and a == 2 or b > 1").unwrap().columns(), ["a", "b"]);
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    for (text, message) in [
        ("country = 'FR'", "`==`"),
        ("age <", "at character 6"),
        ("age < 25 and", "a column was expected"),
        ("(age < 25", "`)` was expected"),
        ("age < 25 country == 'x'", "at character 10"),
        ("country == 'FR", "not closed"),
        ("age ~ 3", "no meaning"),
        ("age in []", "a number"),
        ("", "a column"),
        ("é == 1 and ü", "at character 13"),
        ("quantile(age, 0) == 1", "bins"),
    ] {
        let error = Predicate::parse(text).unwrap_err().to_string();
        assert!(error.contains(message), "{text}: {error}");
    }
    assert!(Predicate::parse(&"(".repeat(100_000)).is_err());
    assert!(Predicate::parse(&"not ".repeat(100_000)).is_err());
    let on_table = |text: &str| Predicate::parse(text).unwrap().rows(&table()).unwrap_err();
    assert_eq!(on_table("town == 'x'").kind(), ErrorKind::NotFound);
    let error = on_table("age < 5 and country < 5");
    assert_eq!((error.kind(), error.column_name()), (ErrorKind::WrongType, Some("country")));
    assert!(error.to_string().contains("at character 13"), "{error}");
    assert_eq!(on_table("age == 'x'").kind(), ErrorKind::WrongType);
}
