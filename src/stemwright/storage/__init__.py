"""Objects by key: put, read in ranges, delete; a folder or S3 through one library."""
