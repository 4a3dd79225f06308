"""The parts of the SQLAlchemy job store, each a set of plain functions of a connection."""
