"""Events at rest: partitioned by month, deduplicated apart, folded in afterwards."""

import datetime as dt

import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.db.models.deletion
import personalization.models.webhooks
from django.db import migrations, models


EVENTS = """
ALTER TABLE personalization_event RENAME TO personalization_event_before;
ALTER INDEX personalization_event_pkey RENAME TO personalization_event_before_pkey;
ALTER TABLE personalization_event_before DROP CONSTRAINT event_once;
DROP INDEX event_by_subject;
CREATE SEQUENCE personalization_event_number AS bigint;
CREATE TABLE personalization_event (
  id bigint NOT NULL DEFAULT nextval('personalization_event_number'),
  site_id bigint NOT NULL,
  key_prefix varchar(16) NOT NULL,
  message_id varchar(100) NOT NULL,
  subject_key uuid NOT NULL,
  kind varchar(10) NOT NULL,
  name varchar(200) NOT NULL,
  properties jsonb NOT NULL,
  happened_at timestamptz NOT NULL,
  received_at timestamptz NOT NULL,
  purposes varchar(50)[] NOT NULL,
  PRIMARY KEY (subject_key, id, happened_at)
) PARTITION BY RANGE (happened_at);
ALTER SEQUENCE personalization_event_number OWNED BY personalization_event.id;
CREATE INDEX event_by_subject ON personalization_event (subject_key, happened_at);
CREATE INDEX event_by_name ON personalization_event (name, happened_at);
CREATE TABLE personalization_event_rest PARTITION OF personalization_event DEFAULT;
"""
CARRY = """
INSERT INTO personalization_event (id, site_id, key_prefix, message_id, subject_key, kind, name, properties,
                                   happened_at, received_at, purposes)
SELECT id, site_id, key_prefix, message_id, subject_key, kind, name, properties, happened_at, received_at, purposes
FROM personalization_event_before;
SELECT setval('personalization_event_number', coalesce(max(id), 0) + 1, false) FROM personalization_event_before;
UPDATE personalization_profile p
SET folded_id = (SELECT coalesce(max(id), 0) FROM personalization_event e WHERE e.subject_key = p.subject_key);
INSERT INTO personalization_eventseen (digest, seen_at)
SELECT encode(substring(sha256(convert_to(key_prefix || ' ' || message_id, 'UTF8')) FOR 16), 'hex')::uuid, received_at
FROM personalization_event_before WHERE received_at > now() - interval '30 days'
ON CONFLICT DO NOTHING;
DELETE FROM personalization_membership m USING personalization_segment s WHERE s.id = m.segment_id AND s.kind <> 'list';
DROP TABLE personalization_event_before;
"""


def make_months(apps, schema_editor):
    from personalization.partitions import ensure

    with schema_editor.connection.cursor() as cursor:
        ensure(dt.datetime.now(dt.UTC).date(), cursor=cursor)


class Migration(migrations.Migration):

    dependencies = [
        ('cms', '0003_strict_events'),
        ('personalization', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='DeadLetter',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(max_length=40)),
                ('reference', models.CharField(help_text="What it was about: an id, never a person's data.", max_length=100)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('error', models.TextField()),
                ('created_at', models.DateTimeField()),
                ('replayed_at', models.DateTimeField(blank=True, null=True)),
            ],
            options={
                'ordering': ['-id'],
            },
        ),
        migrations.CreateModel(
            name='EventCount',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('day', models.DateField()),
                ('name', models.CharField(max_length=200)),
                ('reason', models.CharField(blank=True, help_text='Why they were dropped; empty for those that were kept.', max_length=40)),
                ('count', models.PositiveBigIntegerField(default=0)),
                ('last_at', models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name='EventSeen',
            fields=[
                ('digest', models.UUIDField(primary_key=True, serialize=False)),
                ('seen_at', models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name='EventType',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key', models.CharField(help_text='The name that clients send, such as Product Viewed.', max_length=200)),
                ('title', models.CharField(blank=True, max_length=200)),
                ('description', models.TextField(blank=True)),
                ('schema', models.JSONField(blank=True, default=dict, help_text='JSON Schema of its properties; empty takes everything.')),
                ('purposes', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=50), blank=True, default=list, help_text='What it may be used for, where allowed; empty means analytics, personalization and profiling.', size=None)),
                ('from_server', models.BooleanField(default=False, help_text='Taken from secret keys only.')),
                ('declared', models.BooleanField(default=True, help_text='Off for a name that was only ever seen; strict sites drop those.')),
                ('retention_days', models.PositiveIntegerField(blank=True, help_text='Kept for so many days; empty means as long as its purposes say.', null=True)),
                ('sample', models.JSONField(blank=True, editable=False, help_text='The shape of one: names and types, no values.', null=True)),
                ('first_seen_at', models.DateTimeField(editable=False, null=True)),
                ('last_seen_at', models.DateTimeField(editable=False, null=True)),
            ],
            options={
                'ordering': ['key'],
            },
        ),
        migrations.CreateModel(
            name='Exposure',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('subject_key', models.UUIDField()),
                ('key', models.UUIDField(unique=True)),
                ('placement', models.CharField(help_text="The page's path, and the placement on it.", max_length=700)),
                ('variant', models.CharField(max_length=100)),
                ('counters', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=900), help_text='The caps that it counts for.', size=None)),
                ('decision', models.CharField(blank=True, max_length=200)),
                ('at', models.DateTimeField()),
                ('purposes', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=50), size=None)),
            ],
        ),
        migrations.CreateModel(
            name='SegmentChange',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('subject_key', models.UUIDField()),
                ('entered', models.BooleanField()),
                ('at', models.DateTimeField()),
                ('cause', models.CharField(choices=[('event', 'Something happened'), ('time', 'Time passed'), ('set', 'All were looked at'), ('list', 'A list was changed'), ('consent', 'Consent was withdrawn')], max_length=10)),
                ('event', models.CharField(blank=True, help_text='The name of the event that caused it.', max_length=200)),
                ('announced_at', models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name='SegmentSize',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField()),
                ('size', models.PositiveIntegerField()),
            ],
        ),
        migrations.CreateModel(
            name='Touched',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('subject_key', models.UUIDField(db_index=True)),
                ('at', models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name='WebhookDelivery',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('message_id', models.CharField(max_length=40, unique=True)),
                ('kind', models.CharField(max_length=40)),
                ('change', models.BigIntegerField(help_text='The change of membership that it tells of.')),
                ('subject_key', models.UUIDField(db_index=True)),
                ('at', models.DateTimeField()),
                ('state', models.CharField(choices=[('waiting', 'Waiting'), ('done', 'Delivered'), ('withheld', 'Withheld: consent is not given'), ('failed', 'Failed')], default='waiting', max_length=10)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('next_at', models.DateTimeField()),
                ('status', models.PositiveIntegerField(null=True)),
                ('error', models.TextField(blank=True)),
                ('done_at', models.DateTimeField(null=True)),
            ],
            options={
                'ordering': ['-id'],
            },
        ),
        migrations.CreateModel(
            name='WebhookEndpoint',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('title', models.CharField(max_length=200)),
                ('url', models.URLField(max_length=500)),
                ('secret', models.BinaryField(help_text='Signs what is sent; encrypted at rest.')),
                ('kinds', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=40), default=personalization.models.webhooks._both, size=None)),
                ('purpose', models.CharField(default='marketing', help_text='The purpose that must be granted, beside those of the segment, before anything is told.', max_length=50)),
                ('active', models.BooleanField(default=True)),
                ('failing_since', models.DateTimeField(editable=False, null=True)),
            ],
            options={
                'ordering': ['title'],
            },
        ),
        migrations.RemoveIndex(
            model_name='profile',
            name='profile_to_segment',
        ),
        migrations.RemoveField(
            model_name='profile',
            name='segmented_version',
        ),
        migrations.AddField(
            model_name='historicalsegment',
            name='score',
            field=models.JSONField(blank=True, default=dict, help_text='Points per condition, with caps and decay, and the threshold to enter.'),
        ),
        migrations.AddField(
            model_name='historicalsegment',
            name='tiers',
            field=models.SlugField(blank=True, help_text='Segments that name the same tiers exclude each other: one is in the first that holds.', max_length=100),
        ),
        migrations.AddField(
            model_name='profile',
            name='behaviour',
            field=models.JSONField(default=dict, help_text='Behaviour of rules → its timeline, where it is not that of nobody.'),
        ),
        migrations.AddField(
            model_name='profile',
            name='behaviour_version',
            field=models.PositiveBigIntegerField(default=0, help_text="The version of the directory's behaviours that it was computed for."),
        ),
        migrations.AddField(
            model_name='profile',
            name='due_at',
            field=models.DateTimeField(help_text='When a membership can next change without anything happening.', null=True),
        ),
        migrations.AddField(
            model_name='profile',
            name='features',
            field=models.JSONField(default=dict, help_text='What else is computed: sessions, items seen and bought.'),
        ),
        migrations.AddField(
            model_name='profile',
            name='folded_id',
            field=models.BigIntegerField(default=0, help_text='The last event that is folded in.'),
        ),
        migrations.AddField(
            model_name='profile',
            name='segments',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), default=list, help_text='Ids of the stored segments, in order; lists apart.', size=None),
        ),
        migrations.AddField(
            model_name='segment',
            name='score',
            field=models.JSONField(blank=True, default=dict, help_text='Points per condition, with caps and decay, and the threshold to enter.'),
        ),
        migrations.AddField(
            model_name='segment',
            name='tiers',
            field=models.SlugField(blank=True, help_text='Segments that name the same tiers exclude each other: one is in the first that holds.', max_length=100),
        ),
        migrations.AddField(
            model_name='segmentrun',
            name='alive_at',
            field=models.DateTimeField(help_text='A run that is silent for long is released.', null=True),
        ),
        migrations.AddField(
            model_name='segmentrun',
            name='error',
            field=models.TextField(blank=True),
        ),
        migrations.AddField(
            model_name='segmentrun',
            name='state',
            field=models.CharField(choices=[('running', 'Running'), ('done', 'Done'), ('failed', 'Failed')], default='running', max_length=10),
        ),
        migrations.AddField(
            model_name='segmentrun',
            name='total',
            field=models.PositiveIntegerField(default=0, help_text='How many profiles there are to look at.'),
        ),
        migrations.AlterField(
            model_name='historicalsegment',
            name='kind',
            field=models.CharField(choices=[('rule', 'By rule'), ('score', 'By score'), ('list', 'By list')], default='rule', max_length=10),
        ),
        migrations.AlterField(
            model_name='segment',
            name='kind',
            field=models.CharField(choices=[('rule', 'By rule'), ('score', 'By score'), ('list', 'By list')], default='rule', max_length=10),
        ),
        migrations.AlterField(
            model_name='segmentrun',
            name='scope',
            field=models.CharField(choices=[('everybody', 'Everybody'), ('backfill', 'Behaviour of new rules')], max_length=10),
        ),
        migrations.AddIndex(
            model_name='profile',
            index=models.Index(condition=models.Q(('due_at__isnull', False)), fields=['due_at'], name='profile_due'),
        ),
        migrations.AddIndex(
            model_name='profile',
            index=django.contrib.postgres.indexes.GinIndex(fields=['segments'], name='profile_segments'),
        ),
        migrations.AddIndex(
            model_name='profile',
            index=models.Index(fields=['behaviour_version'], name='profile_behaviour_version'),
        ),
        migrations.AddConstraint(
            model_name='deadletter',
            constraint=models.UniqueConstraint(fields=('kind', 'reference'), name='dead_letter_once'),
        ),
        migrations.AddField(
            model_name='eventcount',
            name='site',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='cms.site'),
        ),
        migrations.AddIndex(
            model_name='eventseen',
            index=models.Index(fields=['seen_at'], name='event_seen_at'),
        ),
        migrations.AddField(
            model_name='eventtype',
            name='site',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='event_types', to='cms.site'),
        ),
        migrations.AddField(
            model_name='exposure',
            name='site',
            field=models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='cms.site'),
        ),
        migrations.AddField(
            model_name='segmentchange',
            name='segment',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='changes', to='personalization.segment'),
        ),
        migrations.AddField(
            model_name='segmentchange',
            name='site',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='cms.site'),
        ),
        migrations.AddField(
            model_name='segmentsize',
            name='segment',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='sizes', to='personalization.segment'),
        ),
        migrations.AddField(
            model_name='touched',
            name='site',
            field=models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='cms.site'),
        ),
        migrations.AddField(
            model_name='webhookdelivery',
            name='segment',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='personalization.segment'),
        ),
        migrations.AddField(
            model_name='webhookendpoint',
            name='segments',
            field=models.ManyToManyField(blank=True, help_text='Empty means every segment.', related_name='webhooks', to='personalization.segment'),
        ),
        migrations.AddField(
            model_name='webhookendpoint',
            name='site',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='webhooks', to='cms.site'),
        ),
        migrations.AddField(
            model_name='webhookdelivery',
            name='endpoint',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='deliveries', to='personalization.webhookendpoint'),
        ),
        migrations.AddConstraint(
            model_name='eventcount',
            constraint=models.UniqueConstraint(fields=('site', 'day', 'name', 'reason'), name='event_count_once'),
        ),
        migrations.AddConstraint(
            model_name='eventtype',
            constraint=models.UniqueConstraint(fields=('site', 'key'), name='event_type_key_once'),
        ),
        migrations.AddIndex(
            model_name='exposure',
            index=models.Index(fields=['subject_key', 'at'], name='exposure_by_subject'),
        ),
        migrations.AddIndex(
            model_name='exposure',
            index=models.Index(fields=['at'], name='exposure_at'),
        ),
        migrations.AddIndex(
            model_name='segmentchange',
            index=models.Index(fields=['subject_key', 'at'], name='segment_change_by_subject'),
        ),
        migrations.AddIndex(
            model_name='segmentchange',
            index=models.Index(fields=['segment', 'at'], name='segment_change_by_segment'),
        ),
        migrations.AddIndex(
            model_name='segmentchange',
            index=models.Index(condition=models.Q(('announced_at__isnull', True)), fields=['id'], name='segment_change_waiting'),
        ),
        migrations.AddConstraint(
            model_name='segmentsize',
            constraint=models.UniqueConstraint(fields=('segment', 'at'), name='segment_size_once'),
        ),
        migrations.AddIndex(
            model_name='webhookdelivery',
            index=models.Index(condition=models.Q(('state', 'waiting')), fields=['next_at'], name='webhook_delivery_waiting'),
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(EVENTS), migrations.RunPython(make_months), migrations.RunSQL(CARRY)],
            state_operations=[
                migrations.RemoveConstraint(
                    model_name='event',
                    name='event_once',
                ),
                migrations.RemoveIndex(
                    model_name='event',
                    name='event_by_subject',
                ),
                migrations.AlterField(
                    model_name='event',
                    name='site',
                    field=models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='cms.site'),
                ),
                migrations.AddIndex(
                    model_name='event',
                    index=models.Index(fields=['subject_key', 'happened_at'], name='event_by_subject'),
                ),
                migrations.AddIndex(
                    model_name='event',
                    index=models.Index(fields=['name', 'happened_at'], name='event_by_name'),
                ),
            ],
        ),
    ]
