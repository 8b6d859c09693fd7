/* json.h: stand-in until the writer is there. Layer 6. */
#ifndef QYI_JSON_H
#define QYI_JSON_H
#include "stats.h"
#include "text.h"
static inline void qyi_json_put(struct qyi_text *text, const struct qyi_stats *stats, const char *reason)
{
    qyi_put(text, "{\"schema\":\"quarry.stats\",\"schema_version\":1,\"reason\":\"");
    qyi_put(text, reason);
    qyi_put(text, "\",\"memory\":{\"live\":");
    qyi_put_number(text, stats->live);
    qyi_put(text, ",\"mapped\":");
    qyi_put_number(text, stats->mapped);
    qyi_put(text, "}}\n");
}
#endif
