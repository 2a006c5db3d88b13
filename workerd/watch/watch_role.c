/* The watch role: not written yet; ends at once, and the master tries again with pauses. */
#include "workerd/role.h"

int watch_role_run(const role_context *context)
{
    (void)context;
    return 1;
}
