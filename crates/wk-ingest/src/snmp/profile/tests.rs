use super::*;

#[test]
fn the_shipped_profiles_are_read_and_each_name_is_its_own() {
    let profiles = Profiles::load(None).unwrap();
    assert_eq!(profiles.0.len(), SHIPPED.len());
    for (name, profile) in SHIPPED.iter().map(|(name, _)| (name, &profiles.0[*name])) {
        assert_eq!(*name, profile.name);
    }
}

#[test]
fn metric_names_follow_their_kind() {
    let profiles = Profiles::load(None).unwrap();
    let columns = profiles.0.values().flat_map(|profile| profile.tables.iter().flat_map(|table| &table.columns));
    let scalars = profiles.0.values().flat_map(|profile| &profile.scalars).map(|scalar| &scalar.metric);
    for metric in columns.map(|column| &column.metric).chain(scalars) {
        assert_eq!(metric.metric.ends_with("_total"), metric.kind == Kind::Counter, "{}", metric.metric);
        assert!(metric.metric.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{}", metric.metric);
        assert!(metric.help.ends_with('.'), "{}", metric.metric);
    }
}

#[test]
fn profiles_fit_by_the_beginning_of_the_object_id() {
    let profiles = Profiles::load(None).unwrap();
    let names = |oid: &str| -> Vec<String> {
        profiles.fitting(Oid::parse(oid).ok().as_ref()).iter().map(|profile| profile.name.clone()).collect()
    };
    assert!(names("1.3.6.1.4.1.9.1.1208").contains(&"cisco".to_owned()));
    assert!(!names("1.3.6.1.4.1.99.1").contains(&"cisco".to_owned()));
    assert!(names("1.3.6.1.4.1.318.1.3.27").contains(&"ups".to_owned()));
    assert_eq!(profiles.fitting(None).len(), 5);
}

#[test]
fn a_folder_adds_and_replaces_profiles() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("mine.toml", "format = 1\nname = \"mine\"\n");
    write("cisco.toml", "format = 1\nname = \"cisco\"\nobject_ids = [\"1.3.6.1.4.1.77\"]\n");
    write("notes.txt", "no profile");
    let profiles = Profiles::load(Some(folder.path())).unwrap();
    assert_eq!(profiles.0.len(), SHIPPED.len() + 1);
    assert!(profiles.named(&["mine".to_owned(), "cisco".to_owned()]).unwrap()[1].tables.is_empty());
    let unknown = profiles.named(&["theirs".to_owned()]).unwrap_err().to_string();
    assert!(unknown.starts_with("there is no profile \"theirs\"; there are: cisco, "), "{unknown}");
}

#[test]
fn what_is_no_profile_is_refused_with_its_place() {
    let refused = |text: &str| parse("mine.toml", text).unwrap_err().to_string();
    assert!(refused("format = 2\nname = \"x\"\n").contains("it has format 2, this version reads 1"));
    let scalar =
        "format = 1\nname = \"x\"\n[[scalar]]\noid = \"1.3.6.x\"\nmetric = \"m\"\nkind = \"gauge\"\nhelp = \"h\"\n";
    assert!(refused(scalar).contains("is no object identifier"), "{}", refused(scalar));
    let unknown = scalar.replace("1.3.6.x", "1.3.6.1").replace("help", "hlep");
    assert!(refused(&unknown).contains("help") || refused(&unknown).contains("hlep"), "{}", refused(&unknown));
    let table = "format = 1\nname = \"x\"\n[[table]]\nindex = []\ncolumn = []\n";
    assert!(refused(table).contains("a table needs an index and a column"));
}
