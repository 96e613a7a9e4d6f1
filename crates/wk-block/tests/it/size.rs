use wk_block::{Header, Layout, SeriesReader, Writer};
use wk_sim::{MetricWorkload, MetricWorkloadOptions};

/// Writes the workload as one block; returns bytes a sample without and with the dictionary, and bytes a series of it.
fn measure(steps: usize) -> (f64, f64, f64) {
    let workload = MetricWorkload::new(MetricWorkloadOptions::default());
    let targets = workload.targets();
    let all = workload.collect(steps);
    let mut writer = Writer::new().unwrap();
    for one in &all {
        writer.push(&one.series, &one.samples).unwrap();
    }
    let bytes = writer.finish().unwrap();
    let header = Header::read(&bytes[..]).unwrap();
    let layout = Layout::read(&header, &bytes[..]).unwrap();
    let mut reader = SeriesReader::new(&layout, &bytes[..]);
    for (position, one) in all.iter().enumerate().step_by(97) {
        assert_eq!(reader.samples(position).unwrap(), one.samples);
    }
    let samples = header.samples as f64;
    let dictionary = f64::from(header.dictionary.bytes);
    println!(
        "{} series of {targets} targets x {steps}: {:.3} bytes/sample, with the dictionary {:.3} ({:.2} bytes/series)",
        all.len(),
        (bytes.len() as f64 - dictionary) / samples,
        bytes.len() as f64 / samples,
        dictionary / f64::from(header.series),
    );
    ((bytes.len() as f64 - dictionary) / samples, bytes.len() as f64 / samples, dictionary / f64::from(header.series))
}

#[test]
fn five_minutes_of_a_ship_take_well_under_a_byte_a_sample() {
    let (samples, whole, per_series) = measure(20);
    assert!(samples < 0.745 && whole < 0.75 && per_series < 1.0, "{samples} {whole} {per_series}");
}

#[test]
fn two_hours_of_a_ship_take_not_much_over_half_a_byte_a_sample() {
    let (samples, whole, _) = measure(480);
    assert!(samples < 0.58 && whole < 0.58, "{samples} {whole}");
}
