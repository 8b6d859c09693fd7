/* profile.h: stand-in until the profile is there. Layer 6. */
#ifndef QYI_PROFILE_H
#define QYI_PROFILE_H
#include "text.h"
static inline bool qyi_profile_is_on(void)
{
    return false;
}
static inline void qyi_profile_put_pprof(struct qyi_text *text)
{
    (void)text;
}
static inline void qyi_profile_put_legacy(struct qyi_text *text)
{
    (void)text;
}
#endif
