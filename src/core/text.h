/*-------------------------------------------------------------------------
 *
 * text.h
 *		Small helpers for text and byte arguments.
 *
 * IDENTIFICATION
 *	  src/core/text.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef LABOS_TEXT_H
#define LABOS_TEXT_H

#include "lib/stringinfo.h"

/* Lower-case hex of len bytes, palloc'd. */
extern char *lb_hex(const uint8 *bytes, int len);

/* Unpadded base64url of len bytes (RFC 4648, section 5), appended. */
extern void lb_base64url_append(StringInfo out, const uint8 *bytes, int len);

/*
 * Strict base64url: no padding, no white space, unused bits zero.  Returns the
 * number of bytes written to out (room for len * 3 / 4 + 1), or -1.
 */
extern int	lb_base64url_decode(const char *text, int len, uint8 *out);

#endif							/* LABOS_TEXT_H */
