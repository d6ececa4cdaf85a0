/*-------------------------------------------------------------------------
 *
 * uuid7.h
 *		UUID version 7 (RFC 9562): time-ordered, monotone within a backend.
 *
 * IDENTIFICATION
 *	  src/core/uuid7.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef LABOS_UUID7_H
#define LABOS_UUID7_H

#include "utils/uuid.h"

extern void lb_uuid7_generate(pg_uuid_t *uuid);

#endif							/* LABOS_UUID7_H */
