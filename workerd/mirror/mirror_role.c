/* The mirror role: not written yet; ends at once, and the master tries again with pauses. */
#include "workerd/role.h"

int mirror_role_run(const role_context *context)
{
    (void)context;
    return 1;
}
