use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn awkward() -> impl Strategy<Value = String> {
    r#"[ab"\\,:{}é\n]{0,6}"#
}

proptest! {
    #[test]
    fn an_attribute_is_found_as_a_whole_reading_finds_it(
        object in proptest::collection::btree_map(awkward(), awkward(), 0..5), other in awkward(),
    ) {
        let json = serde_json::to_string(&object).unwrap();
        let names: BTreeMap<&String, Option<&String>> =
            object.iter().map(|(name, value)| (name, Some(value))).chain([(&other, object.get(&other))]).collect();
        for (name, value) in names {
            let found = AttributeFinder::new(name).value(&json);
            prop_assert_eq!(found.as_deref(), value.map(String::as_str), "{} in {}", name, json);
        }
    }
}
