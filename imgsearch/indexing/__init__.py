"""Files to catalog to index: scan, encode, read texts, calibrate, keep index files up to date."""
