//! What is compressed reads back, whatever it is, and is about as small as elsewhere.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::io::Read as _;
use std::io::Write as _;

use proptest::prelude::*;

use super::*;

/// Compresses these blocks, reads back, and gives the file's length.
fn there_and_back(blocks: &[(&[u8], Fields)]) -> usize {
    let mut file = Gzip::new(b"what was in it before".to_vec());
    for (lines, fields) in blocks {
        let before = file.size();
        file.write(lines, fields);
        assert!(file.size() - before <= bound(lines.len()), "{} of {}", file.size() - before, lines.len());
    }
    let file = file.finish();
    let mut read = Vec::new();
    // whatever followed the file's end would be an error of this reader's
    flate2::read::MultiGzDecoder::new(file.as_slice()).read_to_end(&mut read).unwrap();
    let written: Vec<u8> = blocks.iter().flat_map(|(lines, _)| lines.iter().copied()).collect();
    assert!(read == written, "something else was read than was written");
    file.len()
}

/// Blocks of which nobody knows the fields.
fn plain(blocks: &[&[u8]]) -> usize {
    there_and_back(&blocks.iter().map(|block| (*block, Fields::default())).collect::<Vec<_>>())
}

fn fields(places: impl IntoIterator<Item = (usize, usize)>) -> Fields {
    let mut fields = Fields::default();
    for (at, column) in places {
        fields.push(at, column);
    }
    fields
}

fn noise(bytes: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(bytes as u64);
    (0..bytes).map(|_| random.u8(..)).collect()
}

/// Lines of four fields, with where they begin.
fn lines(count: usize) -> (Vec<u8>, Fields) {
    let mut random = fastrand::Rng::with_seed(7);
    let (mut bytes, mut fields) = (Vec::new(), Fields::default());
    for n in 0..count {
        let values = [
            format!("{{\"id\":{n}"),
            format!(",\"note\":\"customer {} of the table\"", n % 97),
            format!(",\"at\":\"2024-01-{:02}T{:02}:00:00Z\"", n / 24 % 28 + 1, n % 24),
            format!(",\"sum\":\"{:016x}\"}}\n", random.u64(..)),
        ];
        // not every line has every field
        for (column, value) in values.iter().enumerate().filter(|(column, _)| n % 10 > 0 || *column != 1) {
            fields.push(bytes.len(), column);
            bytes.extend_from_slice(value.as_bytes());
        }
    }
    (bytes, fields)
}

#[test]
fn nothing_and_little() {
    plain(&[]);
    plain(&[b""]);
    for length in 1..40 {
        plain(&[&b"ab".repeat(20)[..length]]);
        plain(&[&noise(length)]);
    }
}

#[test]
fn each_length_and_distance_of_a_repetition() {
    let noise = noise(40_000);
    let mut all = noise[..1000].to_vec();
    for length in (0..300).chain([514, 516, 517, 600]) {
        plain(&[&[&noise[..1000], &noise[..length], b"!"].concat()]);
        all.truncate(1000);
        all.extend_from_slice(&noise[..length]);
        there_and_back(&[(&all, fields([(0, 0), (1000, 0)]))]);
        all.extend_from_slice(&noise[1000..2000]);
        there_and_back(&[(&all, fields([(0, 0), (1000, 0)]))]);
    }
    for distance in [1, 2, 3, 4, 5, 8, 9, 255, 256, 257, 258, 512, 513, 8192, 24_577, 32_767, 32_768, 32_769, 40_000] {
        let period = &noise[..distance];
        let three = [period, period, period].concat();
        plain(&[&three]);
        let found = there_and_back(&[(&three, fields([(0, 0), (distance, 0), (2 * distance, 0)]))]);
        assert!(
            found < distance + distance / 10 + 1000 || distance > 1 << 15,
            "{found} bytes for a period of {distance}"
        );
    }
}

#[test]
fn segments_and_gaps_end_anywhere() {
    let (lines, fields) = lines(10_000);
    for length in [SEGMENT_BYTES - 1, SEGMENT_BYTES, SEGMENT_BYTES + 1, 2 * SEGMENT_BYTES + 7, 3 * SEGMENT_BYTES] {
        let cut = fields.iter().filter(|(at, _)| *at < length);
        let block = (&lines[..length], self::fields(cut));
        there_and_back(&[block.clone(), block]);
    }
    let noise = noise(300_000);
    for gap in [65_534, 65_535, 65_536, 131_070, 131_071, 250_000] {
        let block = [&noise[..gap], b"the same ", &noise[gap..], b"the same "].concat();
        let places = [(0, 0), (gap, 1), (noise.len() + 9, 1)];
        assert_eq!(self::fields(places).iter().collect::<Vec<_>>(), places);
        there_and_back(&[(&block, self::fields(places))]);
    }
}

#[test]
fn what_changes_gets_codes_of_its_own() {
    let ((lines, fields), noise) = (lines(20_000), noise(1 << 20));
    let ordered = there_and_back(&[(&lines, fields.clone())]);
    let random = plain(&[&noise]);
    assert!(random <= noise.len() + noise.len() / 50, "{random} bytes of noise");
    let turns: Vec<(&[u8], Fields)> = vec![(&lines, fields.clone()), (&noise, Fields::default()), (&lines, fields)];
    let together = there_and_back(&turns);
    let apart = 2 * ordered + random;
    assert!(together < apart + apart / 50, "{together} bytes together, {apart} apart");
}

#[test]
fn lines_become_about_as_small_as_elsewhere() {
    let (lines, fields) = lines(50_000);
    let mut other = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(1));
    other.write_all(&lines).unwrap();
    let theirs = other.finish().unwrap().len();
    let ours = there_and_back(&[(&lines, fields)]);
    assert!(ours < theirs, "{ours} bytes, {theirs} of flate2's level 1");
    let searched = plain(&[&lines]);
    assert!(searched < theirs, "{searched} bytes where fields are not known, {theirs} of flate2's level 1");
}

#[test]
fn a_long_value_is_searched() {
    let text = "Of all that was said, this alone is said again and again. ".repeat(3000);
    for times in [1, 10] {
        let line = format!("{{\"id\":1,\"text\":\"{}\"}}\n", text.repeat(times));
        let length = there_and_back(&[(line.as_bytes(), fields([(0, 0), (7, 1)]))]);
        assert!(length < line.len() / 50, "{length} of {}", line.len());
    }
}

#[test]
fn blocks_together_are_no_larger_than_apart() {
    let (lines, fields) = lines(20_000);
    for length in [70_000, 300_000, 900_000, lines.len()] {
        let cut = self::fields(fields.iter().filter(|(at, _)| *at < length));
        let block = (&lines[..length], cut);
        let (one, five) = (there_and_back(std::slice::from_ref(&block)), there_and_back(&vec![block; 5]));
        assert!(five <= 5 * one + one / 50, "{five} bytes for five times {one}");
    }
}

#[test]
fn what_repeats_without_end_takes_no_longer() {
    // three megabytes: compared anew at each step they would be minutes
    let run = vec![b'A'; 3 << 20];
    assert!(plain(&[&run]) < run.len() / 100);
    let texts = ["x".repeat(60), "y".repeat(60)];
    let line = |n: usize| format!("{{\"a\":\"{0}\",\"b\":\"{0}\",\"c\":\"{0}\"}}\n", texts[n % 2]);
    let block: String = (0..4000).map(line).collect();
    let places = block.match_indices(['{', ',']).enumerate().map(|(n, (at, _))| (at, n % 3));
    there_and_back(&[(block.as_bytes(), fields(places))]);
}

#[test]
fn fields_beyond_the_block() {
    there_and_back(&[(b"abcdabcd", fields([(0, 0), (4, 0), (8, 0), (12, 0), (3, 0), (100_000, 1)]))]);
}

proptest! {
    #[test]
    fn any_blocks_read_back(blocks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3000), 0..6)) {
        plain(&blocks.iter().map(Vec::as_slice).collect::<Vec<_>>());
    }

    /// Fields are a hint: where they are wrong, it is only less that is found.
    #[test]
    fn any_fields_of_any_text(
        text in "[ab\",:]{1,3000}",
        times in 1usize..60,
        places in prop::collection::vec((any::<prop::sample::Index>(), 0usize..5), 0..200),
    ) {
        let text = text.repeat(times);
        let mut places: Vec<(usize, usize)> =
            places.into_iter().map(|(at, column)| (at.index(text.len()), column)).collect();
        places.sort_unstable();
        there_and_back(&[(text.as_bytes(), fields(places))]);
    }
}
