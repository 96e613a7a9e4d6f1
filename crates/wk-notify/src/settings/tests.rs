use super::*;

fn smtp(url: &str) -> SmtpSettings {
    url.parse().unwrap()
}

fn settings(transport: Transport) -> MailSettings {
    MailSettings {
        from: "Watchkeeper <watch@ship.example>".to_owned(),
        to: vec!["eto@ship.example".to_owned()],
        severity_min: Severity::Minor,
        transport,
        console_url: "http://127.0.0.1:8484".to_owned(),
    }
}

#[test]
fn a_mail_server_is_read_from_its_url() {
    let read = |url| {
        let smtp = smtp(url);
        (smtp.host, smtp.port, smtp.security)
    };
    assert_eq!(read("smtp://relay"), ("relay".to_owned(), 25, Security::None));
    assert_eq!(read("smtp://127.0.0.1:2525/"), ("127.0.0.1".to_owned(), 2525, Security::None));
    assert_eq!(read("smtps://mail.example"), ("mail.example".to_owned(), 465, Security::Tls));
    assert_eq!(read("smtp+starttls://mail.example"), ("mail.example".to_owned(), 587, Security::StartTls));
    assert_eq!(read("smtp://[::1]:2525"), ("::1".to_owned(), 2525, Security::None));
    assert_eq!(read("smtp://[::1]"), ("::1".to_owned(), 25, Security::None));
}

#[test]
fn what_is_no_mail_server_is_refused() {
    for url in
        ["relay:25", "http://relay", "smtp://", "smtp://relay:port", "smtp://a/b", "smtp://[::1", "smtp://[::1]x"]
    {
        assert_eq!(url.parse::<SmtpSettings>(), Err(SettingsError::Url { url: url.to_owned() }), "{url}");
    }
    assert_eq!("smtp://me:secret@relay".parse::<SmtpSettings>(), Err(SettingsError::UrlSecret));
}

#[test]
fn settings_that_cannot_work_are_named() {
    let good = settings(Transport::Smtp(smtp("smtp://127.0.0.1:2525")));
    assert_eq!(good.validate(), Ok(()));
    let to = |to: &[&str]| MailSettings { to: to.iter().map(ToString::to_string).collect(), ..good.clone() };
    assert_eq!(to(&[]).validate(), Err(SettingsError::NoRecipient));
    assert_eq!(to(&["nobody"]).validate(), Err(SettingsError::Address { address: "nobody".to_owned() }));
    let nothing = settings(Transport::Sendmail { argv: Vec::new() });
    assert_eq!(nothing.validate(), Err(SettingsError::NoCommand));
    assert_eq!(settings(Transport::Sendmail { argv: vec!["msmtp".to_owned(), "-t".to_owned()] }).validate(), Ok(()));
}

#[test]
fn a_password_never_travels_in_the_clear() {
    let signed_in = |url| {
        let credentials = SmtpSettings { user: Some("me".to_owned()), password_file: Some("pw".into()), ..smtp(url) };
        settings(Transport::Smtp(credentials)).validate()
    };
    assert_eq!(signed_in("smtp://relay"), Err(SettingsError::ClearPassword { host: "relay".to_owned() }));
    assert_eq!(signed_in("smtp://localhost"), Ok(()));
    assert_eq!(signed_in("smtps://relay"), Ok(()));
    let half = SmtpSettings { user: Some("me".to_owned()), ..smtp("smtps://relay") };
    assert_eq!(settings(Transport::Smtp(half)).validate(), Err(SettingsError::HalfCredentials));
}
