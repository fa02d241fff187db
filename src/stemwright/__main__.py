"""`python -m stemwright`."""

from stemwright.cli.main import main

main()
