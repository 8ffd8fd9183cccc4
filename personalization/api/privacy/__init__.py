"""`/api/v1/privacy/…`: the rights of a visitor over HTTP, with the visitor's token, or a key with `privacy` and a `subject`.

Each view translates, makes one call into `consent` and translates back. A bad token is nobody where something is read
and 401 where something changes.
"""
