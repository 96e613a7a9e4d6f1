use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use lettre::address::Envelope;
use tempfile::TempDir;

use super::*;

fn ready() -> Ready {
    let to = vec!["eto@ship.example".parse().unwrap()];
    let envelope = Envelope::new(Some("watch@ship.example".parse().unwrap()), to).unwrap();
    Ready { envelope, bytes: b"Subject: x\r\n\r\nhello\r\n".to_vec() }
}

/// A command in a folder of its own, run through the shell so that no other test's open file can block it.
fn command(script: &str) -> (TempDir, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sendmail.sh");
    fs::write(&path, format!("#!/bin/sh\ncd \"$(dirname \"$0\")\"\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let argv = vec!["/bin/sh".to_owned(), path.display().to_string()];
    (dir, argv)
}

#[tokio::test]
async fn the_command_gets_the_mail_and_the_recipient() {
    let (dir, argv) = command("cat > mail; echo \"$@\" > arguments; echo queued as 17");
    let Outcome::Delivered(receipt) = send(&argv, &ready()).await else { panic!("not delivered") };
    assert_eq!(receipt, "handed to /bin/sh: queued as 17");
    assert_eq!(fs::read(dir.path().join("mail")).unwrap(), ready().bytes);
    assert_eq!(fs::read_to_string(dir.path().join("arguments")).unwrap(), "-- eto@ship.example\n");
}

#[tokio::test]
async fn with_t_the_command_reads_the_recipient_from_the_mail() {
    let (dir, mut argv) = command("cat > /dev/null; echo \"$@\" > arguments");
    argv.push("-t".to_owned());
    assert!(matches!(send(&argv, &ready()).await, Outcome::Delivered(_)));
    assert_eq!(fs::read_to_string(dir.path().join("arguments")).unwrap(), "-t\n");
}

#[tokio::test]
async fn exit_codes_decide_whether_to_try_again_and_stderr_is_kept() {
    for (code, again) in [(75, true), (69, true), (78, true), (1, true), (65, false), (67, false)] {
        let (_dir, argv) = command(&format!("cat > /dev/null; echo no route >&2; exit {code}"));
        let outcome = send(&argv, &ready()).await;
        let said = format!("/bin/sh, exit status: {code}: no route");
        let expected = if again { Outcome::Temporary(said) } else { Outcome::Permanent(said) };
        assert_eq!(outcome, expected);
    }
}

#[tokio::test]
async fn a_command_that_ends_without_reading_or_floods_its_output_does_no_harm() {
    let (_dir, argv) = command("head -c 200000 /dev/zero | tr '\\0' x >&2; exit 75");
    let big = Ready { bytes: vec![b'x'; 300_000], ..ready() };
    let Outcome::Temporary(said) = send(&argv, &big).await else { panic!("not temporary") };
    assert!(said.len() < OUTPUT_BYTES_KEPT + 100);
}

#[tokio::test]
async fn a_command_that_hangs_is_ended() {
    let (_dir, argv) = command("exec tail -f /dev/null");
    let Outcome::Temporary(said) = send_within(&argv, &ready(), Duration::from_millis(50)).await else {
        panic!("not temporary")
    };
    assert!(said.contains("was ended"), "{said}");
}

#[tokio::test]
async fn a_missing_command_is_said_and_tried_again() {
    let outcome = send(&["/nowhere/sendmail".to_owned()], &ready()).await;
    let Outcome::Unreachable(said) = outcome else { panic!("{outcome:?}") };
    assert!(said.starts_with("could not start /nowhere/sendmail"), "{said}");
}
