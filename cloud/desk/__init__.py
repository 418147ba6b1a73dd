"""The rescue centre's desk: links for telephones, the notes of shifts, the search for a lift."""
