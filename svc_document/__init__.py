"""The document service: takes documents in (`api`) and makes them searchable (`worker`)."""
