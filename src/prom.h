/* prom.h: stand-in until the writer is there. Layer 6. */
#ifndef QYI_PROM_H
#define QYI_PROM_H
#include "stats.h"
#include "text.h"
static inline void qyi_prom_put(struct qyi_text *text, const struct qyi_stats *stats)
{
    qyi_put(text, "# HELP quarry_memory_bytes Memory by what it is used for.\n# TYPE quarry_memory_bytes gauge\n"
                  "quarry_memory_bytes{state=\"live\"} ");
    qyi_put_number(text, stats->live);
    qyi_put(text, "\n");
}
#endif
