use std::fmt::Write as _;

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;
use wk_types::UtcMs;

use super::ais::{Assembler, Bits};
use super::sentence::{BadSentence, Sentence};
use super::*;
use crate::lines::Lines;
use crate::testing::{NOW, RecordingIntake, context, series_text};

mod transports;

/// A line with its checksum behind it.
fn sealed(body: &str) -> String {
    let sum = body.bytes().fold(0_u8, |sum, byte| sum ^ byte);
    format!("${body}*{sum:02X}")
}

fn tagged(tag: &str, sentence: &str) -> String {
    let sum = tag.bytes().fold(0_u8, |sum, byte| sum ^ byte);
    format!("\\{tag}*{sum:02X}\\{sentence}")
}

/// What a line says, one quantity each line.
fn read(line: &str) -> String {
    let sentence = match Sentence::parse(line.as_bytes()) {
        Ok(sentence) => sentence,
        Err(bad) => return bad.to_string(),
    };
    let decoded = match decode(&sentence) {
        Ok(decoded) => decoded,
        Err(not) => return not.to_string(),
    };
    let mut text = String::new();
    for reading in &decoded.readings {
        let labels: String = reading.labels.iter().map(|(name, value)| format!(" {name}={value}")).collect();
        let _ = writeln!(text, "{} {:.5}{labels}", reading.quantity.name(), reading.value);
    }
    if let Some(utc) = decoded.utc {
        let _ = writeln!(text, "at {utc}");
    }
    text.trim_end().to_owned()
}

#[test]
fn published_sentences_are_read() {
    insta::assert_snapshot!(read("$GPRMC,225446,A,4916.45,N,12311.12,W,000.5,054.7,191194,020.3,E*68"), @r"
    vessel_position_latitude_degrees 49.27417
    vessel_position_longitude_degrees -123.18533
    vessel_speed_over_ground_knots 0.50000
    vessel_course_over_ground_degrees 54.70000
    at 1994-11-19T22:54:46.000Z
    ");
    insta::assert_snapshot!(read("$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47"), @r"
    vessel_gnss_fix_quality 1.00000
    vessel_gnss_satellites 8.00000
    vessel_position_latitude_degrees 48.11730
    vessel_position_longitude_degrees 11.51667
    vessel_gnss_hdop 0.90000
    ");
    insta::assert_snapshot!(read("$GPGLL,4916.45,N,12311.12,W,225444,A,*1D"), @r"
    vessel_position_latitude_degrees 49.27417
    vessel_position_longitude_degrees -123.18533
    ");
    insta::assert_snapshot!(read("$GPVTG,054.7,T,034.4,M,005.5,N,010.2,K*48"), @r"
    vessel_course_over_ground_degrees 54.70000
    vessel_speed_over_ground_knots 5.50000
    ");
    insta::assert_snapshot!(read("$GPZDA,201530.00,04,07,2002,00,00*60"), @"at 2002-07-04T20:15:30.000Z");
}

#[test]
fn headings_depth_wind_and_motion_are_read() {
    insta::assert_snapshot!(read(&sealed("HEHDT,360.0,T")), @"vessel_heading_true_degrees 0.00000");
    insta::assert_snapshot!(read(&sealed("HETHS,12.5,A")), @"vessel_heading_true_degrees 12.50000");
    insta::assert_snapshot!(read(&sealed("HCHDG,358.0,1.0,E,3.0,E")), @r"
    vessel_heading_magnetic_degrees 359.00000
    vessel_heading_true_degrees 2.00000
    ");
    insta::assert_snapshot!(read(&sealed("TIROT,-12.3,A")), @"vessel_rate_of_turn_degrees_per_minute -12.30000");
    insta::assert_snapshot!(read(&sealed("SDDBT,32.8,f,10.0,M,5.5,F")), @"vessel_depth_below_transducer_meters 10.00000");
    insta::assert_snapshot!(read(&sealed("SDDPT,10.0,-4.5,100")), @r"
    vessel_depth_below_transducer_meters 10.00000
    vessel_depth_below_keel_meters 5.50000
    ");
    insta::assert_snapshot!(read(&sealed("SDDPT,10.0,2.5")), @r"
    vessel_depth_below_transducer_meters 10.00000
    vessel_depth_below_surface_meters 12.50000
    ");
    insta::assert_snapshot!(read(&sealed("WIMWV,270.0,R,10.0,M,A")), @r"
    vessel_wind_angle_relative_degrees 270.00000
    vessel_wind_speed_relative_knots 19.43844
    ");
    insta::assert_snapshot!(read(&sealed("VWVHW,10.0,T,8.0,M,12.5,N,23.2,K")), @r"
    vessel_heading_true_degrees 10.00000
    vessel_heading_magnetic_degrees 8.00000
    vessel_speed_through_water_knots 12.50000
    ");
    insta::assert_snapshot!(read(&sealed("YXXDR,A,-1.5,D,PITCH,A,3.2,D,ROLL,C,21.0,C,AIR,P,1.013,B,BARO,G,1,,X")), @r"
    vessel_pitch_degrees -1.50000
    vessel_roll_degrees 3.20000
    vessel_transducer_temperature_celsius 21.00000 transducer=AIR
    vessel_transducer_pressure_pascals 101300.00000 transducer=BARO
    ");
}

#[test]
fn what_a_talker_disowns_is_not_read() {
    for (body, expected) in [
        ("GPRMC,225446,V,4916.45,N,12311.12,W,0,0,191194,,", "marked invalid by its talker"),
        ("GPRMC,225446,A,4916.45,N,12311.12,W,0,0,191194,,,S", "simulated or set by hand"),
        ("GPGGA,123519,4807.038,N,01131.000,E,8,08,0.9,545.4,M,46.9,M,,", "simulated or set by hand"),
        ("GPGLL,4916.45,N,12311.12,W,225444,V,N", "marked invalid by its talker"),
        ("GPVTG,054.7,T,034.4,M,005.5,N,010.2,K,N", "marked invalid by its talker"),
        ("TIROT,1.0,V", "marked invalid by its talker"),
        ("HETHS,12.5,S", "simulated or set by hand"),
        ("GPZDA,,,,,,", "marked invalid by its talker"),
        ("GPRMC,225446,A,4960.00,N,12311.12,W,0,0,191194,,", "bad field"),
        ("GPRMC,225446,A,4916.45,X,12311.12,W,0,0,191194,,", "bad field"),
        ("GPRMC,225446,A,nan,N,inf,W,0,0,191194,,", "bad field"),
        ("GPRMC,996146,A,4916.45,N,12311.12,W,0,0,191194,,", "bad field"),
        ("GPVTG,1e3,T,,M,,N,,K", "bad field"),
    ] {
        assert_eq!(read(&sealed(body)), expected, "{body}");
    }
}

#[test]
fn a_receiver_without_a_fix_still_tells_its_satellites() {
    insta::assert_snapshot!(read(&sealed("GPGGA,123519,,,,,0,03,,,M,,M,,")), @r"
    vessel_gnss_fix_quality 0.00000
    vessel_gnss_satellites 3.00000
    ");
}

#[test]
fn broken_frames_say_why() {
    let check =
        |line: &str, expected: BadSentence| assert_eq!(Sentence::parse(line.as_bytes()), Err(expected), "{line}");
    check("GPRMC,1", BadSentence::Frame);
    check("$GPRMC,1", BadSentence::NoChecksum);
    check("$GPRMC,1*G0", BadSentence::NoChecksum);
    check("$GPGLL,4916.46,N,12311.12,W,225444,A,*1D", BadSentence::Checksum);
    check(&sealed("gprmc,1"), BadSentence::Address);
    check(&sealed("GPX,1"), BadSentence::Address);
    check(&sealed(&format!("GPRMC{}", ",".repeat(sentence::FIELDS_MAX + 1))), BadSentence::TooManyFields);
    let proprietary = sealed("PASHR,1");
    assert_eq!(Sentence::parse(proprietary.as_bytes()).unwrap().formatter, "");
}

fn ais_readings(lines: &[&str]) -> Vec<(String, String)> {
    let mut assembler = Assembler::default();
    let mut readings = Vec::new();
    for line in lines {
        let sentence = Sentence::parse(line.as_bytes()).unwrap();
        if let Some(bits) = assembler.push(&sentence, NOW).unwrap() {
            readings.extend(ais::decode(&bits).unwrap());
        }
    }
    let labels = |reading: &crate::vessel::Reading| {
        reading.labels.iter().map(|(name, value)| format!("{name}={value:?} ")).collect::<String>()
    };
    readings
        .iter()
        .map(|one| (one.quantity.name().to_owned(), format!("{:.6} {}", one.value, labels(one)).trim().to_owned()))
        .collect()
}

#[test]
fn published_ais_messages_are_read() {
    insta::assert_debug_snapshot!(ais_readings(&["!AIVDM,1,1,,B,177KQJ5000G?tO`K>RA1wUbN0TKH,0*5C"]), @r#"
    [
        (
            "vessel_ais_navigation_status",
            "5.000000",
        ),
        (
            "vessel_ais_position_latitude_degrees",
            "47.582833",
        ),
        (
            "vessel_ais_position_longitude_degrees",
            "-122.345833",
        ),
    ]
    "#);
    insta::assert_debug_snapshot!(ais_readings(&[
        "!AIVDM,2,1,1,A,55?MbV02;H;s<HtKR20EHE:0@T4@Dn2222222216L961O5Gf0NSQEp6ClRp8,0*1C",
        "!AIVDM,2,2,1,A,88888888880,2*25",
    ]), @r#"
    [
        (
            "vessel_ais_info",
            "1.000000 mmsi=\"351759000\" imo=\"9134270\" call_sign=\"3FOF8\" name=\"EVER DIADEM\" ship_type=\"70\" destination=\"NEW YORK\"",
        ),
        (
            "vessel_draught_meters",
            "12.200000",
        ),
    ]
    "#);
}

#[test]
fn parts_of_ais_messages_that_do_not_follow_each_other_are_refused() {
    let part = |total: usize, part: usize, id: &str| sealed(&format!("AIVDO,{total},{part},{id},A,5555,0"));
    let mut assembler = Assembler::default();
    let mut push = |line: &str, at: UtcMs| assembler.push(&Sentence::parse(line.as_bytes()).unwrap(), at).err();
    assert_eq!(push(&part(2, 2, "1"), NOW), Some(ais::BadAis::Part));
    assert_eq!(push(&part(3, 1, "1"), NOW), None);
    assert_eq!(push(&part(3, 3, "1"), NOW), Some(ais::BadAis::Part));
    assert_eq!(push(&part(2, 1, "1"), NOW), None);
    assert_eq!(push(&part(2, 2, "1"), UtcMs(NOW.0 + 60_000)), Some(ais::BadAis::Part));
    assert_eq!(push(&part(10, 1, "1"), NOW), Some(ais::BadAis::Sentence));
    assert_eq!(push(&part(2, 3, "1"), NOW), Some(ais::BadAis::Sentence));
}

#[test]
fn tag_blocks_name_source_and_line() {
    let sentence = sealed("HEHDT,1.0,T");
    let line = tagged("s:GP0001,n:42,c:1700000000", &sentence);
    let (tag, rest) = tag::split(line.as_bytes()).unwrap();
    assert_eq!((tag.source, tag.line, rest), (Some("GP0001"), Some(42), sentence.as_bytes()));
    assert_eq!(tag::split(b"\\s:GP0001*00\\$X"), Err(BadSentence::Checksum));
    assert_eq!(tag::split(b"\\s:GP0001"), Err(BadSentence::Frame));
    assert_eq!(tag::datagram(b"RaUdP\0x"), tag::Datagram::File);
    assert_eq!(tag::datagram(b"UdPbC\0x"), tag::Datagram::Lines(b"x"));
    assert_eq!(tag::datagram(b"$x"), tag::Datagram::Lines(b"$x"));
}

#[test]
fn lines_are_gathered_from_any_pieces_and_long_ones_left_out() {
    let text = format!("one\r\n\r\n{}\r\ntwo\n{}", "x".repeat(LINE_BYTES_MAX + 1), "rest");
    for piece in [1, 2, 7, text.len()] {
        let (mut lines, mut taken) = (Lines::new(LINE_BYTES_MAX), Vec::new());
        for bytes in text.as_bytes().chunks(piece) {
            lines.feed(bytes, |line| taken.push(String::from_utf8_lossy(line).into_owned()));
        }
        assert_eq!((taken.join("|").as_str(), lines.too_long()), ("one|two", 1), "{piece}");
    }
}

struct Fed {
    receiver: Receiver,
    context: SourceContextShort,
    intake: std::sync::Arc<RecordingIntake>,
}

type SourceContextShort = crate::contract::SourceContext;

fn fed(talkers: &[&str]) -> Fed {
    let (context, intake) = context("nmea-bridge");
    let mut settings = NmeaSettings::new("bridge");
    settings.talkers = talkers.iter().map(|one| (*one).to_owned()).collect();
    let receiver = Receiver::start(&settings, context.clone(), &CancellationToken::new());
    Fed { receiver, context, intake }
}

#[tokio::test]
async fn the_preferred_talker_wins_and_all_are_counted() {
    let mut fed = fed(&["GN", "GP"]);
    for (talker, speed) in [("GP", "5.0"), ("GL", "4.0"), ("GN", "6.0"), ("GP", "7.0")] {
        fed.receiver.line(sealed(&format!("{talker}VTG,,T,,M,{speed},N,,K")).as_bytes());
    }
    fed.receiver.finish().await;
    insta::assert_snapshot!(series_text(&fed.intake.series()), @r#"
    nmea_sentences_total{instance="bridge", job="nmea", sentence="VTG", talker="GL"} 1@0
    nmea_sentences_total{instance="bridge", job="nmea", sentence="VTG", talker="GN"} 1@0
    nmea_sentences_total{instance="bridge", job="nmea", sentence="VTG", talker="GP"} 2@0
    up{instance="bridge", job="nmea"} 1@0
    vessel_speed_over_ground_knots{instance="bridge", job="nmea"} 6@0
    "#);
}

#[tokio::test]
async fn gaps_in_the_line_numbers_of_a_source_are_counted() {
    let mut fed = fed(&[]);
    let sentence = sealed("HEHDT,1.0,T");
    for number in [1, 2, 5, 999, 1] {
        fed.receiver.line(tagged(&format!("s:HE0001,n:{number}"), &sentence).as_bytes());
    }
    fed.receiver.finish().await;
    let text = series_text(&fed.intake.series());
    assert!(
        text.contains(r#"nmea_lines_missing_total{instance="bridge", job="nmea", talker="HE0001"} 995@0"#),
        "{text}"
    );
}

#[tokio::test]
async fn the_offset_of_the_receivers_clock_and_refusals_are_told() {
    let mut fed = fed(&[]);
    // The node's clock stands at 2026-06-01T12:00:00Z.
    fed.receiver.line(sealed("GPZDA,120001.50,01,06,2026,00,00").as_bytes());
    fed.receiver.line(b"noise");
    fed.receiver.line(sealed("GPRMC,,V,,,,,,,,,,N").as_bytes());
    fed.receiver.too_long(2);
    fed.receiver.finish().await;
    let text = series_text(&fed.intake.series());
    assert!(text.contains(r#"vessel_gnss_time_offset_seconds{instance="bridge", job="nmea"} 1.5@0"#), "{text}");
    let stats = fed.context.stats.snapshot();
    assert_eq!(stats.rejected["not a sentence"].count, 1);
    assert_eq!(stats.rejected[LINE_TOO_LONG].count, 2);
    assert_eq!(stats.flagged["marked invalid by its talker"].count, 1);
}

proptest! {
    #[test]
    fn hostile_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok((_, rest)) = tag::split(&bytes) {
            let _ = Sentence::parse(rest);
        }
        let mut lines = Lines::new(LINE_BYTES_MAX);
        lines.feed(&bytes, |line| { let _ = Sentence::parse(line); });
    }

    #[test]
    fn hostile_fields_never_panic(
        formatter in prop::sample::select(vec!["RMC", "GGA", "GLL", "VTG", "HDT", "HDG", "THS", "ROT", "ZDA", "DBT", "DPT", "MWV", "VHW", "XDR"]),
        fields in proptest::collection::vec("[-+0-9A-Za-z.é ]{0,12}|[0-9]{4}\\.[0-9]{2}|[NSEWATM]", 0..20),
    ) {
        let line = sealed(&format!("GP{formatter},{}", fields.join(",")));
        if let Ok(sentence) = Sentence::parse(line.as_bytes())
            && let Ok(decoded) = decode(&sentence)
        {
            for reading in decoded.readings {
                prop_assert!(reading.value.is_finite());
            }
        }
    }

    #[test]
    fn hostile_ais_never_panics(parts in proptest::collection::vec((1_usize..12, 0_usize..12, "[0-9]?", "[ -~]{0,80}", 0_usize..8), 0..8)) {
        let mut assembler = Assembler::default();
        for (total, part, id, payload, fill) in parts {
            let payload = payload.replace([',', '*'], "w");
            let line = sealed(&format!("AIVDO,{total},{part},{id},A,{payload},{fill}"));
            if let Ok(sentence) = Sentence::parse(line.as_bytes())
                && let Ok(Some(bits)) = assembler.push(&sentence, NOW)
            {
                let _ = ais::decode(&bits);
            }
        }
    }

    #[test]
    fn positions_survive_the_way_through_a_sentence(latitude in -90.0..90.0_f64, longitude in -180.0..180.0_f64) {
        let minutes = |angle: f64, width: usize| {
            let tenths = (angle.abs() * 60.0 * 1e5).round() as u64;
            let (degrees, rest) = (tenths / 6_000_000, tenths % 6_000_000);
            format!("{degrees:0width$}{:02}.{:05}", rest / 100_000, rest % 100_000)
        };
        let (ns, ew) = (if latitude < 0.0 { 'S' } else { 'N' }, if longitude < 0.0 { 'W' } else { 'E' });
        let line = sealed(&format!("GPGLL,{},{ns},{},{ew},120000,A,A", minutes(latitude, 2), minutes(longitude, 3)));
        let decoded = decode(&Sentence::parse(line.as_bytes()).unwrap()).unwrap();
        prop_assert!((decoded.readings[0].value - latitude).abs() < 1e-6);
        prop_assert!((decoded.readings[1].value - longitude).abs() < 1e-6);
    }
}

#[test]
fn a_message_cut_short_is_no_position() {
    let sentence = sealed("AIVDO,1,1,,,1000,0");
    let bits: Bits = Assembler::default().push(&Sentence::parse(sentence.as_bytes()).unwrap(), NOW).unwrap().unwrap();
    assert_eq!(ais::decode(&bits), Err(ais::BadAis::Short));
}
