/*
 * start.h: what happens when the library is loaded and when the process ends. Layer 6.
 */
#ifndef QYI_START_H
#define QYI_START_H

/* Does nothing; who refers to it pulls the constructor out of the static archive. */
void qyi_start_anchor(void);

#endif
