"""Who is who: the authority, invitations, certificates, and what the broker refused."""
