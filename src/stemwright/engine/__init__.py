"""Song in, stems out: the chunk loop, the exact sum, the files and the receipt."""
