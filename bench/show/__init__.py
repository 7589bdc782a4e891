"""Results for people and for other programs: tables, a sentence, CSV, pytest-benchmark's JSON."""
