"""Networks run by torch: eager, compiled, or as AOTInductor packages."""
