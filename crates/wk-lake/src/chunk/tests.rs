use proptest::prelude::*;
use wk_types::Seq;

use super::*;
use crate::testing::{DAY, line};

proptest! {
    #[test]
    fn attributes_are_written_as_serde_json_writes_them(
        object in proptest::collection::btree_map(r#"[a"\\\x00-\x1f\x7fé]{0,4}"#, r#"[a"\\\x00-\x1f\x7fé]{0,4}"#, 0..4),
    ) {
        let object: Attributes =
            object.iter().map(|(name, value)| (name.as_str().into(), value.as_str().into())).collect();
        let mut written = String::new();
        write_object(&object, &mut written);
        prop_assert_eq!(written, serde_json::to_string(&object).unwrap());
    }
}

#[test]
fn a_look_at_a_chunk_leaves_it_as_it_is() {
    let mut builder = ChunkBuilder::new(4);
    assert!(builder.chunk().is_none());
    for number in 0..6 {
        builder.push(TailCursor { seq: Seq(7), line: number }, DAY, &line(i64::from(number)));
        let looked = builder.chunk().unwrap();
        assert_eq!(looked.block.rows(), number as usize + 1);
    }
    let (looked, ended) = (builder.chunk().unwrap(), builder.finish().unwrap());
    let rows = |chunk: &Chunk| (0..chunk.block.rows()).map(|row| chunk.block.row(row)).collect::<Vec<_>>();
    assert_eq!(rows(&looked), rows(&ended));
    assert_eq!(looked.summary.severities, ended.summary.severities);
    assert_eq!((looked.first.line, looked.last.line, looked.bytes), (0, 5, ended.bytes));
}
