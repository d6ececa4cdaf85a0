/*-------------------------------------------------------------------------
 *
 * identity.h
 *		The resolved identity, inside the identity room only.
 *
 * IDENTIFICATION
 *	  src/identity/identity.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef LABOS_IDENTITY_H
#define LABOS_IDENTITY_H

#include "utils/uuid.h"

typedef struct LbIdentity
{
	uint64		generation;		/* of this answer: a key for caches of what it implies */
	bool		presented;		/* a token was shown, valid or not */
	bool		has_user;
	bool		has_org;
	bool		has_session;
	bool		is_superuser;	/* of the installation, not of PostgreSQL */
	pg_uuid_t	user;
	pg_uuid_t	org;
	pg_uuid_t	session;
	int64		reload_at;		/* timestamptz at which rights end by time; 0 = never */
	int			npermissions;	/* sorted by strcmp */
	char	  **permissions;
	int			nroles;
	char	  **roles;
	int			nmembers;		/* of the acting organisation, sorted; -1 = not read */
	pg_uuid_t  *members;
	struct MemoryContextData *context;	/* of all that it points to */
} LbIdentity;

/* Who ran before us, while we query as the owner of lab_private. */
typedef struct LbOuterUser
{
	Oid			user;
	int			context;
	bool		pushed_snapshot;
	int			guc_level;		/* 0: no setting was changed */
} LbOuterUser;

/* The owner of lab_private, or InvalidOid while labos is not deployed. */
extern Oid	lb_identity_private_owner(void);
/* Connects to SPI as owner, with a snapshot; end_as undoes it. */
extern void lb_identity_begin_as(Oid owner, LbOuterUser *outer);
extern void lb_identity_end_as(const LbOuterUser *outer);

/* Valid until the next call. */
extern const LbIdentity *lb_identity_current(void);

/* Every backend resolves again; at commit for the others. */
extern void lb_identity_rights_changed(void);

/* Counts the changes of rights that this backend has heard of: for caches. */
extern uint64 lb_identity_rights_changes(void);

/*
 * Whom a token names that may have been refused; session: zeros without one.
 * For the record only.
 */
extern bool lb_identity_claimed(pg_uuid_t *user, pg_uuid_t *session);

/* Is this person a member of the acting organisation? */
extern bool lb_identity_is_colleague(const pg_uuid_t *user);

/* Does the identity hold it: itself, resource:*, or *:*? */
extern bool lb_identity_holds(const LbIdentity *who, const char *permission, int length);

#endif							/* LABOS_IDENTITY_H */
