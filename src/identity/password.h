/*-------------------------------------------------------------------------
 *
 * password.h
 *		Password hashes: Argon2id (libsodium) and bcrypt (libxcrypt).
 *
 * IDENTIFICATION
 *	  src/identity/password.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef LABOS_PASSWORD_H
#define LABOS_PASSWORD_H

#include "identity/crypto.h"

/* Argon2id, version 19, one lane; docs/security.md says how they were chosen. */
#define LB_ARGON2_DEFAULT_MEMORY		47104	/* KiB */
#define LB_ARGON2_DEFAULT_ITERATIONS	5
#define LB_ARGON2_MIN_MEMORY			8192
#define LB_ARGON2_MAX_MEMORY			262144
#define LB_ARGON2_MAX_ITERATIONS		10
#define LB_ARGON2_MAX_LANES				16

#define LB_BCRYPT_DEFAULT_COST	12
#define LB_BCRYPT_MIN_COST		10
#define LB_BCRYPT_MAX_COST		14
#define LB_BCRYPT_MAX_BYTES		72

#define LB_PASSWORD_MAX_BYTES	4096
#define LB_PASSWORD_MAX_CHARS	1024
#define LB_PASSWORD_HASH_SIZE	192 /* of any hash we make or read, with zero */

/* How new hashes are made. */
typedef struct LbPasswordRules
{
	LbPasswordScheme scheme;
	int			memory;			/* KiB */
	int			iterations;
	int			bcrypt_cost;
} LbPasswordRules;

/*
 * Makes a hash of the bytes (already normalised).  False when memory was
 * short or the password does not fit the scheme (bcrypt: 72 bytes).
 */
extern bool lb_password_make(const char *password, int len,
							 const LbPasswordRules *rules, char *hash);

/* Can the hash be verified at all?  Its parameters are within our bounds. */
extern bool lb_password_hash_known(const char *hash);

typedef enum LbPasswordAnswer
{
	LB_PASSWORD_MATCHES,
	LB_PASSWORD_DIFFERS,
	LB_PASSWORD_UNKNOWN_HASH,	/* no prefix of ours, or out of bounds (P47, P49) */
	LB_PASSWORD_NO_MEMORY
} LbPasswordAnswer;

/* Parameters are bounded before anything is allocated. */
extern LbPasswordAnswer lb_password_check(const char *password, int len,
										  const char *hash);

/* A hash that nothing matches and that costs what the rules say. */
extern void lb_password_dummy_hash(const LbPasswordRules *rules, char *hash);

/* Is the hash weaker than the rules, or of another scheme? */
extern bool lb_password_is_stale(const char *hash, const LbPasswordRules *rules);

/*
 * bcrypt of any bytes without a zero, for $2a$, $2b$, $2x$ and $2y$ and costs
 * from 4 to 14; false when the setting is not one.  hash: LB_PASSWORD_HASH_SIZE.
 */
extern bool lb_bcrypt_raw(const char *password, const char *setting, char *hash);

/*
 * NFC of UTF-8 (RFC 8265), palloc'd and terminated; NULL when the text has a
 * control character or is no UTF-8.  *changed: it differs from the input.
 */
extern char *lb_password_normalize(const char *text, int len, int *out_len,
								   bool *changed);

/* Overwrites bytes in a way the compiler does not remove. */
extern void lb_wipe(void *bytes, size_t len);

/* password_policy.c: code points; see there. */
#define LB_PASSWORD_MAX_PROBLEMS	10
extern int	lb_password_problems(const char *password, int len, bool nist,
								 int min_length, bool bcrypt,
								 char **context, int ncontext,
								 const char **problems);

/* common_passwords.c: is the lower-case word one of the well-known ones? */
extern bool lb_password_is_common_word(const char *word, int len);

#endif							/* LABOS_PASSWORD_H */
