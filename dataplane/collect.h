#pragma once

#include <stdbool.h>

#include "burst.h"

// Fragments on their way: a datagram is put together before it is asked whose it is, since only one
// of its fragments says that, and it may come last. What leaves is cut again where it has to be.

// Takes a fragment ('p->fault' is DROP_FRAGMENT) to one of our addresses, or from a node in the
// mode dnat. If it completes its datagram, 'p' is that, read, and true is returned. Else it waits
// for the others, at the worker whose it is; or ends here.
bool collect_fragment(struct burst *b, struct packet *p);
