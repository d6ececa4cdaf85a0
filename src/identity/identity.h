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

/* How much a share lets its receiver do, in this order. */
typedef enum LbShareLevel
{
	LB_SHARE_NONE = 0,
	LB_SHARE_READ = 1,
	LB_SHARE_COMMENT = 2,
	LB_SHARE_WRITE = 3
} LbShareLevel;

/* What is shared with the caller in the acting organisation. */
typedef struct LbShare
{
	int			kind;			/* of lb_share_kind() */
	LbShareLevel level;			/* the highest of several shares */
	pg_uuid_t	resource;
} LbShare;

typedef struct LbIdentity
{
	uint64		generation;		/* of this answer: a key for caches of what it implies */
	bool		presented;		/* a token was shown, valid or not */
	bool		has_user;
	bool		has_org;
	bool		has_session;
	bool		is_superuser;	/* of the installation, not of PostgreSQL */
	bool		is_guest;		/* acts where they are no member, by shares only */
	bool		is_elsewhere;	/* signed in, but the organisation they named is none of theirs */
	pg_uuid_t	user;
	pg_uuid_t	org;
	pg_uuid_t	session;
	int64		reload_at;		/* timestamptz at which rights end by time; 0 = never */
	int			npermissions;	/* sorted by strcmp; of a guest: those held at home */
	char	  **permissions;
	int			nroles;
	char	  **roles;
	int			nshares;		/* sorted by kind and resource */
	LbShare    *shares;
	LbShareLevel most_shared;	/* the highest level among them */
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

/*
 * Ask lab_private.identity_load() as its schema's owner; fills answer.  No row:
 * nobody.  False when it cannot be asked yet.
 */
struct LbClaims;
extern bool lb_identity_load(const char *source, const struct LbClaims *claims, const char *wish,
							 Oid owner, LbIdentity *answer);

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

/* Does the identity hold it: itself, resource:*, or *:*?  A guest holds nothing. */
extern bool lb_identity_holds(const LbIdentity *who, const char *permission, int length);

/* The same of the permissions that a guest has at home. */
extern bool lb_identity_holds_at_home(const LbIdentity *who, const char *permission, int length);

/* Does the caller hold the permission in argument 0?  Remembers the last answers. */
struct FunctionCallInfoBaseData;
extern bool lb_identity_call_is_granted(struct FunctionCallInfoBaseData *fcinfo, const LbIdentity *who);

/* 1 and up for a kind of resource that can be shared, 0 for another word. */
extern int	lb_share_kind(const char *name, int length);

/* Longest name of an organisation: a slug; an id has 36. */
#define LB_ORG_NAME_LENGTH	63

/* The organisation that the caller wishes to act in ("": their own), cut to a length that no name has. */
extern const char *lb_acting_org(void);

/* For the rest of the transaction; what a pooled session had before does not count. */
extern void lb_acting_org_set(const char *name);

/* PT403 not_a_member, for a caller with is_elsewhere. */
extern void lb_refuse_elsewhere(void);

/* Before a request: the header X-Labos-Org; and the database role of a guest. */
extern void lb_acting_org_from_request(void);
extern void lb_guest_role_from_request(const LbIdentity *who);

/* Seconds since 1970 as a timestamptz. */
extern int64 lb_unix_to_timestamp(int64 seconds);

#endif							/* LABOS_IDENTITY_H */
