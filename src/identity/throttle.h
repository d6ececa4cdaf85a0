/*-------------------------------------------------------------------------
 *
 * throttle.h
 *		What all backends count together: attempts, requests, hashes under way,
 *		refusals to be logged.
 *
 * Lives in shared memory when labos is in shared_preload_libraries.  Without,
 * each backend counts for itself (docs/operations.md says what that means).
 *
 * IDENTIFICATION
 *	  src/identity/throttle.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef LABOS_THROTTLE_H
#define LABOS_THROTTLE_H

#include "compat.h"
#include "datatype/timestamp.h"
#include "port/atomics.h"
#include "storage/condition_variable.h"
#include "storage/lwlock.h"
#include "storage/spin.h"
#include "utils/uuid.h"

/* client_address.c ------------------------------------------------------- */

typedef struct LbAddress
{
	unsigned char family;		/* 4, 6, or 0: none */
	unsigned char bytes[16];
} LbAddress;

/* Who is at the other end, for the record; false: a local socket. */
extern bool lb_client_address(LbAddress *address);

/*
 * What limits per address count by: IPv6 by its /64.  False where an address
 * says nothing about the client: a local socket, or a gateway while no proxy
 * is trusted.
 */
extern bool lb_client_network(LbAddress *network);

/* One entry of X-Forwarded-For, or the like; false for anything else (P55). */
extern bool lb_address_parse(const char *text, size_t length, LbAddress *address);

/* An inet as Datum; the address must have a family. */
extern Datum lb_address_inet(const LbAddress *address);

/* hash_slots.c ----------------------------------------------------------- */

#define LB_MAX_HASH_SLOTS	128

typedef struct LbHashSlots
{
	slock_t		lock;			/* of all that follows but changed */
	int			waiting;
	int			used;
	int			holder[LB_MAX_HASH_SLOTS];	/* pids; 0: free */
	ConditionVariable changed;
} LbHashSlots;

/*
 * A place to compute a password hash in, held until lb_hash_slot_release() or
 * the end of the (sub)transaction.  Refuses with PT429 busy.
 */
extern void lb_hash_slot_acquire(void);
extern void lb_hash_slot_release(void);
extern int	lb_hash_slot_limit(void);
extern void lb_hash_slots_define(void);

/* denied.c --------------------------------------------------------------- */

#define LB_DENIED_SLOTS			512
#define LB_PERMISSION_SIZE		80
#define LB_REQUEST_ID_SIZE		129

typedef struct LbDenied
{
	uint64		key;			/* of who and what; 0: free */
	int64		minute;			/* since 2000, of the first occurrence */
	TimestampTz at;				/* of the last */
	int32		count;			/* not logged yet */
	bool		logged;			/* once in this minute already */
	char		event;			/* 'd'enied, 't'oken rejected, 'l'imited */
	bool		has_user;
	bool		has_org;
	bool		has_session;
	pg_uuid_t	user;
	pg_uuid_t	org;
	pg_uuid_t	session;
	LbAddress	address;
	char		permission[LB_PERMISSION_SIZE];	/* or what was limited */
	char		request_id[LB_REQUEST_ID_SIZE];
} LbDenied;

typedef struct LbDeniedRing
{
	pg_atomic_uint32 waiting;	/* entries with a count */
	bool		fresh;			/* some of them not logged in their minute yet */
	int64		swept;			/* the minute of the last writing */
	int64		lost;			/* not logged yet */
	int64		lost_ever;
	LbDenied	entries[LB_DENIED_SLOTS];
} LbDeniedRing;

extern void lb_denied_define(void);
/* Notes a refusal for the access log; it need not survive a crash. */
extern void lb_denied_note(char event, const char *what);
/* Writes what is noted into the access log, if that can be done here and now. */
extern int	lb_denied_flush(void);

/* throttle.c ------------------------------------------------------------- */

/* Kinds of counters that do not compete for room. */
typedef enum LbThrottleArea
{
	LB_AREA_LOGIN,				/* failures of sign-in */
	LB_AREA_OTHER,				/* labos.throttle() */
	LB_AREA_REQUEST				/* rates of requests */
} LbThrottleArea;

typedef struct LbThrottleKey
{
	uint64		place;
	uint64		tag;
} LbThrottleKey;

/* What one takes and how much there is, both as microseconds of debt. */
typedef struct LbBucket
{
	int64		cost;			/* 0: no limit */
	int64		capacity;
} LbBucket;

typedef struct LbThrottleEntry
{
	uint64		tag;
	TimestampTz until;			/* when all of its debt is paid */
} LbThrottleEntry;

#define LB_THROTTLE_WAYS	15

/* 256 bytes: four cache lines, of which the first one locks. */
typedef struct LbThrottleSet
{
	slock_t		lock;
	LbThrottleEntry entries[LB_THROTTLE_WAYS];
	int64		unused;
} LbThrottleSet;

extern void lb_throttle_key(LbThrottleKey *key, const char *kind, const void *bytes, size_t length);
/* 0, or the microseconds to wait for; nothing is charged then. */
extern int64 lb_throttle_charge(LbThrottleArea area, const LbThrottleKey *key, LbBucket bucket);
/* Takes one charge back. */
extern void lb_throttle_refund(LbThrottleArea area, const LbThrottleKey *key, LbBucket bucket);
/* Entries with a debt. */
extern int64 lb_throttle_used(void);

/* rate_limit.c, login_limit.c --------------------------------------------- */

extern void lb_rate_limit_define(void);
extern void lb_login_limit_define(void);
/* What this transaction has charged for sign-ins still under way is taken back. */
extern void lb_login_limit_forgive(void);

/*
 * Refuses with 429 and, over HTTP, Retry-After; "headers" is NULL or more JSON
 * members.  DETAIL has code, retry_after and "extra".
 */
LB_NORETURN extern void lb_throttle_refuse(const char *code, int64 wait, const char *extra,
							   const char *headers, const char *hint, const char *message);

/* shared_state.c ------------------------------------------------------------ */

typedef struct LbShared
{
	LWLock	   *lock;			/* of denied; NULL: not shared */
	slock_t		key_lock;
	bool		has_key;
	unsigned char key[16];		/* of the throttle, new with every start */
	pg_atomic_uint64 refused_hashes;
	pg_atomic_uint64 refused_logins;
	pg_atomic_uint64 refused_requests;
	LbHashSlots hashes;
	LbDeniedRing denied;
	int			nsets;
	LbThrottleSet *sets;
} LbShared;

/* Called by _PG_init: settings, and shared memory if this is the postmaster. */
extern void lb_throttle_init(void);

/* Never NULL. */
extern LbShared *lb_shared(void);
extern bool lb_shared_is_shared(void);

#endif							/* LABOS_THROTTLE_H */
