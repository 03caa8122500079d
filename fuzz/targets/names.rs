#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    level_party_fuzz::format::names::run(data);
});
