/*
 * html.h: writing HTML, and numbers for people. What comes from files is escaped here and nowhere else.
 */
#ifndef TOOL_HTML_H
#define TOOL_HTML_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/*
 * Text for an element's content or a quoted attribute. Bytes that are not UTF-8, and characters that control something
 * (direction of writing included), become U+FFFD.
 */
void html_text(FILE *page, const char *text);

/* A JSON string that is safe inside a script element: no '<', '>', '&'. */
void html_json(FILE *page, const char *text);

/* The same as text with references like printf's: %t text (escaped), %b bytes ("1.5 MiB"), %n number ("1,234"),
   %p percent of two uint64_t ("12.3%"), %u uint64_t without commas, %d int, %f double as "%.6g", %%. Everything else is copied. */
void html_put(FILE *page, const char *format, ...);

/* "1.5 MiB" in a buffer of the caller's. */
#define HTML_WORD 40
const char *html_bytes(char word[HTML_WORD], uint64_t bytes);
const char *html_signed_bytes(char word[HTML_WORD], int64_t bytes);
const char *html_number(char word[HTML_WORD], uint64_t number);
const char *html_duration(char word[HTML_WORD], uint64_t microseconds);

#endif
