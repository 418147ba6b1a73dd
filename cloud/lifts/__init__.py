"""The files of lifts: static data, the signed record, the calendar, and what is overdue."""
