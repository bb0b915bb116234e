#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = session_webhook_fuzz::time(bytes);
});
