"""What handhelds send: each record settled by itself, kept once, with who and when."""
