#pragma once

// Tells systemd how the service fares, where it asked to be told (NOTIFY_SOCKET; sd_notify(3)):
// 'state' is "READY=1", "STOPPING=1", ... Returns 0, also where nobody asked, or -errno.
int notify(const char *state);
