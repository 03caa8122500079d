//! The body for memory regions, and what its fuzzing starts from.

#[path = "../../crates/memtable/tests/suite/region.rs"]
pub mod region;
#[allow(clippy::should_implement_trait)] // public here only
#[path = "../../crates/memtable/tests/suite/support.rs"]
pub mod support;

use level_party_format::key::ValueType;

/// Small memtables as another process would see them, behind each of the flags.
pub fn seeds(mut add: impl FnMut(&[u8])) {
    for (len, entries) in [(256, 0), (512, 3), (1024, 12), (3000, 60)] {
        let image = support::image(len, |writer| {
            for n in 0..entries {
                let kind = if n % 5 == 4 {
                    ValueType::Deletion
                } else {
                    ValueType::Value
                };
                let value = vec![b'v'; n as usize % 3];
                let _ = writer.insert(&[b'k', (n * 7 % 13) as u8], n + 1, kind, &value);
            }
            writer.publish(entries);
        });
        for flags in 0..4 {
            add(&[&[flags, 0xff][..], &image].concat());
        }
    }
}
