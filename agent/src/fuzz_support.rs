//! What fuzz targets need and nobody else.

/// Makes unwind tables of any bytes, and walks by them.
pub fn eh_frame(input: &[u8]) {
    crate::unwind::check_section(input);
}

/// Reads any bytes as the map of a process.
pub fn maps(text: &[u8]) {
    crate::maps::check_text(text);
}
