//! What each sentence says (IEC 61162-1, clause 8.3, whose field numbers are used here).

use jiff::civil::DateTime;
use wk_types::UtcMs;

use super::sentence::Sentence;
use crate::vessel::{Quantity, Reading, full_circle};

/// What a sentence said.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Decoded {
    /// The quantities it read.
    pub readings: Vec<Reading>,
    /// Date and time of its receiver, where it has both.
    pub utc: Option<UtcMs>,
}

/// Why nothing was read from a sentence; the text is the reason it is counted under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotRead {
    /// A field has another form than the standard says.
    #[error("bad field")]
    Field,
    /// The talker itself says that its values do not hold.
    #[error("marked invalid by its talker")]
    Invalid,
    /// The talker says that its values are simulated or set by hand; they are no observation.
    #[error("simulated or set by hand")]
    Simulated,
}

type Result<T> = std::result::Result<T, NotRead>;

/// Tells whether sentences of this formatter are read.
#[must_use]
pub fn is_read(formatter: &str) -> bool {
    reader(formatter).is_some()
}

/// Reads a sentence; one that is of no interest gives nothing.
///
/// # Errors
/// A field that cannot be read, or values that its talker disowns.
pub fn decode(sentence: &Sentence<'_>) -> Result<Decoded> {
    let mut decoded = Decoded::default();
    if let Some(read) = reader(sentence.formatter) {
        read(&Fields(sentence), &mut decoded)?;
    }
    Ok(decoded)
}

type Reader = fn(&Fields<'_>, &mut Decoded) -> Result<()>;

fn reader(formatter: &str) -> Option<Reader> {
    Some(match formatter {
        "RMC" => rmc,
        "GGA" => gga,
        "GLL" => gll,
        "VTG" => vtg,
        "HDT" => hdt,
        "HDG" => hdg,
        "THS" => ths,
        "ROT" => rot,
        "ZDA" => zda,
        "DBT" => dbt,
        "DPT" => dpt,
        "MWV" => mwv,
        "VHW" => vhw,
        "XDR" => xdr,
        _ => return None,
    })
}

/// The fields of a sentence, read by their place.
struct Fields<'a>(&'a Sentence<'a>);

impl<'a> Fields<'a> {
    fn text(&self, place: usize) -> &'a str {
        self.0.field(place)
    }

    fn number(&self, place: usize) -> Result<Option<f64>> {
        number(self.text(place))
    }

    /// A number that stands before the letter of its unit or direction.
    fn with_unit(&self, place: usize, unit: &str) -> Result<Option<f64>> {
        let value = self.number(place)?;
        Ok(value.filter(|_| self.text(place + 1) == unit))
    }

    /// Degrees and minutes (`ddmm.mmmm`) with the letter of the hemisphere behind them.
    fn angle(&self, place: usize, positive: &str, negative: &str) -> Result<Option<f64>> {
        let Some(value) = self.number(place)? else { return Ok(None) };
        let degrees = (value / 100.0).trunc();
        let minutes = value - degrees * 100.0;
        if value < 0.0 || minutes >= 60.0 {
            return Err(NotRead::Field);
        }
        let angle = degrees + minutes / 60.0;
        match self.text(place + 1) {
            letter if letter == positive => Ok(Some(angle)),
            letter if letter == negative => Ok(Some(-angle)),
            _ => Err(NotRead::Field),
        }
    }

    fn position(&self, place: usize, decoded: &mut Decoded) -> Result<()> {
        let (latitude, longitude) = (self.angle(place, "N", "S")?, self.angle(place + 2, "E", "W")?);
        // Half a position is none.
        if let (Some(latitude), Some(longitude)) = (latitude, longitude) {
            decoded.push(Quantity::Latitude, Some(latitude));
            decoded.push(Quantity::Longitude, Some(longitude));
        }
        Ok(())
    }

    /// Refuses what the letter of the positioning mode disowns; older talkers send none.
    fn mode(&self, place: usize) -> Result<()> {
        match self.text(place) {
            "N" => Err(NotRead::Invalid),
            "S" | "M" => Err(NotRead::Simulated),
            _ => Ok(()),
        }
    }

    fn status(&self, place: usize) -> Result<()> {
        if self.text(place) == "A" { Ok(()) } else { Err(NotRead::Invalid) }
    }
}

impl Decoded {
    fn push(&mut self, quantity: Quantity, value: Option<f64>) {
        self.readings.extend(value.map(|value| Reading::new(quantity, value)));
    }

    fn push_angle(&mut self, quantity: Quantity, value: Option<f64>) {
        self.push(quantity, value.map(full_circle));
    }
}

/// A number in plain digits, `None` where the field is empty.
pub(super) fn number(text: &str) -> Result<Option<f64>> {
    if text.is_empty() {
        return Ok(None);
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let is_plain = digits.len() <= 20 && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let value = is_plain.then(|| text.parse::<f64>().ok()).flatten().ok_or(NotRead::Field)?;
    Ok(Some(value))
}

fn rmc(fields: &Fields<'_>, decoded: &mut Decoded) -> Result<()> {
    fields.mode(12)?;
    fields.status(2)?;
    fields.position(3, decoded)?;
    decoded.push(Quantity::SpeedOverGround, fields.number(7)?);
    decoded.push_angle(Quantity::CourseOverGround, fields.number(8)?);
    let date = fields.text(9);
    if date.len() == 6 {
        // The year has two digits, and no receiver that still works was made before 1990.
        let year = digits(&date[4..])?;
        let year = if year < 90 { 2_000 + year } else { 1_900 + year };
        decoded.utc = Some(utc([year, digits(&date[2..4])?, digits(&date[..2])?], fields.text(1))?);
    }
    Ok(())
}

fn gga(fields: &Fields<'_>, decoded: &mut Decoded) -> Result<()> {
    let quality = fields.number(6)?.ok_or(NotRead::Field)?;
    if quality == 7.0 || quality == 8.0 {
        return Err(NotRead::Simulated);
    }
    decoded.push(Quantity::GnssFixQuality, Some(quality));
    decoded.push(Quantity::GnssSatellites, fields.number(7)?);
    if quality > 0.0 {
        fields.position(2, decoded)?;
        decoded.push(Quantity::GnssHdop, fields.number(8)?);
    }
    Ok(())
}

fn gll(fields: &Fields<'_>, decoded: &mut Decoded) -> Result<()> {
    fields.mode(7)?;
    fields.status(6)?;
    fields.position(1, decoded)
}

fn vtg(fields: &Fields<'_>, decoded: &mut Decoded) -> Result<()> {
    fields.mode(9)?;
    decoded.push_angle(Quantity::CourseOverGround, fields.with_unit(1, "T")?);
    decoded.push(Quantity::SpeedOverGround, fields.with_unit(5, "N")?);
    Ok(())
}

fn hdt(fields: &Fields<'_>, decoded: &mut Decoded) -> Result<()> {
    decoded.push_angle(Quantity::HeadingTrue, fields.with_unit(1, "T")?);
    Ok(())
}

fn ths(fields: &Fields<'_>, decoded: &mut Decoded) -> Result<()> {
    match fields.text(2) {
        "S" | "M" => return Err(NotRead::Simulated),
        "V" => return Err(NotRead::Invalid),
        _ => {}
    }
    decoded.push_angle(Quantity::HeadingTrue, fields.number(1)?);
    Ok(())
}

fn hdg(fields: &Fields<'_>, decoded: &mut Decoded) -> Result<()> {
    let Some(sensor) = fields.number(1)? else { return Ok(()) };
    let east = |place| -> Result<Option<f64>> {
        let Some(value) = fields.number(place)? else { return Ok(None) };
        match fields.text(place + 1) {
            "E" => Ok(Some(value)),
            "W" => Ok(Some(-value)),
            _ => Err(NotRead::Field),
        }
    };
    let magnetic = sensor + east(2)?.unwrap_or(0.0);
    decoded.push_angle(Quantity::HeadingMagnetic, Some(magnetic));
    decoded.push_angle(Quantity::HeadingTrue, east(4)?.map(|variation| magnetic + variation));
    Ok(())
}

fn rot(fields: &Fields<'_>, decoded: &mut Decoded) -> Result<()> {
    fields.status(2)?;
    decoded.push(Quantity::RateOfTurn, fields.number(1)?);
    Ok(())
}

fn zda(fields: &Fields<'_>, decoded: &mut Decoded) -> Result<()> {
    if [1, 2, 3, 4].iter().any(|place| fields.text(*place).is_empty()) {
        return Err(NotRead::Invalid);
    }
    let date = [digits(fields.text(4))?, digits(fields.text(3))?, digits(fields.text(2))?];
    decoded.utc = Some(utc(date, fields.text(1))?);
    Ok(())
}

fn dbt(fields: &Fields<'_>, decoded: &mut Decoded) -> Result<()> {
    decoded.push(Quantity::DepthBelowTransducer, fields.with_unit(3, "M")?);
    Ok(())
}

fn dpt(fields: &Fields<'_>, decoded: &mut Decoded) -> Result<()> {
    let Some(depth) = fields.number(1)? else { return Err(NotRead::Invalid) };
    decoded.push(Quantity::DepthBelowTransducer, Some(depth));
    if let Some(offset) = fields.number(2)? {
        // A positive offset reaches from the transducer up to the waterline, a negative one down to the keel.
        let below = if offset < 0.0 { Quantity::DepthBelowKeel } else { Quantity::DepthBelowSurface };
        decoded.push(below, (offset != 0.0).then_some(depth + offset));
    }
    Ok(())
}

fn mwv(fields: &Fields<'_>, decoded: &mut Decoded) -> Result<()> {
    fields.status(5)?;
    let (angle, speed) = match fields.text(2) {
        "R" => (Quantity::WindAngleRelative, Quantity::WindSpeedRelative),
        "T" => (Quantity::WindAngleTrue, Quantity::WindSpeedTrue),
        _ => return Err(NotRead::Field),
    };
    let knots = match fields.text(4) {
        "N" => 1.0,
        "K" => 1_000.0 / 1_852.0,
        "M" => crate::vessel::KNOTS_PER_METER_PER_SECOND,
        "S" => 1_609.344 / 1_852.0,
        _ => return Err(NotRead::Field),
    };
    decoded.push_angle(angle, fields.number(1)?);
    decoded.push(speed, fields.number(3)?.map(|value| value * knots));
    Ok(())
}

fn vhw(fields: &Fields<'_>, decoded: &mut Decoded) -> Result<()> {
    decoded.push_angle(Quantity::HeadingTrue, fields.with_unit(1, "T")?);
    decoded.push_angle(Quantity::HeadingMagnetic, fields.with_unit(3, "M")?);
    decoded.push(Quantity::SpeedThroughWater, fields.with_unit(5, "N")?);
    Ok(())
}

/// Transducers come in groups of four fields: type, value, unit, name.
fn xdr(fields: &Fields<'_>, decoded: &mut Decoded) -> Result<()> {
    for place in (1..fields.0.fields.len()).step_by(4) {
        let Some(value) = fields.number(place + 1)? else { continue };
        let name = fields.text(place + 3);
        let upper = name.to_ascii_uppercase();
        let (quantity, value) = match (fields.text(place), fields.text(place + 2)) {
            ("A", "D") if upper.contains("PITCH") || upper == "PTCH" => (Quantity::Pitch, value),
            ("A", "D") if upper.contains("ROLL") => (Quantity::Roll, value),
            ("D", "M") if upper.contains("HEAVE") => (Quantity::Heave, value),
            ("C", "C") => (Quantity::TransducerTemperature, value),
            ("P", "B") => (Quantity::TransducerPressure, value * 1e5),
            ("P", "P") => (Quantity::TransducerPressure, value),
            ("H", "P" | "") => (Quantity::TransducerHumidity, value / 100.0),
            _ => continue,
        };
        let labels = match quantity {
            Quantity::Pitch | Quantity::Roll | Quantity::Heave => Vec::new(),
            _ => vec![("transducer", name.to_owned())],
        };
        decoded.readings.push(Reading { quantity, value, labels });
    }
    Ok(())
}

fn digits(text: &str) -> Result<i16> {
    let is_plain = (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| text.parse().ok()).flatten().ok_or(NotRead::Field)
}

/// Year, month and day with a time of day `hhmmss.ss`.
fn utc([year, month, day]: [i16; 3], time: &str) -> Result<UtcMs> {
    let (whole, fraction) = time.split_once('.').unwrap_or((time, ""));
    if whole.len() != 6 || !whole.is_ascii() {
        return Err(NotRead::Field);
    }
    let part =
        |from: usize| digits(&whole[from..from + 2]).and_then(|part| i8::try_from(part).map_err(|_| NotRead::Field));
    let small = |value: i16| i8::try_from(value).map_err(|_| NotRead::Field);
    // A leap second is told as second 60, which no clock here has.
    let second = part(4)?.min(59);
    let date_time =
        DateTime::new(year, small(month)?, small(day)?, part(0)?, part(2)?, second, 0).map_err(|_| NotRead::Field)?;
    let zoned = date_time.to_zoned(jiff::tz::TimeZone::UTC).map_err(|_| NotRead::Field)?;
    let milliseconds = format!("{:0<3}", fraction.get(..3.min(fraction.len())).unwrap_or_default());
    Ok(UtcMs(zoned.timestamp().as_millisecond() + i64::from(digits(&milliseconds)?)))
}
