"""The built-in purposes, with words in English and German; editors may change the words and add more."""

from django.db import migrations

# key, legal basis, mechanism, sensitive, sale or share, Global Privacy Control, titles, summaries
PURPOSES = [
    ("necessary", "contract", "always_on", False, False, False,
     {"en": "Necessary", "de": "Notwendig"},
     {"en": "What the site cannot work without, such as remembering this decision.",
      "de": "Ohne das geht es nicht, zum Beispiel, um diese Entscheidung zu behalten."}),
    ("analytics", "consent", "opt_in", False, False, False,
     {"en": "Statistics", "de": "Statistik"},
     {"en": "We count what is read and used, to make the site better.",
      "de": "Wir zählen, was gelesen und benutzt wird, um die Seite zu verbessern."}),
    ("personalization", "consent", "opt_in", False, False, False,
     {"en": "Personal content", "de": "Persönliche Inhalte"},
     {"en": "Pages show what suits you, from what you told us, looked at and bought.",
      "de": "Seiten zeigen, was zu Ihnen passt: aus dem, was Sie uns gesagt, angesehen und gekauft haben."}),
    ("profiling", "consent", "opt_in", False, False, False,
     {"en": "Predictions", "de": "Vorhersagen"},
     {"en": "We work out what you may like next, with models and scores.",
      "de": "Wir errechnen mit Modellen, was Ihnen als Nächstes gefallen könnte."}),
    ("marketing", "consent", "opt_in", False, True, True,
     {"en": "Messages", "de": "Nachrichten"},
     {"en": "We may write to you with offers.", "de": "Wir dürfen Ihnen mit Angeboten schreiben."}),
    ("third_party", "consent", "opt_in", False, True, True,
     {"en": "Sharing with others", "de": "Weitergabe an andere"},
     {"en": "Partners receive data about your visits.", "de": "Partner erhalten Daten über Ihre Besuche."}),
    ("sensitive", "consent", "opt_in", True, False, True,
     {"en": "Sensitive topics", "de": "Sensible Themen"},
     {"en": "Health, beliefs and the like may be used, where another purpose allows it too.",
      "de": "Gesundheit, Überzeugungen und Ähnliches dürfen verwendet werden, wo auch ein anderer Zweck es erlaubt."}),
]


def make(apps, schema_editor):
    purpose = apps.get_model("consent", "Purpose")
    for position, (key, basis, mechanism, sensitive, sale, gpc, title, summary) in enumerate(PURPOSES):
        purpose.objects.get_or_create(
            site_id=1,
            key=key,
            defaults={
                "legal_basis": basis, "mechanism": mechanism, "sensitive": sensitive, "sale_or_share": sale,
                "gpc_applies": gpc, "title": title, "summary": summary, "position": position,
            },
        )


class Migration(migrations.Migration):
    dependencies = [("consent", "0001_initial")]
    operations = [migrations.RunPython(make, migrations.RunPython.noop)]
