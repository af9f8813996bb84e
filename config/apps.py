"""Which admin site this installation has."""

from django.contrib.admin.apps import AdminConfig


class StaffAdminConfig(AdminConfig):
    """Django's admin with Callboard's own pages in it (`sync.site`)."""

    default_site = "sync.site.StaffSite"
