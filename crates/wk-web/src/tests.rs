use super::*;

fn text(asset: &Asset) -> &str {
    std::str::from_utf8(&asset.bytes).unwrap()
}

#[test]
fn every_page_of_the_console_gets_the_same_document() {
    let root = asset("/").unwrap();
    assert_eq!(root.content_type, "text/html; charset=utf-8");
    assert!(!root.immutable);
    for path in
        ["", "/index.html", "/login", "/setup", "/pipeline", "/incidents/inc-00a1b2c3d4e5f601", "/incidents/a.b"]
    {
        assert_eq!(asset(path), Some(root.clone()), "{path}");
    }
}

#[test]
fn a_file_that_is_not_there_is_no_page() {
    for path in ["/assets/gone-abc123.js", "/assets/gone", "/gone.css", "/nested/gone.woff2", "/api/v1/nothing", "/api"]
    {
        assert_eq!(asset(path), None, "{path}");
    }
}

#[test]
fn nothing_outside_the_built_console_can_be_reached() {
    for path in [
        "/../package.json",
        "/../../Cargo.toml",
        "/assets/../../package.json",
        "//etc/passwd.txt",
        "/incidents/../../../Cargo.toml",
    ] {
        assert_eq!(asset(path), None, "{path}");
    }
}

#[test]
fn a_build_without_the_console_says_how_to_get_it() {
    let index = asset("/").unwrap();
    assert_eq!(text(&index).contains("./x build"), !is_built());
    assert!(std::str::from_utf8(UNBUILT).unwrap().contains("./x build"));
}

#[test]
fn names_with_a_hash_may_be_kept_for_good_and_all_others_may_not() {
    for path in Dist::iter() {
        let found = asset(&path).unwrap();
        assert_eq!(found.immutable, path.starts_with("assets/"), "{path}");
        assert!(found.etag.starts_with('"') && found.etag.ends_with('"') && found.etag.len() == 34, "{}", found.etag);
        assert_ne!(found.content_type, "application/octet-stream", "{path} has a kind that is not known");
    }
}

#[test]
fn what_the_document_asks_for_is_there_and_nothing_stands_inline() {
    let index = asset("/").unwrap();
    let document = text(&index);
    for attribute in ["src=\"", "href=\""] {
        for part in document.split(attribute).skip(1) {
            let path = part.split('"').next().unwrap();
            assert!(path.starts_with('/') && asset(path).is_some(), "{path} is missing");
        }
    }
    assert!(!document.contains("<style"), "the policy allows no inline style");
    for script in document.split("<script").skip(1) {
        assert!(script.split('>').next().unwrap().contains("src="), "the policy allows no inline script");
    }
}

#[test]
fn equal_content_has_equal_tags_and_other_content_another() {
    assert_eq!(etag(&[0xab; 32]), format!("\"{}\"", "ab".repeat(16)));
    assert_ne!(etag(&[1; 32]), etag(&[2; 32]));
}

#[test]
fn kinds_are_told_by_the_extension() {
    let told: Vec<&str> = ["a.js", "a.css", "b/a.svg", "a.woff2", "a.tar", "a"].into_iter().map(content_type).collect();
    assert_eq!(
        told,
        [
            "text/javascript; charset=utf-8",
            "text/css; charset=utf-8",
            "image/svg+xml",
            "font/woff2",
            "application/octet-stream",
            "application/octet-stream"
        ]
    );
}
