"""What exactly happens for each built-in purpose: the second layer of the notice, where nobody wrote one."""

from django.db import migrations

DETAILS = {
    "necessary": {
        "en": "A cookie with a random key remembers what you decided. Where you refuse everything it holds only that you did, "
              "and nothing tells your browser from others.",
        "de": "Ein Cookie mit einem zufälligen Schlüssel merkt sich, was Sie entschieden haben. Lehnen Sie alles ab, steht "
              "darin nur das, und nichts unterscheidet Ihren Browser von anderen.",
    },
    "analytics": {
        "en": "Under a pseudonym we keep which pages and products are opened, what is clicked and bought, when, and on what "
              "kind of device. When you switch it off, it is deleted.",
        "de": "Unter einem Pseudonym halten wir fest, welche Seiten und Produkte geöffnet werden, was angeklickt und gekauft "
              "wird, wann, und auf welcher Art von Gerät. Schalten Sie es ab, wird es gelöscht.",
    },
    "personalization": {
        "en": "What you tell this site about yourself, look at, put into the basket and buy is kept under a pseudonym. Rules "
              "that people wrote decide from it what a page shows, and you can ask of each place why. When you switch it off, "
              "pages are the same as for everybody, and what was kept for it is deleted.",
        "de": "Was Sie dieser Website über sich sagen, ansehen, in den Korb legen und kaufen, wird unter einem Pseudonym "
              "aufbewahrt. Regeln, die Menschen geschrieben haben, entscheiden daraus, was eine Seite zeigt; bei jeder Stelle "
              "können Sie fragen, warum. Schalten Sie es ab, sind die Seiten wie für alle, und das Aufbewahrte wird gelöscht.",
    },
    "profiling": {
        "en": "From the same data numbers are worked out, such as how likely something is to interest you. They are kept with "
              "your profile until you switch this off.",
        "de": "Aus denselben Daten werden Zahlen errechnet, etwa wie wahrscheinlich Sie etwas interessiert. Sie bleiben bei "
              "Ihrem Profil, bis Sie das abschalten.",
    },
    "marketing": {
        "en": "Groups that you are in, such as people who left something in the basket, may lead to a message to you. Global "
              "Privacy Control switches it off.",
        "de": "Gruppen, in denen Sie sind, etwa Menschen, die etwas im Korb gelassen haben, können zu einer Nachricht an Sie "
              "führen. Global Privacy Control schaltet es ab.",
    },
    "third_party": {
        "en": "Services that this site connects are told, under a pseudonym, which groups you enter and leave. Global Privacy "
              "Control switches it off.",
        "de": "Dienste, die diese Website anbindet, erfahren unter einem Pseudonym, welche Gruppen Sie betreten und verlassen. "
              "Global Privacy Control schaltet es ab.",
    },
    "sensitive": {
        "en": "What concerns health, beliefs, money and the like is kept only while this is on, in addition to the purpose that "
              "it is used for. When you switch it off, it is deleted as a whole.",
        "de": "Was Gesundheit, Überzeugungen, Geld und Ähnliches betrifft, wird nur aufbewahrt, solange das an ist, zusätzlich "
              "zu dem Zweck, für den es verwendet wird. Schalten Sie es ab, wird es als Ganzes gelöscht.",
    },
}  # fmt: skip


def write(apps, schema_editor):
    purpose = apps.get_model("consent", "Purpose")
    for key, details in DETAILS.items():
        purpose.objects.filter(key=key, details={}).update(details=details)


class Migration(migrations.Migration):
    dependencies = [("consent", "0007_privacy_desk")]
    operations = [migrations.RunPython(write, migrations.RunPython.noop)]
