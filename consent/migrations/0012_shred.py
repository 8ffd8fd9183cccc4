"""The one way in which words leave the ledger: a function that takes them away and can do nothing else.

It runs with the rights of whoever owns the table, so that a role that may not change the ledger can still erase.
"""

from django.db import migrations

SHRED = """
CREATE OR REPLACE FUNCTION consent_shred(subjects uuid[]) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
  WITH done AS (
    UPDATE consent_consentevent SET salt = NULL, payload_enc = NULL
    WHERE subject_key = ANY(subjects) AND payload_enc IS NOT NULL RETURNING 1
  ) SELECT count(*) FROM done
$$;
REVOKE ALL ON FUNCTION consent_shred(uuid[]) FROM PUBLIC;
"""


class Migration(migrations.Migration):
    dependencies = [("consent", "0011_ledger_shreds_only")]

    operations = [
        migrations.RunSQL(SHRED, "DROP FUNCTION consent_shred(uuid[])"),
    ]
