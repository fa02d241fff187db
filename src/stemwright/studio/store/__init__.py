"""Rows and objects: tables, migrations, the database, the object store."""
