/* Not written yet. */
#include "workerd/mirror/mirror_verify.h"

bool mirror_verify(const whale_config *config)
{
    (void)config;
    return false;
}
