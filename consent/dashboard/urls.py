"""The dashboard's pages and forms."""

from django.urls import path

from consent.dashboard import views

urlpatterns = [
    path("", views.dashboard, name="privacy"),
    path("undo/", views.take_back, name="privacy-undo"),
    path("delete-now/", views.delete_now, name="privacy-delete-now"),
    path("items/", views.steer, name="privacy-items"),
    path("pause/", views.pause, name="privacy-pause"),
    path("keep/", views.keep_for, name="privacy-keep"),
    path("remind/", views.remind, name="privacy-remind"),
    path("feeling/", views.feel, name="privacy-feeling"),
    path("rights/", views.exercise, name="privacy-rights"),
    path("erase/", views.erase_page, name="privacy-erase"),
    path("prove/", views.prove, name="privacy-prove"),
    path("receipts/<str:entry>.json", views.receipt, name="privacy-receipt"),
    path("export/<str:signed>/", views.download, name="privacy-download"),
]
