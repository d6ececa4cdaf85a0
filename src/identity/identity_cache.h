/*-------------------------------------------------------------------------
 *
 * identity_cache.h
 *		The callers a backend has served lately, with what they may do.
 *
 * IDENTIFICATION
 *	  src/identity/identity_cache.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef LABOS_IDENTITY_CACHE_H
#define LABOS_IDENTITY_CACHE_H

#include "identity/claims_json.h"
#include "identity/identity.h"

/* Everything that lab_private.identity_load() is asked with. */
typedef struct LbIdentityKey
{
	char		source;			/* 't'oken, 'g'ateway, 'l'ogin */
	Oid			session_user;
	LbClaims	claims;			/* without expires: it is checked at use */
	char		acting_org[LB_ORG_NAME_LENGTH + 1];	/* as it was wished for */
} LbIdentityKey;

/* Fills every byte of key. */
extern void lb_identity_key(LbIdentityKey *key, char source, Oid session_user, const LbClaims *claims,
							const char *wish);

/* The live answer to this question, or NULL. */
extern LbIdentity *lb_identity_cache_find(const LbIdentityKey *key);

/*
 * A slot for a new answer: zeroed, with a memory context of its own, not yet
 * found by anybody.  Taken from the caller that has waited longest.
 */
extern LbIdentity *lb_identity_cache_slot(const LbIdentityKey *key);

/* From now on the slot's answer is found. */
extern void lb_identity_cache_keep(LbIdentity *slot);

/* Rights have changed somewhere: no answer is found any more. */
extern void lb_identity_cache_clear(void);

#endif							/* LABOS_IDENTITY_CACHE_H */
